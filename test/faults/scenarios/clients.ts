/** Clients that die, come back, and share a name. */

import type { Scenario } from '../scenario.ts';

const restartWithState: Scenario = {
  name: 'client-killed-with-state',
  title: 'Client killed, restarted with its state',
  longRuns: 100,
  async run(run) {
    const { producers } = run.load({ hasDisk: true });
    for (let kill = run.times(12); kill > 0; kill -= 1) {
      await run.pause(10, 120);
      const producer = run.random.pick(producers);
      producer.client.kill();
      await run.pause(0, 30);
      producer.start();
      run.struck();
    }
  },
};

const restartWithoutState: Scenario = {
  name: 'client-killed-without-state',
  title: 'Client killed, restarted without its state',
  longRuns: 100,
  async run(run) {
    const { producers } = run.load();
    for (let kill = run.times(12); kill > 0; kill -= 1) {
      await run.pause(10, 120);
      const producer = run.random.pick(producers);
      producer.client.kill();
      await run.pause(0, 30);
      producer.start();
      run.struck();
    }
  },
};

const twoOfOneName: Scenario = {
  name: 'two-clients-of-one-name',
  title: 'Two clients of one name at a time',
  async run(run) {
    const { producers } = run.load({
      onEvent(_, { type }) {
        if (type === 'replaced' || type === 'fenced') run.struck();
      },
    });
    for (let time = run.times(10); time > 0; time -= 1) {
      await run.pause(20, 120);
      const producer = run.random.pick(producers);
      const older = producer.client;
      // The older one goes on sending until it is told.
      producer.start();
      for (let chunk = run.random.integer(1, 5); chunk > 0 && !older.isOver; chunk -= 1) {
        older.send(run.random.integer(1, 20));
        await run.pause(0, 10);
      }
      // Some of them hear of it only when they connect again.
      if (run.random.chance(0.3)) run.world.toWorker.reset();
    }
    await run.until('an older client was told', () => run.strikes > 0);
  },
};

export const clientScenarios: readonly Scenario[] = [restartWithState, restartWithoutState, twoOfOneName];
