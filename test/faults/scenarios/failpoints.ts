/** A crash, or a failure, at each place that the code names (src/core/failpoints.ts). */

import { FAILPOINTS, type Failpoint } from '../../../src/core/failpoints.ts';
import type { FailpointOrder } from '../orders.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';

const PLACES: Record<Failpoint, string> = {
  before_outbox_write: 'before a group is stored',
  after_outbox_write: 'after a group is stored, before its ack',
  after_begin: 'after BEGIN',
  after_rows: 'after the rows, before COMMIT',
  after_commit: 'after COMMIT, before anybody knows',
  before_outbox_trim: 'before the outbox is trimmed',
  in_alarm: 'in the alarm',
};

/** How often a place may be passed unharmed: so that each strike hits another state. */
const MOST_SKIPPED: Record<Failpoint, number> = {
  before_outbox_write: 15,
  after_outbox_write: 15,
  after_begin: 5,
  after_rows: 5,
  after_commit: 5,
  before_outbox_trim: 1,
  in_alarm: 1,
};

// A trim and an alarm come when the shard has a moment, or once a second.
const SLOW = { paceMs: 60, chunk: 30 };

async function strike(run: Run, name: Failpoint, action: FailpointOrder['action']): Promise<void> {
  run.load(name === 'before_outbox_trim' || name === 'in_alarm' ? SLOW : {});
  for (let time = run.times(5); time > 0; time -= 1) {
    const { failpoint: before } = await run.shard.strikes();
    await run.shard.order({
      failpoint: { name, action, skip: run.random.integer(0, MOST_SKIPPED[name]), times: 1 },
    });
    await run.until(`${name} was reached`, async () => (await run.shard.strikes()).failpoint > before);
    run.struck();
  }
}

function scenarioOf(name: Failpoint, action: FailpointOrder['action']): Scenario {
  return {
    name: `${action}-${name.replaceAll('_', '-')}`,
    title: `${action === 'abort' ? 'Crash' : 'Failure'} ${PLACES[name]}`,
    // Where only the alarm flushes, each of them has something to do.
    ...(name === 'in_alarm' ? { options: { lingerMs: 60_000, batchRows: 50_000, alarmMs: 100 } } : {}),
    run: (run) => strike(run, name, action),
  };
}

export const failpointScenarios: readonly Scenario[] = FAILPOINTS.flatMap((name) => [
  scenarioOf(name, 'abort'),
  scenarioOf(name, 'throw'),
]);
