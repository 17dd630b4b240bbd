import { expect, test } from 'vitest';
import { ReadableLog, readableLine } from '../../local/cli/readable-log.ts';

const LINE = {
  level: 'warn',
  at: '2026-12-01T17:05:09.000Z',
  sink: 'readings',
  shard: 0,
  kind: 'retrying',
  code: 'database_unreachable',
  sqlstate: '08006',
  message: 'retrying: Cannot reach the database',
  host: 'localhost:5432/app',
};

test('a line of the log becomes a sentence', () => {
  const time = new Date(LINE.at).toLocaleTimeString('en-GB');
  expect(readableLine(JSON.stringify(LINE), false)).toBe(
    `${time} warn readings/0 retrying: Cannot reach the database (08006, localhost:5432/app)`,
  );
  expect(readableLine(`[wrangler] ${JSON.stringify(LINE)}`, true)).toBe(
    `${time} \u001b[33mwarn\u001b[0m readings/0 retrying: Cannot reach the database (08006, localhost:5432/app)`,
  );
  expect(
    readableLine('{"level":"error","message":"A request failed: x","code":null,"sink":null}', false),
  ).toBe('error A request failed: x');
});

test.each([
  'Ready on http://127.0.0.1:8787',
  '{"level":"warn"',
  '{"level":"warn","text":1}',
  '{"message":"x"}',
])('what is none stays as it is: %s', (line) => expect(readableLine(line, false)).toBeUndefined());

test('lines are passed on in their order, however they are cut, and none is lost', () => {
  const text = `starting ü\n${JSON.stringify(LINE)}\nlast without an end`;
  const bytes = Buffer.from(text);
  const told = (size: number): string => {
    let written = '';
    const log = new ReadableLog((part) => {
      written += part;
    }, false);
    for (let at = 0; at < bytes.length; at += size) log.add(bytes.subarray(at, at + size));
    log.end();
    return written;
  };
  const whole = told(bytes.length);
  expect(whole).toBe(`starting ü\n${readableLine(JSON.stringify(LINE), false)}\nlast without an end`);
  for (const size of [20, 100]) expect(told(size)).toBe(whole);
});
