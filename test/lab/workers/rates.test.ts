/** The suite `rates` inside the Worker: load objects send on the schedule, into shards that write to Postgres. */

import { env } from 'cloudflare:workers';
import { afterAll, expect, it } from 'vitest';
import { PostgresWatch } from '../../../lab/measure/postgres-watch.ts';
import { Histogram } from '../../../lab/statistics/histogram.ts';
import { RatesHost } from '../../../lab/suites/rates/rates-host.ts';
import { RATES_PARAMETERS, ratesSuite } from '../../../lab/suites/rates/rates-suite.ts';
import { WORKER_RATE_MODES, workerRatesPorts } from '../../../lab/workers/rates-ports.ts';
import { resolveOptions } from '../../../src/core/option-table.ts';
import { systemTimers } from '../../../src/core/timers.ts';
import { ConnectionSlot } from '../../../src/database/connection-slot.ts';
import { connect, databaseTarget } from '../../../workers/database.ts';
import '../../workers/environment.ts';

const target = databaseTarget(env);
const slot = new ConnectionSlot({ open: () => connect(target), timers: systemTimers });
afterAll(() => slot.close());

const EASY = { from: 50, to: 50, seconds: 1, lead: 200, slo: 60_000, clients: 4 };

it.each([1, 3])('audits a step with %d shards, its figures added up', async (shards) => {
  const parameters = resolveOptions(RATES_PARAMETERS, { ...EASY, modes: 'copy', shards });
  const host = new RatesHost(workerRatesPorts(env, slot), parameters);
  const [variant] = ratesSuite.variants(parameters);
  const watch = new PostgresWatch({ open: () => connect(target), timers: systemTimers });
  const result = await host.run(variant as never, 1, () => {}, { seed: 1, server: watch });
  watch.close();
  await host.close();
  expect(result.broken).toBeUndefined();
  expect(result.audit).toMatchObject({ sent: 60, found: 60, lost: 0, duplicated: 0, outOfOrder: 0 });
  expect(result.units).toBe(50);
  expect(Histogram.fromRecord(result.histograms?.due as never).count).toBe(50);
  expect(result.windows).toHaveLength(4);
  expect(result.windows?.some((count) => count > 0)).toBe(true);
  // What nobody tells a Worker.
  expect(result.metrics).toMatchObject({
    heapMaxMb: null,
    workerMaxMb: null,
    loopDelayP99Ms: null,
    makingUs: null,
  });
  expect(result.server?.tableBytesPerRow).toBeGreaterThan(0);
});

it('has every mode but the bad example', () => {
  expect(WORKER_RATE_MODES).toEqual(['naive', 'buffered', 'bulk', 'unnest', 'copy']);
  const parameters = resolveOptions(RATES_PARAMETERS, EASY);
  expect(() => new RatesHost(workerRatesPorts(env, slot), parameters)).toThrow(
    'There is no mode fire-and-forget',
  );
});
