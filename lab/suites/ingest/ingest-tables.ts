/** The tables of the suite `ingest`, of each mode and what becomes of messages, and one for the floors. */

import type { sql } from 'drizzle-orm';
import type { Database } from '../../../src/database/connection.ts';
import { createTablesOf, tablesOfSpec } from './bench-form.ts';
import { type BenchSinkSpec, createBenchCheckpoints, dropBenchTable } from './bench-sink.ts';
import type { IngestParameters } from './ingest-parameters.ts';
import { type IngestVariant, type MessageRule, messageRulesOf, sinkOptionsOf } from './ingest-variants.ts';
import type { IngestPorts } from './load.ts';

const PLAIN: MessageRule = { sink: 'plain', conflict: 'error' };

export class IngestTables {
  readonly #ports: Pick<IngestPorts, 'slot' | 'tableSuffix'>;
  readonly #parameters: IngestParameters;

  constructor(ports: Pick<IngestPorts, 'slot' | 'tableSuffix'>, parameters: IngestParameters) {
    this.#ports = ports;
    this.#parameters = parameters;
  }

  /** Makes the tables of a variant, empty. @returns its sink */
  async create(
    variant: Pick<IngestVariant, 'mode' | 'durability' | 'batch'> & Partial<MessageRule>,
    name: string,
  ): Promise<BenchSinkSpec> {
    const { column, duplicates } = this.#parameters;
    const { conflict = 'error', sink = 'plain' } = variant;
    const spec: BenchSinkSpec = {
      ...this.#placeOf(name, { conflict, sink }),
      column,
      options: sinkOptionsOf(variant, this.#parameters),
      ...(conflict === 'error' ? {} : { upsert: { action: conflict, duplicates } }),
    };
    for (const table of tablesOfSpec(spec)) await this.#execute(dropBenchTable(table));
    for (const statement of createTablesOf(spec)) await this.#execute(statement);
    await this.#execute(createBenchCheckpoints());
    return spec;
  }

  /** Drops every table of the suite. */
  async drop(): Promise<void> {
    const places = this.#parameters.modes.flatMap((mode) =>
      messageRulesOf(this.#parameters, mode).map((rule) => this.#placeOf(mode, rule)),
    );
    const tables = [this.#placeOf('floor', PLAIN), ...places].flatMap(tablesOfSpec);
    // A place with its own names may have others beside it, whose shards go by the same checkpoints.
    if (this.#ports.tableSuffix === undefined) tables.push('checkpoints');
    for (const table of tables) await this.#execute(dropBenchTable(table));
  }

  #placeOf(name: string, { conflict, sink }: MessageRule): Pick<BenchSinkSpec, 'table' | 'form'> {
    const suffix = this.#ports.tableSuffix ?? '';
    if (sink !== 'plain') return { table: `${name}${sink}${suffix}`, form: sink };
    return { table: `${name}${conflict === 'error' ? '' : conflict}${suffix}` };
  }

  #execute(statement: ReturnType<typeof sql.raw>): Promise<unknown> {
    return this.#ports.slot.use(({ db }: { db: Database }) => db.execute(statement));
  }
}
