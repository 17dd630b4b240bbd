/** The tables of the suite `ingest`, one for each mode and one for the floors. */

import type { sql } from 'drizzle-orm';
import type { Database } from '../../../src/database/connection.ts';
import {
  type BenchSinkSpec,
  createBenchCheckpoints,
  createBenchTable,
  dropBenchTable,
} from './bench-sink.ts';
import {
  type BenchConflict,
  type IngestParameters,
  type IngestVariant,
  sinkOptionsOf,
} from './ingest-suite.ts';
import type { IngestPorts } from './load.ts';

export class IngestTables {
  readonly #ports: Pick<IngestPorts, 'slot' | 'tableSuffix'>;
  readonly #parameters: IngestParameters;

  constructor(ports: Pick<IngestPorts, 'slot' | 'tableSuffix'>, parameters: IngestParameters) {
    this.#ports = ports;
    this.#parameters = parameters;
  }

  /** Makes the table of a variant, empty. @returns its sink */
  async create(
    variant: Pick<IngestVariant, 'mode' | 'durability' | 'batch'> & { conflict?: BenchConflict },
    name: string,
  ): Promise<BenchSinkSpec> {
    const { column, duplicates } = this.#parameters;
    const { conflict = 'error' } = variant;
    const table = this.#tableOf(name, conflict);
    const upsert = conflict === 'error' ? undefined : { action: conflict, duplicates };
    await this.#execute(dropBenchTable(table));
    await this.#execute(createBenchTable(table, column, upsert));
    await this.#execute(createBenchCheckpoints());
    const options = sinkOptionsOf(variant, this.#parameters);
    return { table, column, options, ...(upsert === undefined ? {} : { upsert }) };
  }

  /** Drops every table of the suite. */
  async drop(): Promise<void> {
    const { modes, conflicts } = this.#parameters;
    const tables = [...modes, 'floor'].flatMap((name) =>
      ['error' as const, ...conflicts].map((conflict) => this.#tableOf(name, conflict)),
    );
    // A place with its own names may have others beside it, whose shards go by the same checkpoints.
    if (this.#ports.tableSuffix === undefined) tables.push('checkpoints');
    for (const table of tables) await this.#execute(dropBenchTable(table));
  }

  #tableOf(name: string, conflict: BenchConflict): string {
    return `${name}${conflict === 'error' ? '' : conflict}${this.#ports.tableSuffix ?? ''}`;
  }

  #execute(statement: ReturnType<typeof sql.raw>): Promise<unknown> {
    return this.#ports.slot.use(({ db }: { db: Database }) => db.execute(statement));
  }
}
