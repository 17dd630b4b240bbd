import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Random } from './random.ts';
import { cuttingWire, doublingWire, recuttingWire, reorderingWire, type Wire } from './wire.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Batches of these sizes, message after message numbered from 1. */
function batchesOf(sizes: readonly number[]): string[] {
  let next = 1;
  return sizes.map((size) => {
    const first = next;
    next += size;
    const lines = Array.from({ length: size }, (_, index) => String(first + index));
    return `{"t":"batch","seq":${first},"n":${size}}\n${lines.join('\n')}`;
  });
}

/** What arrives of frames that go through a wire. */
function through(wire: Wire, frames: readonly string[]): { arrived: string[]; cuts: number } {
  const arrived: string[] = [];
  let cuts = 0;
  const send = wire({
    forward: (frame) => arrived.push(frame),
    cut: () => {
      cuts += 1;
    },
  });
  for (const frame of frames) send(frame);
  vi.runAllTimers();
  return { arrived, cuts };
}

/** Fails where a frame does not hold what its header says: message `n` under the sequence `n`. */
function assertTrue(frames: readonly string[]): void {
  for (const frame of frames) {
    const [header, ...lines] = frame.split('\n') as [string, ...string[]];
    const { seq, n } = JSON.parse(header) as { seq: number; n: number };
    expect(lines).toEqual(Array.from({ length: n }, (_, index) => String(seq + index)));
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 });
const seeds = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe('a wire', () => {
  test('that cuts frames again leaves no message out, and each under its own sequence', () => {
    let recuts = 0;
    fc.assert(
      fc.property(sizes, seeds, (given, seed) => {
        const { arrived } = through(
          recuttingWire(new Random(seed), () => {
            recuts += 1;
          }),
          batchesOf(given),
        );
        assertTrue(arrived);
        // Taken one after the other, no frame leaves a gap, and the last one reaches the end.
        let taken = 0;
        for (const frame of arrived) {
          const { seq, n } = JSON.parse(frame.slice(0, frame.indexOf('\n'))) as { seq: number; n: number };
          expect(seq).toBeLessThanOrEqual(taken + 1);
          taken = Math.max(taken, seq + n - 1);
        }
        expect(taken).toBe(given.reduce((sum, size) => sum + size, 0));
      }),
    );
    expect(recuts).toBeGreaterThan(0);
  });

  test('that doubles frames sends each at least once, in their order', () => {
    fc.assert(
      fc.property(sizes, seeds, (given, seed) => {
        const frames = batchesOf(given);
        const { arrived } = through(
          doublingWire(new Random(seed), 0.5, () => {}),
          frames,
        );
        expect(arrived.filter((frame, index) => frame !== arrived[index - 1])).toEqual(frames);
      }),
    );
    const { arrived } = through(
      doublingWire(new Random(1), 1, () => {}),
      batchesOf([1]),
    );
    expect(arrived.length, 'the control').toBeGreaterThan(1);
  });

  test('that reorders frames changes none, and brings the last one', () => {
    let reorders = 0;
    fc.assert(
      fc.property(sizes, seeds, (given, seed) => {
        const frames = batchesOf(given);
        const { arrived } = through(
          reorderingWire(new Random(seed), 0.3, () => {
            reorders += 1;
          }),
          frames,
        );
        expect(new Set(frames)).toEqual(new Set([...frames, ...arrived]));
        expect(arrived).toContain(frames.at(-1));
      }),
    );
    expect(reorders).toBeGreaterThan(0);
  });

  test('that cuts sends nothing after the batch that it cuts behind', () => {
    const frames = batchesOf([1, 1, 1]);
    const cut = through(
      cuttingWire(new Random(1), 1, () => {}),
      ['{"t":"hello"}', ...frames],
    );
    expect(cut).toEqual({ arrived: ['{"t":"hello"}', frames[0]], cuts: 1 });
    const control = through(
      cuttingWire(new Random(1), 0, () => {}),
      frames,
    );
    expect(control).toEqual({ arrived: frames, cuts: 0 });
  });
});
