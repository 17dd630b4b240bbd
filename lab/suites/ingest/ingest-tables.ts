/** The tables of the suite `ingest`, one for each mode and one for the floors. */

import type { sql } from 'drizzle-orm';
import type { Database } from '../../../src/database/connection.ts';
import {
  type BenchSinkSpec,
  createBenchCheckpoints,
  createBenchTable,
  dropBenchTable,
} from './bench-sink.ts';
import { type IngestParameters, type IngestVariant, sinkOptionsOf } from './ingest-suite.ts';
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
    variant: Pick<IngestVariant, 'mode' | 'durability' | 'batch'>,
    name: string,
  ): Promise<BenchSinkSpec> {
    const { column } = this.#parameters;
    const table = this.#tableOf(name);
    await this.#execute(dropBenchTable(table));
    await this.#execute(createBenchTable(table, column));
    await this.#execute(createBenchCheckpoints());
    return { table, column, options: sinkOptionsOf(variant, this.#parameters) };
  }

  /** Drops every table of the suite. */
  async drop(): Promise<void> {
    const tables = [...this.#parameters.modes, 'floor'].map((name) => this.#tableOf(name));
    // A place with its own names may have others beside it, whose shards go by the same checkpoints.
    if (this.#ports.tableSuffix === undefined) tables.push('checkpoints');
    for (const table of tables) await this.#execute(dropBenchTable(table));
  }

  #tableOf(name: string): string {
    return `${name}${this.#ports.tableSuffix ?? ''}`;
  }

  #execute(statement: ReturnType<typeof sql.raw>): Promise<unknown> {
    return this.#ports.slot.use(({ db }: { db: Database }) => db.execute(statement));
  }
}
