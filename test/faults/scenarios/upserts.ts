/** Faults while messages of few keys are merged into their rows. */

import type { Scenario } from '../scenario.ts';
import type { UpsertAction } from '../upserts.ts';
import { strikeWriters } from './writers.ts';

function upserts(action: UpsertAction, title: string): Scenario {
  return { name: `upserts-${action}`, title, upsert: { action }, run: (run) => strikeWriters(run) };
}

export const upsertScenarios: readonly Scenario[] = [
  upserts(
    'ignore',
    'Upserts where the first wins, while Postgres, connections, shard and workerd are killed',
  ),
  upserts('update', 'Upserts where the last wins, while Postgres, connections, shard and workerd are killed'),
];
