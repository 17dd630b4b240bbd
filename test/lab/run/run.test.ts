import { describe, expect, test } from 'vitest';
import type { RepResult } from '../../../lab/result.ts';
import { BenchRun } from '../../../lab/run/run.ts';
import type { RunState } from '../../../lab/run/run-state.ts';
import { takeStep } from '../../../lab/run/runner.ts';
import type { Suite } from '../../../lab/suite.ts';
import { optionTable } from '../../../src/core/option-table.ts';

const PARAMETERS = optionTable({
  size: { kind: 'integer', min: 1, max: 100, default: 10, description: 'Size' },
});

const suite: Suite<typeof PARAMETERS> = {
  name: 'fake',
  title: 'A suite for tests',
  unit: 'things',
  parameters: PARAMETERS,
  presets: { quick: {}, full: {} },
  variants: () => [
    { name: 'a', role: 'measured', description: '' },
    ...['s1', 's2', 's3', 's4'].map((name) => ({
      name,
      role: 'measured' as const,
      description: '',
      ladder: 's',
    })),
    { name: 'b', role: 'floor', description: '' },
  ],
  unitsPerRep: () => 10,
  sharesOf: [],
  columns: [],
  notes: () => [],
};

const FACTS = { tool: {}, machine: {}, database: {} };

function start(reps = 2): BenchRun<typeof PARAMETERS> {
  return BenchRun.start(suite, { parameters: { size: 10 }, reps, seed: 3, startedAtMs: 1_000 });
}

function repetition(more: Partial<RepResult> = {}): RepResult {
  return { units: 10, elapsedMs: 100, metrics: {}, audit: null, ...more };
}

describe('a ladder', () => {
  test('ends at the step that breaks, in that round only, and the rest of the run goes on', () => {
    const run = start(2);
    const seen: string[] = [];
    for (let entry = run.next; entry !== undefined; entry = run.next) {
      seen.push(`${entry.variant.name}/${entry.rep}`);
      const isBroken = entry.variant.name === 's2' && entry.rep === 1;
      run.record(repetition(isBroken ? { broken: 'too much' } : {}));
    }
    expect(seen.filter((name) => name.startsWith('s'))).toEqual([
      's1/1',
      's2/1',
      's1/2',
      's2/2',
      's3/2',
      's4/2',
    ]);
    expect(seen.filter((name) => !name.startsWith('s')).toSorted()).toEqual(['a/1', 'a/2', 'b/1', 'b/2']);
    expect(run.steps).toEqual({ taken: 12, total: 12 });
    const { variants } = run.result(FACTS, 2_000, false);
    expect(variants.find(({ name }) => name === 's3')?.reps.map(({ rep }) => rep)).toEqual([2]);
    expect(variants.find(({ name }) => name === 's2')?.reps[0]?.broken).toBe('too much');
  });

  test('that breaks at its first step leaves out all others', () => {
    const run = start(1);
    const seen: string[] = [];
    for (let entry = run.next; entry !== undefined; entry = run.next) {
      seen.push(entry.variant.name);
      run.record(repetition(entry.variant.ladder === undefined ? {} : { broken: 'at once' }));
    }
    expect(seen.toSorted()).toEqual(['a', 'b', 's1']);
  });
});

describe('a run that is interrupted', () => {
  test('goes on from what was kept, after any step, as if nothing had been', async () => {
    const host = {
      warmUp: async () => {},
      run: async ({ name }: { name: string }, rep: number, _: unknown, { seed }: { seed: number }) =>
        repetition({ metrics: { seed, rep }, ...(name === 's3' ? { broken: 'no' } : {}) }),
    };
    const now = (): number => 5_000;
    const whole = start();
    while ((await takeStep(whole, { host, now })) !== undefined);

    let kept: RunState = start().state;
    let steps = 0;
    for (;;) {
      // Text, because that is what survives.
      const run = BenchRun.resume(suite, JSON.parse(JSON.stringify(kept)) as RunState);
      const step = await takeStep(run, { host, now });
      kept = run.state;
      if (step === undefined) break;
      steps += 1;
    }
    expect(steps).toBe(11);
    expect(BenchRun.resume(suite, kept).result(FACTS, 9_000, false)).toEqual(
      whole.result(FACTS, 9_000, false),
    );
  });

  test('repeats a step that failed', async () => {
    const run = start(1);
    run.warmedUp(0);
    const { next } = run;
    const failing = { warmUp: async () => {}, run: () => Promise.reject(new Error('gone')) };
    await expect(takeStep(run, { host: failing, now: () => 0 })).rejects.toThrow('gone');
    expect(run.next).toEqual(next);
    expect(run.steps.taken).toBe(0);
  });

  test('is not resumed with parameters that the suite does not have', () => {
    const state = { ...start().state, parameters: { colour: 'blue' } };
    expect(() => BenchRun.resume(suite, state)).toThrow(/colour/);
  });
});

test('a repetition beyond the last is refused', () => {
  const run = start(1);
  while (run.next !== undefined) run.record(repetition());
  expect(() => run.record(repetition())).toThrow(RangeError);
});

test('the state that is handed out is a copy', () => {
  const run = start(1);
  run.state.records.a = [];
  run.state.broken.push('1/s');
  expect(run.state).toMatchObject({ records: {}, broken: [] });
});
