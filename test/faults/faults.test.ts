/** The lab in small: a few faults, and shards that break their promises. `npm run faults` runs all of them. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runOnce } from './lab.ts';
import type { Run } from './run.ts';
import { CONTROLS, runControl } from './sabotages.ts';
import { SCENARIOS } from './scenarios/all.ts';
import { floodMemory } from './scenarios/memory.ts';
import { expireTokens } from './scenarios/tokens.ts';
import { World } from './world.ts';

const SEED = 1;
const SCALE = 0.3;

let world: World;
beforeAll(async () => {
  world = await World.open();
});
afterAll(() => world?.close());

describe('nothing that was acknowledged is lost or doubled, and order is kept:', () => {
  test.each([
    'cut-mid-frame',
    'cut-mid-batch',
    'ack-lost',
    'client-killed-with-state',
    'client-killed-without-state',
    'two-clients-of-one-name',
    'identity-copied',
    'identity-paused',
    'identity-restored',
    'token-expired',
    'storage-old',
    'storage-shared',
    'offline-start',
    'frames-reordered',
    'shard-crash',
    'workerd-killed',
    'abort-after-commit',
    'commit-ambiguous',
    'failover-async',
    'failover-and-back',
    'resume-after-sleep',
    'resume-after-lost-commit',
    'options-changed',
    'upserts-ignore',
    'upserts-update',
    'routes-to-two-tables',
  ])('%s', async (name) => {
    const scenario = SCENARIOS.find((known) => known.name === name);
    if (scenario === undefined) throw new Error(`There is no fault ${name}`);
    const { failures, pass, sent, acked, strikes } = await runOnce(world, scenario, SEED, SCALE);
    expect(failures).toEqual([]);
    expect({ pass, hasStruck: strikes > 0, hasSent: sent > 100, hasAcks: acked > 50 }).toEqual({
      pass: true,
      hasStruck: true,
      hasSent: true,
      hasAcks: true,
    });
  });
});

// `npm run faults -- --short` shows that with the breaker it holds.
test('the control: without the breaker, four shards of an isolate hold more than the platform allows', async () => {
  const withHeap = await World.open({ readsHeap: true });
  try {
    const scenario = { run: (run: Run) => floodMemory(run, true) };
    const { failures } = await runOnce(withHeap, scenario, SEED);
    expect(failures.join()).toMatch(/The heap had \d+ bytes, and the platform ends an isolate at 134217728/);
  } finally {
    await withHeap.close();
  }
});

describe('the control: the oracle catches', () => {
  test.each(CONTROLS)('$title', async (control) => {
    const { isCaught, report } = await runControl(world, control, SEED);
    expect({ isCaught, failures: report.failures }).toMatchObject({ isCaught: true });
  });

  test('clients that never get a fresh token', async () => {
    const scenario = { hasSink: true, run: (run: Run) => expireTokens(run, true) };
    const report = await runOnce(world, scenario, SEED);
    expect(report.pass).toBe(false);
    expect(report.failures.join()).toMatch(/has ended: unauthorized/);
  });

  test('a fault that never happened', async () => {
    const report = await runOnce(world, { run: (run) => run.pause(50, 100) }, SEED);
    expect(report).toMatchObject({ pass: false, failures: [expect.stringContaining('never happened')] });
  });
});

test('every fault has its own name that an option can carry', () => {
  const names = SCENARIOS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z0-9-]+$/);
});
