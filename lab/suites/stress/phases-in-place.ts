/** Runs phases where the host runs: for platforms without processes, such as Workers. */

import { type PhasePorts, runPhase } from './phase.ts';
import type { StressPorts } from './stress-host.ts';

export function phasesInPlace(ports: PhasePorts): Pick<StressPorts, 'run' | 'close'> {
  return {
    async run(orders) {
      const outcomes = [];
      for (const order of orders) outcomes.push({ answer: await runPhase(order, ports) });
      return outcomes;
    },
    async close() {},
  };
}
