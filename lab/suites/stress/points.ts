/** Where a ramp breaks, up to where it holds, and where it is fastest: the rules and words of the Postgres stress test. */

import { epochsPerSecond, type Iteration } from './iteration.ts';

export interface RampPoints {
  /** Epochs of the first iteration that is not OK; null where all are. */
  breaking: number | null;
  /** Epochs of the largest iteration that is OK, below the breaking point where there is one; null where there is none. */
  stability: number | null;
  /** The iteration that is OK with the most epochs per second. */
  optimal: { epochs: number; epochsPerSecond: number } | null;
}

export function pointsOf(iterations: readonly Iteration[], isAsync: boolean): RampPoints {
  const good = iterations.filter(({ status }) => status === 'OK');
  const breaking = iterations.find(({ status }) => status !== 'OK')?.epochs ?? null;
  const stable = good.filter(({ epochs }) => breaking === null || epochs < breaking);
  let optimal: RampPoints['optimal'] = null;
  for (const iteration of good) {
    const speed = epochsPerSecond(iteration, isAsync);
    if (optimal === null || speed > optimal.epochsPerSecond) {
      optimal = { epochs: iteration.epochs, epochsPerSecond: speed };
    }
  }
  return { breaking, stability: maxOf(stable.map(({ epochs }) => epochs)), optimal };
}

function maxOf(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((most, value) => Math.max(most, value));
}

/** The points as a list of Markdown, in its words. */
export function pointLines({ breaking, stability, optimal }: RampPoints): string[] {
  return [
    breaking === null
      ? '- Breaking Point: not reached in tested range.'
      : `- Breaking Point: \`${breaking}\``,
    stability === null ? '- Stability Point: not confirmed.' : `- Stability Point: \`${stability}\``,
    stability === null
      ? '- Conclusion: increase retries/resources and re-run to confirm stability.'
      : `- Conclusion: stable write/read behavior is confirmed up to \`${stability}\` epochs.`,
    ...(optimal === null
      ? []
      : [
          `- Optimal efficiency point: \`${optimal.epochs}\` epochs (${optimal.epochsPerSecond.toFixed(2)} epochs/sec).`,
        ]),
  ];
}
