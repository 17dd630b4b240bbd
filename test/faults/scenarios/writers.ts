/** All that writes rows is killed while it does so. */

import type { Run } from '../run.ts';

/**
 * Ends, now and then, what is writing: Postgres, its connections, the shard, the process.
 *
 * @param look what is looked at after each strike
 */
export async function strikeWriters(run: Run, look = async (): Promise<void> => {}): Promise<void> {
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
      await look();
    }
  }
}
