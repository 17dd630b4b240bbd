/** Asks a Postgres for its statistics, and keeps in a sentence what it does not have or does not show to this role. */

import { type SQL, sql } from 'drizzle-orm';
import { errorText } from '../../src/core/errors.ts';
import { sqlState } from '../../src/database/connection.ts';
import type { ConnectionSlot } from '../../src/database/connection-slot.ts';

/** Marks the watch's own statements, so that they are not counted. */
export const MARK = '/* sluice watch */';

/** What the server is, as far as it decides how it is asked. */
export interface Server {
  version: number;
  /** Schema of pg_stat_statements, quoted; null where it is not installed. */
  statementsSchema: string | null;
}

export class ServerQuestions {
  readonly #slot: ConnectionSlot;
  #missing = new Map<string, string>();

  constructor(slot: ConnectionSlot) {
    this.#slot = slot;
  }

  /** A sentence for each thing that was asked for in vain. */
  get missing(): string[] {
    return [...this.#missing].map(([what, why]) => `${sentenceCase(what)}: ${why}.`);
  }

  /** Forgets what was missing. */
  reset(): void {
    this.#missing = new Map();
  }

  /** @throws whatever the connection or the server says */
  async server(): Promise<Server> {
    const [row] = await this.query<{ version: string; schema: string | null }>(
      sql`select ${sql.raw(MARK)} current_setting('server_version_num') as version,
        (select quote_ident(nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace where extname = 'pg_stat_statements') as schema`,
    );
    return { version: Number(row?.version), statementsSchema: row?.schema ?? null };
  }

  /** Asks what there is from a major version on. */
  async from<Answer>(
    major: number,
    version: number,
    what: string,
    ask: () => Promise<Answer>,
  ): Promise<Answer | undefined> {
    if (version >= major * 10_000) return this.ask(what, ask);
    this.name(what, `there from PostgreSQL ${major} on, this is ${Math.floor(version / 10_000)}`);
    return undefined;
  }

  /** The answer, or undefined and a sentence about why there is none. */
  async ask<Answer>(what: string, ask: () => Promise<Answer>): Promise<Answer | undefined> {
    try {
      return await ask();
    } catch (error) {
      this.name(what, reason(error));
      return undefined;
    }
  }

  /** Notes what is missing, and why. */
  name(what: string, why: string): void {
    if (!this.#missing.has(what)) this.#missing.set(what, why);
  }

  /** @throws whatever the connection or the server says */
  async query<Row>(query: SQL): Promise<Row[]> {
    const result = await this.#slot.use(({ db }) => db.execute(query));
    return (result as unknown as { rows: Row[] }).rows;
  }
}

/** Why something could not be read, and what helps. */
export function reason(error: unknown): string {
  // insufficient_privilege
  const hint = sqlState(error) === '42501' ? '; grant this role pg_monitor' : '';
  return `${errorText(error).replace(/\.$/, '')}${hint}`;
}

function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
