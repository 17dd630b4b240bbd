import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ensurePage, PAGES } from '../../../local/build/build-page.ts';
import { EventStreamReader } from '../../../workers/pages/parts/event-stream.ts';

test('the page is built where it is missing or older than its sources, and not otherwise', async () => {
  const built = join(await mkdtemp(join(tmpdir(), 'sluice-page-')), 'built.ts');
  expect(await ensureLabPage(built)).toBe(true);
  const whole = await readFile(built, 'utf8');
  expect(await ensureLabPage(built)).toBe(false);
  await writeFile(built, 'old');
  await utimes(built, new Date(0), new Date(0));
  expect(await ensureLabPage(built)).toBe(true);
  // Not compared by `toBe`, whose message would be the whole page.
  expect((await readFile(built, 'utf8')) === whole).toBe(true);
  await rm(dirname(built), { recursive: true });
});

test('the built page ends its script and its style nowhere but where they end', async () => {
  const { PAGE_HTML, PAGE_SCRIPT, PAGE_STYLE } = await import('../../../lab/page/built.ts');
  expect(PAGE_SCRIPT.includes('sessionStorage')).toBe(true);
  expect(PAGE_STYLE.includes('.uplot')).toBe(true);
  expect(/<\/?(script|style)|<!--/i.exec(`${PAGE_SCRIPT}${PAGE_STYLE}`)).toBeNull();
  // Where the Worker puts them.
  expect(PAGE_HTML.split('<style></style>')).toHaveLength(2);
  expect(PAGE_HTML.split('<script type="module"></script>')).toHaveLength(2);
});

describe('events of a stream', () => {
  const stream =
    ': ready\n\nevent: state\nid: 1\ndata: {"a":1}\n\n: keep-alive\n\nevent: progress\r\ndata: x\r\ndata:  y\r\n\r\ndata\n\n';
  const events = [
    { kind: 'state', id: '1', data: '{"a":1}' },
    { kind: 'progress', id: undefined, data: 'x\n y' },
    { kind: 'message', id: undefined, data: '' },
  ];

  test('are the same however their text is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: stream.length })), (cuts) => {
        const reader = new EventStreamReader();
        const ends = [...cuts.toSorted((left, right) => left - right), stream.length];
        const found = ends.flatMap((end, index) => reader.push(stream.slice(ends[index - 1] ?? 0, end)));
        expect(found).toEqual(events);
      }),
    );
  });

  test('that do not end are given up', () => {
    const reader = new EventStreamReader();
    expect(() => {
      for (let piece = 0; piece < 5; piece += 1) reader.push(`data: ${'x'.repeat(1_000_000)}`);
    }).toThrow('does not end');
  });
});
