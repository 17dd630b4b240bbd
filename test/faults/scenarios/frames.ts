/** Frames of `sluice.v1` that come twice, in other pieces, or in another order. */

import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';
import { doublingWire, recuttingWire, reorderingWire, type Wire } from '../wire.ts';

async function underWire(run: Run, wire: Wire, wanted: number): Promise<void> {
  run.load({ wire });
  const { toWorker } = run.world;
  let resets = 3;
  while (run.strikes < wanted) {
    await run.pause(50, 150);
    if (resets > 0 && run.random.chance(0.5)) {
      resets -= 1;
      toWorker.reset();
    }
  }
}

const doubled: Scenario = {
  name: 'frames-doubled',
  title: 'Frames sent two to five times',
  run: (run) =>
    underWire(
      run,
      doublingWire(run.random.fork(), 0.5, () => run.struck()),
      run.times(60),
    ),
};

const recut: Scenario = {
  name: 'frames-recut',
  title: 'Frames cut again, overlapping those before',
  run: (run) =>
    underWire(
      run,
      recuttingWire(run.random.fork(), () => run.struck()),
      run.times(100),
    ),
};

const reordered: Scenario = {
  name: 'frames-reordered',
  title: 'Frames overtaken by the next one, or missing',
  run: (run) =>
    underWire(
      run,
      reorderingWire(run.random.fork(), 0.2, () => run.struck()),
      run.times(25),
    ),
};

export const frameScenarios: readonly Scenario[] = [doubled, recut, reordered];
