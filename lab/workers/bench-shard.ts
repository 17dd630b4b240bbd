/** A shard of one measurement: the production shard, whose sink is a table of the bench, or which only counts frames. */

import { Shard } from '../../workers/shard.ts';
import type { ShardRole } from '../../workers/shard-role.ts';
import { sinkOfSpec } from '../suites/ingest/bench-form.ts';
import { decodeBenchShardName } from './bench-shard-name.ts';

export class BenchShard extends Shard {
  protected override role(name: string): ShardRole {
    return benchRole(name);
  }

  /** `/bench` has a guard of its own. */
  protected override authorizer(): 'open' {
    return 'open';
  }
}

/** What a shard of this name is. Nobody has to find it later, and it has no others beside it: so it has no place. */
export function benchRole(name: string): ShardRole {
  const { bench, spec, driver, shard } = decodeBenchShardName(name);
  return {
    shard,
    label: `${bench}/${shard}`,
    sinkName: bench,
    place: undefined,
    driver: driver ?? undefined,
    sink: spec === null ? undefined : () => sinkOfSpec(spec),
  };
}
