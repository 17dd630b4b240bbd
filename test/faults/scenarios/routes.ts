/** Faults while each message is written to two tables. */

import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';
import { strikeWriters } from './writers.ts';

/** What is committed is in both tables at any time. One statement sees both as they are at one moment. */
async function compareNow(run: Run): Promise<void> {
  const [counts] = await run.world.postgres.query<{ first: string; second: string }>(
    `select (select count(*) from ${run.table}) as first, (select count(*) from ${run.copyTable}) as second`,
  );
  if (counts?.first !== counts?.second)
    run.fail(
      `After a strike there were ${counts?.first} rows in one table, and ${counts?.second} in the other`,
    );
}

export const routeScenarios: readonly Scenario[] = [
  {
    name: 'routes-to-two-tables',
    title: 'Each message goes to two tables, while Postgres, connections, shard and workerd are killed',
    copies: {},
    run: (run) => strikeWriters(run, () => compareNow(run)),
  },
];
