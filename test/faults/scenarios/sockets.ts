/** Connections between clients and the Worker that break. */

import type { Scenario } from '../scenario.ts';
import { cuttingWire, plainWire } from '../wire.ts';

/** Bytes of a connection that go through before it is cut: somewhere in a frame, or in the handshake. */
const CUT_BYTES = { least: 400, most: 30_000 };

const midFrame: Scenario = {
  name: 'cut-mid-frame',
  title: 'Socket cut in the middle of a frame',
  longRuns: 100,
  async run(run) {
    run.load();
    const { toWorker } = run.world;
    const before = toWorker.stats.cuts;
    for (let time = run.times(8); time > 0; time -= 1) {
      const cut = toWorker.next('cut');
      toWorker.set({
        resetAfterBytes: {
          direction: 'upstream',
          bytes: run.random.integer(CUT_BYTES.least, CUT_BYTES.most),
        },
      });
      await cut;
      await run.pause(5, 60);
      toWorker.set({ resetAfterBytes: undefined });
      await run.pause(20, 100);
    }
    run.struck(toWorker.stats.cuts - before);
  },
};

const midBatch: Scenario = {
  name: 'cut-mid-batch',
  title: 'Socket cut between the frames of a sequence',
  longRuns: 100,
  async run(run) {
    const wanted = run.times(20);
    const cutting = cuttingWire(run.random.fork(), 0.15, () => run.struck());
    // Connections that are made after the last cut live on.
    run.load({ wire: (port) => (run.strikes < wanted ? cutting : plainWire)(port) });
    await run.untilCount('connections that are cut', wanted, () => run.strikes);
  },
};

const ackLost: Scenario = {
  name: 'ack-lost',
  title: 'Acks lost on their way, then the connection',
  longRuns: 100,
  async run(run) {
    run.load();
    const { toWorker } = run.world;
    for (let time = run.times(6); time > 0; time -= 1) {
      await run.pause(30, 150);
      const dropped = toWorker.next('drop');
      toWorker.set({ dropDownstream: true });
      await dropped;
      await run.pause(5, 80);
      toWorker.reset();
      toWorker.set({ dropDownstream: false });
      run.struck();
    }
  },
};

export const socketScenarios: readonly Scenario[] = [midFrame, midBatch, ackLost];
