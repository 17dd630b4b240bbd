import { describe, expect, test } from 'vitest';
import type { Audit, RepResult } from '../../../lab/result.ts';
import { type BenchProgress, runSuite } from '../../../lab/run/runner.ts';
import type { Suite, SuiteHost, Variant } from '../../../lab/suite.ts';
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
    { name: 'a', role: 'measured', description: 'the first' },
    { name: 'b', role: 'measured', description: 'the second' },
    { name: 'c', role: 'floor', description: 'a floor' },
  ],
  unitsPerRep: ({ name }, { size }) => (name === 'c' ? 1 : size),
  baseline: 'a',
  sharesOf: [],
  columns: [],
  notes: ({ size }) => [`size ${size}`],
};

const CLEAN: Audit = { sent: 10, refused: 0, found: 10, lost: 0, duplicated: 0, outOfOrder: 0 };

function repetition(more: Partial<RepResult> = {}): RepResult {
  return { units: 10, elapsedMs: 1000, metrics: {}, audit: CLEAN, ...more };
}

type Run = SuiteHost['run'];

function runWith(
  run: Run,
  {
    reps = 1,
    signal,
    onProgress,
  }: { reps?: number; signal?: AbortSignal; onProgress?: (at: BenchProgress) => void } = {},
) {
  let nowMs = Date.UTC(2026, 0, 2, 3, 4, 5);
  return runSuite({
    suite,
    parameters: { size: 10 },
    reps,
    host: { run, warmUp: async () => {} },
    seed: 1,
    now: () => {
      nowMs += 500;
      return nowMs;
    },
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
    facts: { tool: { name: 'tool' }, machine: { cpu: 'one' }, database: { version: 'some' } },
  });
}

describe('the order of repetitions', () => {
  test('is interleaved: each round has every variant once', async () => {
    const seen: string[] = [];
    await runWith(
      async ({ name }, rep) => {
        seen.push(`${name}${rep}`);
        return repetition();
      },
      { reps: 3 },
    );
    expect(seen.map((entry) => entry.at(-1))).toEqual(['1', '1', '1', '2', '2', '2', '3', '3', '3']);
    for (const round of [seen.slice(0, 3), seen.slice(3, 6), seen.slice(6)]) {
      expect(round.map(([name]) => name).sort()).toEqual(['a', 'b', 'c']);
    }
  });

  test('is kept with each repetition; variants are reported in the order of the suite', async () => {
    const seen: string[] = [];
    const { variants } = await runWith(
      async ({ name }, rep) => {
        seen.push(`${name}${rep}`);
        return repetition();
      },
      { reps: 2 },
    );
    expect(variants.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    for (const { name, reps } of variants) {
      expect(reps.map(({ rep, order }) => seen[order - 1] === `${name}${rep}`)).toEqual([true, true]);
    }
  });

  test('has no two repetitions at the same time', async () => {
    let running = 0;
    let most = 0;
    await runWith(async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise(setImmediate);
      running -= 1;
      return repetition();
    });
    expect(most).toBe(1);
  });
});

describe('the sums of a run', () => {
  test('are medians and extremes over the repetitions', async () => {
    const elapsed = [2000, 500, 1000];
    const { variants } = await runWith(
      async ({ name }, rep) => repetition(name === 'a' ? { elapsedMs: elapsed[rep - 1] as number } : {}),
      { reps: 3 },
    );
    expect(variants[0]?.summary).toMatchObject({
      elapsedMs: { median: 1000, min: 500, max: 2000 },
      perSecond: { median: 10, min: 5, max: 20 },
    });
    expect(variants[0]?.reps.map(({ perSecond }) => perSecond)).toEqual([5, 20, 10]);
    expect(variants[1]?.summary.elapsedMs).toEqual({ median: 1000, min: 1000, max: 1000, interval: null });
  });

  test('take the median of a metric over the repetitions that have it, and null where none has', async () => {
    const { variants } = await runWith(
      async (_, rep) => repetition({ metrics: { some: rep === 2 ? null : rep * 10, none: null } }),
      { reps: 3 },
    );
    expect(variants[0]?.summary.metrics).toEqual({ some: 20, none: null });
  });

  test('add up the audits; a floor without rows has none', async () => {
    const { variants } = await runWith(
      async ({ role }) => repetition({ audit: role === 'floor' ? null : { ...CLEAN, outOfOrder: 2 } }),
      { reps: 2 },
    );
    expect(variants.map(({ summary }) => summary.audit)).toEqual([
      { ...CLEAN, sent: 20, found: 20, outOfOrder: 4 },
      { ...CLEAN, sent: 20, found: 20, outOfOrder: 4 },
      null,
    ]);
  });

  test('stand beside what was run, when, for how long, and the facts', async () => {
    const result = await runWith(async () => repetition());
    expect(result).toMatchObject({
      schemaVersion: 1,
      suite: 'fake',
      title: 'A suite for tests',
      unit: 'things',
      state: 'complete',
      startedAt: '2026-01-02T03:04:05.500Z',
      // The clock moves by half a second at each look: at both ends of the warm-up and at the end.
      durationMs: 1500,
      config: { size: 10, reps: 1 },
      tool: { name: 'tool' },
      machine: { cpu: 'one' },
      database: { version: 'some' },
      notes: ['size 10'],
    });
  });
});

