/** Spoils a batch frame on its way into the shard. */

import type { Sabotage } from '../orders.ts';

/** The frame with something wrong in it; undefined where it has too few messages for that. */
export function tamper(frame: string, sabotage: Sabotage): string | undefined {
  const [header, first, second, ...rest] = frame.split('\n') as [string, string?, string?, ...string[]];
  if (first === undefined || second === undefined) return undefined;
  switch (sabotage) {
    case 'replace':
      return [header, first, first, ...rest].join('\n');
    case 'reorder':
      return [header, second, first, ...rest].join('\n');
    case 'alter':
      return [
        header,
        first.replace(/"k":"(.)/, (_, letter) => `"k":"${letter === 'x' ? 'y' : 'x'}`),
        second,
        ...rest,
      ].join('\n');
    default:
      return undefined;
  }
}
