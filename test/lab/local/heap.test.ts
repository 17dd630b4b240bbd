import { expect, test } from 'vitest';
import { nodeHeap } from '../../../lab/local/heap.ts';

const heap = nodeHeap();
/** An array of so many elements takes eight bytes for each, or four where V8 compresses its pointers. */
const ELEMENTS = 1_000;
let kept: unknown;

/** Allocates `count` arrays, of which none but the last is kept. */
async function allocate(count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) kept = new Array(ELEMENTS).fill(index);
}

test('tells the bytes that work allocates, those that are collected meanwhile included', async () => {
  const few = await heap.allocatedBy(() => allocate(1_000));
  const many = await heap.allocatedBy(() => allocate(10_000));
  expect(kept).toHaveLength(ELEMENTS);
  // 80 MB, of which next to nothing is in use at the end.
  expect(many).toBeGreaterThan(10_000 * ELEMENTS * 4 * 0.9);
  expect(many).toBeLessThan(10_000 * ELEMENTS * 8 * 1.3);
  expect(many / few).toBeGreaterThan(7);
  expect(many / few).toBeLessThan(14);
  expect(await heap.allocatedBy(async () => {}), 'the control').toBeLessThan(few / 10);
});

test('tells the bytes in use, without what nobody refers to', async () => {
  const before = heap.usedBytes();
  kept = Array.from({ length: 1_000 }, () => new Array(ELEMENTS).fill(0));
  const held = heap.usedBytes() - before;
  kept = undefined;
  await allocate(1_000);
  kept = undefined;
  const after = heap.usedBytes() - before;
  expect(held).toBeGreaterThan(1_000 * ELEMENTS * 4 * 0.9);
  expect(after).toBeLessThan(held / 10);
});
