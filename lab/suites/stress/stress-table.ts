/** The table of the suite `stress`: what is made, measured and counted in it. */

import { sql } from 'drizzle-orm';
import { SluiceError } from '../../../src/core/errors.ts';
import { quoteName } from '../../../src/core/sql-text.ts';
import type { Connection } from '../../../src/database/connection.ts';
import type { ConnectionSlot } from '../../../src/database/connection-slot.ts';
import type { Audit } from '../../result.ts';
import type { IterationFigures } from './iteration.ts';
import { columnOf, type PayloadFormat } from './payload-format.ts';
import { failureText } from './phase.ts';

export class StressTable {
  readonly #slot: ConnectionSlot;
  readonly #format: PayloadFormat;

  constructor(slot: ConnectionSlot, format: PayloadFormat) {
    this.#slot = slot;
    this.#format = format;
  }

  /**
   * Makes a table where it is not there.
   *
   * @throws SluiceError `invalid_options` where it is there for another format
   */
  async create(table: string): Promise<void> {
    const column = columnOf(this.#format);
    await this.execute(
      `create table if not exists ${quoteName(table)} (id bigserial primary key, payload ${column} not null)`,
    );
    const [found] = await this.#rows<{ type: string }>(
      `select format_type(atttypid, null) as type from pg_attribute
        where attrelid = '${quoteName(table)}'::regclass and attname = 'payload'`,
    );
    if (found?.type !== column) {
      throw new SluiceError(
        'invalid_options',
        `The table ${table} is there with a payload of type ${found?.type ?? 'none'}, and ${this.#format} needs ${column}: use --drop, or another --table`,
      );
    }
  }

  /** The highest id, 0 in an empty table. `table` is quoted, here and below. */
  async lastId(table: string): Promise<string> {
    const [row] = await this.#rows<{ id: string }>(`select coalesce(max(id), 0)::text as id from ${table}`);
    return (row as { id: string }).id;
  }

  /**
   * Puts the sizes of a row and of the table into `figures`.
   *
   * @returns why the sizes cannot be told; undefined where they can
   */
  async measureSizes(
    table: string,
    id: string,
    figures: IterationFigures,
    isAsync: boolean,
  ): Promise<string | undefined> {
    try {
      const [sizes] = await this.#rows<{ payload: string; row: string; table: string }>(
        `select pg_column_size(payload)::text as payload,
          ${isAsync ? '0' : 'pg_column_size(t)'}::text as row, pg_total_relation_size('${table}'::regclass)::text as table
          from ${table} t where id = ${BigInt(id)}`,
      );
      if (sizes === undefined) return `Row id=${id} not found for size metrics.`;
      figures.dbPayloadBytes = Number(sizes.payload);
      figures.dbRowBytes = Number(sizes.row);
      figures.dbTableBytes = Number(sizes.table);
      return undefined;
    } catch (error) {
      return failureText(error);
    }
  }

  /**
   * Counts the rows above the id `before`.
   *
   * @param equal rows found equal to what was written; undefined where nobody could compare them
   */
  async audit(
    table: string,
    before: string,
    sent: number,
    ids: readonly string[],
    equal: readonly string[] | undefined,
  ): Promise<Audit> {
    const rows = await this.#rows<{ id: string }>(
      `select id::text as id from ${table} where id > ${BigInt(before)}`,
    );
    const known = new Set(ids);
    const there = rows.filter(({ id }) => known.has(id)).length;
    // Rows of writes that were answered with an error, or not at all: written nevertheless.
    const others = rows.length - there;
    const unanswered = Math.min(others, sent - ids.length);
    const good = equal === undefined ? there : equal.length;
    return {
      sent,
      refused: sent - ids.length - unanswered,
      found: good + unanswered,
      lost: ids.length - good,
      duplicated: others - unanswered,
      outOfOrder: 0,
    };
  }

  async execute(statement: string): Promise<void> {
    await this.#rows(statement);
  }

  async #rows<Row>(statement: string): Promise<Row[]> {
    const result = await this.#slot.use(({ db }: Connection) => db.execute(sql.raw(statement)));
    return (result as unknown as { rows: Row[] }).rows;
  }
}
