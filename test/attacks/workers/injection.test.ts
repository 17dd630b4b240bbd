/**
 * Attacked: whatever reads what clients have said. Names of producers and sinks, payloads and reasons end up in logs (one line of JSON
 * each), in answers (JSON that no browser takes for a page), in reasons of closes (ASCII on one line) and in the reports of the bench
 * (HTML and CSV; more of it in test/lab/report/formats.test.ts).
 */

import { describe, expect, it, vi } from 'vitest';
import { csvText } from '../../../lab/report/csv-text.ts';
import { closeReason } from '../../../src/core/errors.ts';
import { assertProducerName } from '../../../src/protocol/producer.ts';
import { askWith, Client, openSocket, until, upgradeRequest } from '../../workers/support.ts';

const HTML = '<img src=x onerror=alert(1)>';
const LINES = 'x\r\n{"level":"info","message":"all is well"}';
const TERMINAL = '\u001b]0;owned\u0007';
const FORMULA = '=HYPERLINK("http://evil.example")';

describe('a name of a producer', () => {
  it.each([
    HTML,
    LINES,
    TERMINAL,
    FORMULA,
    '+1',
    'a,b',
    '"',
    "'",
    '`',
    '$(x)',
    '../x',
    'a b',
    'a/b',
    '\u202e',
    'ä',
    '',
    'x'.repeat(129),
  ])('%j is none, and no part of the answer is a page', async (name) => {
    expect(() => assertProducerName(name)).toThrow();
    const path = `/ws/messages?producer=${encodeURIComponent(name)}`;
    const response = await askWith({}, path);
    expect([
      response.status,
      response.headers.get('content-type'),
      response.headers.get('x-content-type-options'),
    ]).toEqual([400, 'application/problem+json', 'nosniff']);
    const end = await new Client(await askWith({}, upgradeRequest(path, 'sluice.v1'))).closed;
    expect(end).toMatchObject({ code: 4400, reason: expect.stringMatching(/^[\x20-\x7e]{1,123}$/) });
    // The control.
    const good = await openSocket('/ws/messages?producer=good-name');
    expect(good.producer).toBe('good-name');
    await good.close();
  });
});

describe('a name of a sink', () => {
  it.each([HTML, LINES, TERMINAL, FORMULA])('%j comes back as JSON or as one line of ASCII', async (name) => {
    const path = `/ws/${encodeURIComponent(name)}`;
    const response = await askWith({}, path);
    expect([response.status, response.headers.get('content-type')]).toEqual([
      404,
      'application/problem+json',
    ]);
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ code: 'unknown_sink' });
    expect(text.trimEnd().split('\n')).toHaveLength(1);
    const end = await new Client(await askWith({}, upgradeRequest(path))).closed;
    expect(end.reason).toMatch(/^unknown_sink: [\x20-\x7e]{1,109}$/);
  });
});

describe('a path', () => {
  it.each([HTML, LINES, TERMINAL])('%j comes back as JSON', async (name) => {
    const response = await askWith({}, `/${encodeURIComponent(name)}`);
    expect([response.status, response.headers.get('content-type')]).toEqual([
      404,
      'application/problem+json',
    ]);
    expect(JSON.parse(await response.text())).toMatchObject({ code: 'not_found' });
  });
});

describe('a reason of a close', () => {
  it('is one line of ASCII of at most 123 bytes, whatever it is made of', () => {
    for (const text of [HTML, LINES, TERMINAL, '\u2028\u202e', '😀'.repeat(200), 'x'.repeat(500)])
      expect(closeReason('invalid_options', text)).toMatch(/^[\x20-\x7e]{1,123}$/);
    expect(closeReason('invalid_options', 'as it is')).toBe('invalid_options: as it is');
  });

  it('that a client gives is not repeated in the log', async () => {
    const lines: string[] = [];
    const spies = (['log', 'info', 'warn', 'error', 'debug'] as const).map((level) =>
      vi.spyOn(console, level).mockImplementation((...words) => void lines.push(words.join(' '))),
    );
    const { 0: client } = [new Client(await askWith({}, upgradeRequest('/ws/messages?producer=closes')))];
    await client.close(4000);
    for (const spy of spies) spy.mockRestore();
    expect(lines).toEqual([]);
  });
});

describe('a payload', () => {
  it('that is refused is one line of JSON in the log at most, and comes back as JSON', async () => {
    const lines: string[] = [];
    const spies = (['warn', 'error'] as const).map((level) =>
      vi.spyOn(console, level).mockImplementation((...words) => void lines.push(words.join(' '))),
    );
    const client = await openSocket('/ws/messages?producer=injects');
    for (const text of [HTML, TERMINAL, FORMULA, '{"a":', '"\u2028']) client.send(text);
    const frames = await until(() => {
      expect(client.frames.length).toBeGreaterThanOrEqual(5);
      return client.frames;
    });
    for (const frame of frames) {
      const { t, errors } = JSON.parse(frame) as { t: string; errors: { message: string }[] };
      expect(t).toBe('error');
      for (const { message } of errors)
        for (const part of ['<img', '\u001b', 'HYPERLINK']) expect(message).not.toContain(part);
    }
    for (const spy of spies) spy.mockRestore();
    for (const line of lines) {
      expect(line).not.toContain('\n');
      expect(JSON.parse(line)).toHaveProperty('level');
    }
    await client.close();
  });
});

describe('the reports of the bench', () => {
  it('begin no cell as a formula', () => {
    for (const start of ['=', '+', '-', '@', '\t', '\r'])
      expect(csvText([[`${start}1+1`]]).replace(/^"/, '')).toMatch(/^'/);
    // The control: a figure stays one.
    expect(csvText([[-1]])).toBe('-1\r\n');
  });
});
