/** Alarms that come late, twice or never, where nothing else flushes. */

import type { AlarmOrder } from '../orders.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';

const ONLY_BY_ALARM = { lingerMs: 60_000, batchRows: 50_000, alarmMs: 100 } as const;

async function disturb(run: Run, order: AlarmOrder): Promise<void> {
  run.load({ paceMs: 40 });
  await run.shard.order({ alarm: order });
  await run.untilCount('alarms that go wrong', order.times, async () => (await run.shard.strikes()).alarm);
  run.struck(order.times);
}

const late: Scenario = {
  name: 'alarm-late',
  title: 'Alarms handled late',
  options: ONLY_BY_ALARM,
  run: (run) => disturb(run, { action: 'late', times: run.times(4), lateMs: run.random.integer(100, 500) }),
};

const doubled: Scenario = {
  name: 'alarm-doubled',
  title: 'Alarms handled twice',
  options: ONLY_BY_ALARM,
  run: (run) => disturb(run, { action: 'twice', times: run.times(8) }),
};

const lost: Scenario = {
  name: 'alarm-lost',
  title: 'Alarms that never come',
  options: ONLY_BY_ALARM,
  run: (run) => disturb(run, { action: 'lost', times: run.times(2) }),
};

export const alarmScenarios: readonly Scenario[] = [late, doubled, lost];
