/** Shards that crash, fall asleep, or lose their process. */

import { BENCH_CHECKPOINTS } from '../../../lab/suites/ingest/bench-sink.ts';
import type { Scenario } from '../scenario.ts';

const crash: Scenario = {
  name: 'shard-crash',
  title: 'Durable Object aborted at random',
  async run(run) {
    run.load();
    for (let time = run.times(8); time > 0; time -= 1) {
      await run.pause(10, 150);
      await run.shard.crash();
      run.struck();
    }
  },
};

// A shard sleeps only when no timer is set, so never while it tries to write. One that has stopped, because its
// checkpoint is missing, does; and it is resumed with all of its outbox to write.
const hibernation: Scenario = {
  name: 'shard-hibernation',
  title: 'Hibernation with a full outbox',
  options: { connections: 1, sockets: 'hibernatable' },
  async run(run) {
    const { postgres } = run.world;
    const load = run.load({ ack: 'stored' });
    const mine = `where shard like '${run.name}/%'`;
    const rename = async (shard: string): Promise<boolean> => {
      const renamed = await postgres.query(
        `update ${BENCH_CHECKPOINTS} set shard = ${shard} ${mine} returning position`,
      );
      return renamed.length > 0;
    };
    await run.pause(50, 300);
    await run.until('there is a checkpoint to hide', () => rename("shard || '-hidden'"));
    await run.until('the shard has stopped', async () => (await run.shard.stats()).state === 'stopped');
    await run.pause(50, 300);
    await run.stopScraping();
    load.pause();
    await run.shard.hibernate();
    await rename("replace(shard, '-hidden', '')");
    await run.shard.resume();
    run.struck();
    load.resume();
    await run.pause(50, 200);
    const { recovered } = await run.shard.stats();
    if (recovered === 0) run.fail('The shard woke up with an empty outbox');
  },
};

const killedWorkerd: Scenario = {
  name: 'workerd-killed',
  title: 'workerd killed with -9 under load, restarted on its state',
  async run(run) {
    run.load();
    for (let time = run.times(2); time > 0; time -= 1) {
      await run.pause(50, 400);
      await run.world.killWorker();
      run.struck();
    }
    await run.pause(50, 200);
  },
};

export const shardScenarios: readonly Scenario[] = [crash, hibernation, killedWorkerd];
