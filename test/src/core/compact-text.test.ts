import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { compactTexts } from '../../../src/core/compact-text.ts';
import { decodeFrame } from '../../../src/protocol/frame.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const FRAME_BYTES = 1024 * 1024;
const FRAMES = 32;

/** Heap that is held for messages of 40 bytes, each of which came in a frame of 1 MiB. */
function heapFor(take: (payloads: string[], frame: string) => string[]): number {
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  const held: string[] = [];
  for (let number = 0; number < FRAMES; number += 1) {
    // As from a socket: in one piece, on the heap.
    const text = `{"number":${number},"text":"${'x'.repeat(20)}"}\n`;
    const frame = JSON.parse(JSON.stringify(text.padEnd(FRAME_BYTES, `${' '.repeat(1_000)}\n`))) as string;
    held.push(...take(decodeFrame(frame).payloads, frame));
  }
  collectGarbage();
  const bytes = process.memoryUsage().heapUsed - before;
  expect(held).toHaveLength(FRAMES);
  return bytes;
}

test('a short message does not keep the frame of blanks alive that it came in', () => {
  const compact = heapFor((payloads, frame) => compactTexts(payloads, charactersOf(payloads), frame.length));
  const asTheyCome = heapFor((payloads) => payloads);
  expect(asTheyCome).toBeGreaterThan((FRAMES / 2) * FRAME_BYTES);
  expect(compact).toBeLessThan((FRAMES / 4) * FRAME_BYTES);
});

test('the texts stay the same, and are not copied where there is little to win', () => {
  const texts = ['{"a":"ä€🌍"}', '1', '"\ufeff"'];
  const copies = compactTexts(texts, charactersOf(texts), FRAME_BYTES);
  expect(copies).toEqual(texts);
  expect(copies).not.toBe(texts);
  expect(compactTexts(texts, charactersOf(texts), 4_000)).toBe(texts);
  const large = ['x'.repeat(600_000)];
  expect(compactTexts(large, 600_000, FRAME_BYTES)).toBe(large);
  expect(compactTexts([], 0, FRAME_BYTES)).toEqual([]);
});

function charactersOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + text.length, 0);
}