describe('the state of a run', () => {
  test.each([
    { what: 'every audit is clean', audit: {}, state: 'complete' },
    { what: 'rows are out of order', audit: { outOfOrder: 3 }, state: 'complete' },
    { what: 'messages were refused', audit: { refused: 3, found: 7 }, state: 'complete' },
    { what: 'one message of one repetition was lost', audit: { lost: 1 }, state: 'invalid' },
    { what: 'one message of one repetition was doubled', audit: { duplicated: 1 }, state: 'invalid' },
  ])('is $state when $what', async ({ audit, state }) => {
    const result = await runWith(
      async ({ name }, rep) => repetition(name === 'b' && rep === 2 ? { audit: { ...CLEAN, ...audit } } : {}),
      { reps: 3 },
    );
    expect(result.state).toBe(state);
    expect(result.variants).toHaveLength(3);
  });

  test.each([
    { keepsOrder: true, state: 'invalid' },
    { keepsOrder: false, state: 'complete' },
  ])(
    'is $state when rows are out of order and the suite promises order: $keepsOrder',
    async ({ keepsOrder, state }) => {
      const ran = await runSuite({
        suite: { ...suite, keepsOrder },
        parameters: { size: 10 },
        reps: 1,
        host: { run: async () => repetition({ audit: { ...CLEAN, outOfOrder: 1 } }), warmUp: async () => {} },
        seed: 1,
        now: Date.now,
        facts: { tool: {}, machine: {}, database: {} },
      });
      expect(ran.state).toBe(state);
    },
  );

  test('has the targets of its suite judged, and none where the suite has none', async () => {
    const ran = await runSuite({
      suite: {
        ...suite,
        targets: ({ size }) => [
          { title: 'a', variant: 'a', metric: 'perSecond', bound: { atLeast: size + 1 }, unit: '/s' },
        ],
      },
      parameters: { size: 10 },
      reps: 1,
      host: { run: async () => repetition(), warmUp: async () => {} },
      seed: 1,
      now: Date.now,
      facts: { tool: {}, machine: {}, database: {} },
    });
    expect(ran.targets).toEqual([
      { title: 'a', figure: 10, unit: '/s', bound: { atLeast: 11 }, isMet: false },
    ]);
    expect(await runWith(async () => repetition())).not.toHaveProperty('targets');
  });

  test('is invalid for a floor that lost rows, as for a mode', async () => {
    const run: Run = async ({ role }) => repetition(role === 'floor' ? { audit: { ...CLEAN, lost: 1 } } : {});
    expect((await runWith(run)).state).toBe('invalid');
  });
});

