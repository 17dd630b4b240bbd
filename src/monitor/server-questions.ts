/** Asks a Postgres for its statistics, and keeps in a sentence what it does not have or does not show to this role. */

import { errorText } from '../core/errors.ts';
import { sqlState } from '../database/connection.ts';

/** Runs one statement without parameters, and returns its rows. */
export type RunQuestion = <Row>(text: string) => Promise<Row[]>;

/** What the server is, as far as it decides how it is asked. */
export interface Server {
  /** As in 180004. */
  version: number;
  /** Schema of pg_stat_statements, quoted; null where it is not installed. */
  statementsSchema: string | null;
  /** The version of the extension, as in 1.12, which an upgrade of the server may have left behind; 0 where it is not installed. */
  statementsVersion: readonly [major: number, minor: number];
}

export class ServerQuestions {
  readonly #run: RunQuestion;
  readonly #mark: string;
  #missing = new Map<string, string>();

  /** @param mark a comment that stands in each of its own statements, so that they are not counted among the others */
  constructor(run: RunQuestion, mark: string) {
    this.#run = run;
    this.#mark = mark;
  }

  /** The comment that stands in each of its own statements. */
  get mark(): string {
    return this.#mark;
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
    const [row] = await this.query<{ version: string; schema: string | null; extension: string | null }>(
      `select current_setting('server_version_num') as version, statements.*
        from (select 1) as one left join (
          select quote_ident(nspname) as schema, extversion as extension
          from pg_extension e join pg_namespace n on n.oid = e.extnamespace where extname = 'pg_stat_statements'
        ) as statements on true`,
    );
    const [major = 0, minor = 0] = (row?.extension ?? '').split('.').map(Number);
    return {
      version: Number(row?.version),
      statementsSchema: row?.schema ?? null,
      statementsVersion: [major, minor],
    };
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

  /**
   * @param text a statement that begins with `select` or `with`, and has no parameters
   * @throws whatever the connection or the server says
   */
  query<Row>(text: string): Promise<Row[]> {
    // Within the statement: pg_stat_statements leaves out what stands before it.
    return this.#run(text.replace(/^\s*(select|with)\b/i, `$1 ${this.#mark}`));
  }
}

/** What is to be done where pg_stat_statements has nothing to say. */
export const STATEMENTS_NOT_INSTALLED =
  'pg_stat_statements is not installed; add it to shared_preload_libraries, restart the server, and run: create extension pg_stat_statements';

/** Why pg_stat_statements could not be read, and what helps. */
export function statementsReason(error: unknown): string {
  // object_not_in_prerequisite_state
  return sqlState(error) === '55000'
    ? 'pg_stat_statements is not loaded; add it to shared_preload_libraries and restart the server'
    : reason(error, 'usage on its schema');
}

/**
 * Why something could not be read, and what helps.
 *
 * @param right what is missing where the role may not read it
 */
export function reason(error: unknown, right = 'pg_monitor'): string {
  // insufficient_privilege
  const hint = sqlState(error) === '42501' ? `; grant this role ${right}` : '';
  return `${errorText(error).replace(/\.$/, '')}${hint}`;
}

function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
