/** Faults while messages of few keys are merged into their rows. */

import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';
import type { UpsertAction } from '../upserts.ts';

/** Ends whoever is writing, now and then: Postgres, its connections, the shard, the process. */
async function strikeAll(run: Run): Promise<void> {
  const { postgres } = run.world;
  run.load();
  const untilWriting = async (): Promise<void> => {
    const { sinceMs, committed } = await run.shard.stats();
    await run.until('rows are written', async () => {
      const now = await run.shard.stats();
      return now.sinceMs !== sinceMs || now.committed > committed;
    });
  };
  const strikes = [
    async () => {
      await postgres.kill();
      await run.pause(0, 200);
      await postgres.start();
    },
    () => postgres.terminateWriters(),
    () => run.shard.crash(),
    () => run.world.killWorker(),
  ];
  for (let time = run.times(2); time > 0; time -= 1) {
    for (const strike of strikes) {
      await untilWriting();
      await run.pause(5, 100);
      await strike();
      run.struck();
    }
  }
}

function upserts(action: UpsertAction, title: string): Scenario {
  return { name: `upserts-${action}`, title, upsert: { action }, run: strikeAll };
}

export const upsertScenarios: readonly Scenario[] = [
  upserts(
    'ignore',
    'Upserts where the first wins, while Postgres, connections, shard and workerd are killed',
  ),
  upserts('update', 'Upserts where the last wins, while Postgres, connections, shard and workerd are killed'),
];