describe('a signal', () => {
  /** Aborts while repetition `at` (from 1) is under way, which then never ends by itself. */
  function abortingHost(at: number): {
    run: Run;
    signal: AbortSignal;
    seen: Variant[];
    fail: (error: Error) => void;
  } {
    const controller = new AbortController();
    const seen: Variant[] = [];
    let fail = (_: Error): void => {};
    return {
      signal: controller.signal,
      seen,
      fail: (error) => fail(error),
      run: (variant) => {
        seen.push(variant);
        if (seen.length < at) return Promise.resolve(repetition());
        setImmediate(() => controller.abort());
        return new Promise((_, reject) => {
          fail = reject;
        });
      },
    };
  }

  test('in the middle ends the run at once, and keeps what is complete', async () => {
    const { run, signal, seen } = abortingHost(5);
    const result = await runWith(run, { reps: 3, signal });
    expect(result.state).toBe('aborted');
    expect(seen).toHaveLength(5);
    const whole = seen.slice(0, 4).map(({ name }) => name);
    expect(result.variants.map(({ name, reps }) => [name, reps.length])).toEqual(
      ['a', 'b', 'c'].map((name) => [name, whole.filter((other) => other === name).length]),
    );
  });

  test('leaves out variants without a complete repetition', async () => {
    const { run, signal, seen } = abortingHost(2);
    const { variants } = await runWith(run, { reps: 3, signal });
    expect(variants.map(({ name }) => name)).toEqual([seen[0]?.name]);
  });

  test('makes the failure of what it cut off no news', async () => {
    const { run, signal, fail } = abortingHost(2);
    const result = await runWith(run, { signal });
    // Unhandled, it would end the test run.
    fail(new Error('cut off'));
    await new Promise(setImmediate);
    expect(result.state).toBe('aborted');
  });

  test('that came before the start lets nothing run', async () => {
    const seen: string[] = [];
    const result = await runWith(
      async ({ name }) => {
        seen.push(name);
        return repetition();
      },
      { signal: AbortSignal.abort() },
    );
    expect(seen).toEqual([]);
    expect(result).toMatchObject({ state: 'aborted', variants: [] });
  });

  test('that comes from who listens to the progress is seen as well', async () => {
    const controller = new AbortController();
    const result = await runWith(() => new Promise(() => {}), {
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    expect(result).toMatchObject({ state: 'aborted', variants: [] });
  });

  test('does not hide that messages were lost before it', async () => {
    const { run, signal } = abortingHost(2);
    const losing: Run = async (...at) => ({ ...(await run(...at)), audit: { ...CLEAN, lost: 1 } });
    expect((await runWith(losing, { signal })).state).toBe('invalid');
    const control = abortingHost(2);
    expect((await runWith(control.run, { signal: control.signal })).state).toBe('aborted');
  });

  test('that never comes changes nothing', async () => {
    const result = await runWith(async () => repetition(), { reps: 2, signal: new AbortController().signal });
    expect(result.state).toBe('complete');
    expect(result.variants.map(({ reps }) => reps.length)).toEqual([2, 2, 2]);
  });
});

describe('an error of the host', () => {
  test.each([
    { how: 'without a signal', more: {} },
    { how: 'with a signal', more: { signal: new AbortController().signal } },
  ])('ends the run as it is, $how', async ({ more }) => {
    const failure = new Error('the Worker is gone');
    const seen: string[] = [];
    const run: Run = async ({ name }) => {
      seen.push(name);
      if (name === 'b') throw failure;
      return repetition();
    };
    await expect(runWith(run, more)).rejects.toBe(failure);
    expect(seen.at(-1)).toBe('b');
    expect(seen.filter((name) => name === 'b')).toHaveLength(1);
  });
});

test('the warm-up comes first, once, and its time is told apart', async () => {
  const seen: string[] = [];
  let nowMs = 0;
  const result = await runSuite({
    suite,
    parameters: { size: 10 },
    reps: 2,
    seed: 1,
    host: {
      async run({ name }) {
        seen.push(name);
        return repetition();
      },
      async warmUp() {
        seen.push('warm-up');
        nowMs += 70;
      },
    },
    now: () => nowMs,
    facts: { tool: {}, machine: {}, database: {} },
  });
  expect(seen[0]).toBe('warm-up');
  expect(seen.filter((what) => what === 'warm-up')).toHaveLength(1);
  expect(result.warmUpMs).toBe(70);
});

test('progress tells the start, the steps and the end of each repetition', async () => {
  const progress: BenchProgress[] = [];
  await runWith(
    async ({ name }, _, onUnits) => {
      if (name === 'a') onUnits(4);
      return repetition();
    },
    { onProgress: (at) => void progress.push(at) },
  );
  const ofA = progress.filter(({ variant }) => variant === 'a');
  const steps = { taken: ofA[0]?.steps.taken ?? -1, total: 3 };
  expect(ofA).toMatchObject([
    { variant: 'a', rep: 1, reps: 1, total: 10, done: 0, steps },
    { variant: 'a', rep: 1, reps: 1, total: 10, done: 4, steps },
    {
      variant: 'a',
      rep: 1,
      reps: 1,
      total: 10,
      done: 10,
      steps: { taken: steps.taken + 1, total: 3 },
      result: { ...repetition(), perSecond: 10 },
    },
  ]);
  expect(progress.at(-1)).toMatchObject({ steps: { taken: 3, total: 3 } });
});
