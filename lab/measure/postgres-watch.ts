/**
 * Looks at a Postgres while a repetition runs, over its own connection: what it wrote, which statements took its
 * time, and what its backends waited for.
 *
 * Nothing here may fail a run. What the server does not have, or does not show to this role, is null and named.
 */

import { type SQL, sql } from 'drizzle-orm';
import { errorText } from '../../src/core/errors.ts';
import type { Timers } from '../../src/core/timers.ts';
import { type Connection, sqlState } from '../../src/database/connection.ts';
import { ConnectionSlot } from '../../src/database/connection-slot.ts';
import type { ServerFigures } from '../result.ts';
import type { ServerWatch } from './server-watch.ts';
import { statementText } from './statement-text.ts';

/** Between two looks at what the backends wait for: five a second. */
const SAMPLE_EVERY_MS = 200;
/** A statistics view answers within moments; one that waits for a lock must not hold up the bench. */
const ANSWER_TIME_LIMIT_MS = 5_000;
const TOP_STATEMENTS = 10;
/** Statements that are remembered from the beginning: twice what pg_stat_statements keeps by default. */
const MAX_STATEMENTS = 10_000;
/** What is read of a statement's text. Its report is shorter still; a bulk INSERT has hundreds of kilobytes. */
const STATEMENT_CHARACTERS = 2_000;
/** Marks the watch's own statements, so that they are not counted. */
const MARK = '/* sluice watch */';
/** Kinds of waits that are told by their name alone. The others' names mean nothing without their kind. */
const PLAIN_WAITS = ['Client', 'IO'];

export interface PostgresWatchOptions {
  /** Opens a connection that nobody else uses: a look must not wait for the bench's own statements. */
  open: () => Promise<Connection>;
  timers: Timers;
  /** Default: 200. */
  sampleEveryMs?: number;
}

type Statements = NonNullable<ServerFigures['statements']>;
type Io = NonNullable<ServerFigures['io']>;

interface StatementCounters {
  calls: number;
  rows: number;
  totalMs: number;
}

/** The counters at the beginning; undefined where they could not be read. */
interface Counters {
  wal?: { position: bigint };
  fullPageImages?: number;
  checkpoints?: { begun: number; ended: number };
  statements?: Map<string, StatementCounters>;
  io?: Map<string, Io[number]>;
}

/** What the server is, as far as it decides how it is asked. */
interface Server {
  version: number;
  /** Schema of pg_stat_statements, quoted; null where it is not installed. */
  statementsSchema: string | null;
}

export class PostgresWatch implements ServerWatch {
  readonly #slot: ConnectionSlot;
  readonly #timers: Timers;
  readonly #sampleEveryMs: number;
  #server: Server | undefined;
  #before: Counters = {};
  #missing = new Map<string, string>();
  #waits = new Map<string, number>();
  #waitSamples = 0;
  #hiddenBackends = 0;
  #cancelLook: (() => void) | undefined;
  #look: Promise<void> = Promise.resolve();
  /** Counts the beginnings: a look that began before does not count for the present one. */
  #turn = 0;
  #isClosed = false;

  constructor({ open, timers, sampleEveryMs = SAMPLE_EVERY_MS }: PostgresWatchOptions) {
    this.#slot = new ConnectionSlot({ open, timers, useTimeLimitMs: ANSWER_TIME_LIMIT_MS });
    this.#timers = timers;
    this.#sampleEveryMs = sampleEveryMs;
  }

  /** Reads the counters and starts to look at the waits, until `end` or `close`. */
  async begin(): Promise<void> {
    // A repetition that was cut off goes on by itself for a while, and may come here after the end of its run.
    if (this.#isClosed) return;
    this.#stopLooking();
    const turn = this.#turn;
    await this.#look;
    this.#missing = new Map();
    this.#waits = new Map();
    this.#waitSamples = 0;
    this.#hiddenBackends = 0;
    this.#before = {};
    this.#server = await this.#ask('the server', () => this.#readServer());
    if (this.#server === undefined) return;
    this.#before = await this.#readCounters(this.#server);
    if (turn === this.#turn) this.#scheduleLook(turn);
  }

  async end(rows: number, tables: readonly string[]): Promise<ServerFigures> {
    this.#stopLooking();
    await this.#look;
    const server = this.#isClosed ? undefined : this.#server;
    const before = this.#before;
    const after = server === undefined ? {} : await this.#readCounters(server);
    const perRow = (bytes: number | undefined): number | null =>
      bytes === undefined || rows === 0 ? null : bytes / rows;
    const sizes =
      server === undefined || tables.length === 0
        ? undefined
        : await this.#ask('sizes of tables', () => this.#readSizes(tables));
    const statements =
      server === undefined || before.statements === undefined || after.statements === undefined
        ? null
        : await this.#topStatements(server.statementsSchema, before.statements, after.statements);
    if (this.#hiddenBackends > 0) {
      this.#name('waits of other roles', 'hidden from this role; grant it pg_read_all_stats');
    }
    return {
      walBytesPerRow: perRow(
        before.wal && after.wal ? Number(after.wal.position - before.wal.position) : undefined,
      ),
      walFullPageImages: difference(before.fullPageImages, after.fullPageImages),
      tableBytesPerRow: perRow(sizes?.tables),
      indexBytesPerRow: perRow(sizes?.indexes),
      checkpoints:
        before.checkpoints && after.checkpoints
          ? Math.max(
              0,
              after.checkpoints.begun - before.checkpoints.begun,
              after.checkpoints.ended - before.checkpoints.ended,
            )
          : null,
      statements,
      io: before.io && after.io ? ioBetween(before.io, after.io) : null,
      waits:
        this.#waitSamples === 0
          ? null
          : Object.fromEntries([...this.#waits].toSorted(([, left], [, right]) => right - left)),
      waitSamples: this.#waitSamples,
      missing: [...this.#missing].map(([what, why]) => `${sentenceCase(what)}: ${why}.`),
    };
  }

  /** Ends the looking for good, also where no `end` will come, and the connection. */
  close(): void {
    this.#isClosed = true;
    this.#stopLooking();
    this.#slot.close();
  }

  #stopLooking(): void {
    this.#turn += 1;
    this.#cancelLook?.();
    this.#cancelLook = undefined;
  }

  #scheduleLook(turn: number): void {
    this.#cancelLook = this.#timers.after(this.#sampleEveryMs, () => {
      // One look at a time: under load an answer may take longer than the pause.
      this.#look = this.#lookAtWaits(turn).then(() => {
        if (turn === this.#turn) this.#scheduleLook(turn);
      });
    });
  }

  async #lookAtWaits(turn: number): Promise<void> {
    const seen = await this.#ask('waits', () =>
      this.#query<{ kind: string | null; event: string | null; visible: boolean; backends: number }>(
        sql`select ${sql.raw(MARK)} wait_event_type as kind, wait_event as event, state is not null as visible, count(*)::int as backends
          from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid() and coalesce(backend_type, 'client backend') in ('client backend', 'parallel worker')
          group by 1, 2, 3`,
      ),
    );
    if (seen === undefined || turn + 1 < this.#turn) return;
    this.#waitSamples += 1;
    for (const { kind, event, visible, backends } of seen) {
      if (!visible) {
        this.#hiddenBackends += backends;
        continue;
      }
      const name = waitName(kind, event);
      this.#waits.set(name, (this.#waits.get(name) ?? 0) + backends);
    }
  }

  async #readServer(): Promise<Server> {
    const [row] = await this.#query<{ version: string; schema: string | null }>(
      sql`select ${sql.raw(MARK)} current_setting('server_version_num') as version,
        (select quote_ident(nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace where extname = 'pg_stat_statements') as schema`,
    );
    return { version: Number(row?.version), statementsSchema: row?.schema ?? null };
  }

  async #readCounters({ version, statementsSchema }: Server): Promise<Counters> {
    const counters: Counters = {};
    const position = await this.#ask('WAL', async () => {
      const [row] = await this.#query<{ position: string }>(
        sql`select ${sql.raw(MARK)} pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::text as position`,
      );
      return BigInt(row?.position ?? 0);
    });
    if (position !== undefined) counters.wal = { position };

    const images = await this.#from(14, version, 'full-page images', async () => {
      const [row] = await this.#query<{ images: string }>(
        sql`select ${sql.raw(MARK)} wal_fpi::text as images from pg_stat_wal`,
      );
      return Number(row?.images);
    });
    if (images !== undefined) counters.fullPageImages = images;

    const checkpoints = await this.#ask('checkpoints', async () => {
      const [row] = await this.#query<{ begun: string; ended: string | null }>(checkpointQuery(version));
      return { begun: Number(row?.begun), ended: Number(row?.ended ?? 0) };
    });
    if (checkpoints !== undefined) counters.checkpoints = checkpoints;

    const io = await this.#from(16, version, 'reads and writes of files (pg_stat_io)', () => this.#readIo());
    if (io !== undefined) counters.io = io;

    const statements = await this.#readStatements(version, statementsSchema);
    if (statements !== undefined) counters.statements = statements;
    return counters;
  }

  async #readIo(): Promise<Map<string, Io[number]>> {
    const rows = await this.#query<Io[number]>(
      sql`select ${sql.raw(MARK)} object, context, coalesce(sum(reads), 0)::float8 as reads, coalesce(sum(writes), 0)::float8 as writes,
        coalesce(sum(extends), 0)::float8 as extends, coalesce(sum(fsyncs), 0)::float8 as fsyncs
        from pg_stat_io group by 1, 2`,
    );
    return new Map(rows.map((row) => [`${row.object}/${row.context}`, row]));
  }

  async #readStatements(
    version: number,
    schema: string | null,
  ): Promise<Map<string, StatementCounters> | undefined> {
    if (schema === null) {
      this.#name(
        'statements',
        'pg_stat_statements is not installed; add it to shared_preload_libraries, restart the server, and run: create extension pg_stat_statements',
      );
      return undefined;
    }
    try {
      const rows = await this.#query<{ id: string | null; calls: number; rows: number; total: number }>(
        sql`select ${sql.raw(MARK)} queryid::text as id, sum(calls)::float8 as calls, sum(rows)::float8 as rows, sum(${totalTime(version)})::float8 as total
          from ${sql.raw(schema)}.pg_stat_statements(false)
          where dbid = (select oid from pg_database where datname = current_database())
          group by 1 order by 4 desc limit ${MAX_STATEMENTS}`,
      );
      if (rows.some(({ id }) => id === null)) {
        this.#name('statements of other roles', 'hidden from this role; grant it pg_read_all_stats');
      }
      return new Map(
        rows.flatMap(({ id, calls, rows: found, total }) =>
          id === null ? [] : [[id, { calls, rows: found, totalMs: total }]],
        ),
      );
    } catch (error) {
      this.#name(
        'statements',
        // object_not_in_prerequisite_state
        sqlState(error) === '55000'
          ? 'pg_stat_statements is not loaded; add it to shared_preload_libraries and restart the server'
          : reason(error),
      );
      return undefined;
    }
  }

  async #topStatements(
    schema: string | null,
    before: ReadonlyMap<string, StatementCounters>,
    after: ReadonlyMap<string, StatementCounters>,
  ): Promise<Statements | null> {
    const changed = [...after]
      .map(([id, { calls, rows, totalMs }]) => {
        const base = before.get(id) ?? { calls: 0, rows: 0, totalMs: 0 };
        return { id, calls: calls - base.calls, rows: rows - base.rows, totalMs: totalMs - base.totalMs };
      })
      // Fewer calls than before: somebody reset the statistics meanwhile.
      .filter(({ calls }) => calls > 0)
      .toSorted((left, right) => right.totalMs - left.totalMs)
      // The watch's own are among them, and are only known by their texts: it has fewer than ten.
      .slice(0, 2 * TOP_STATEMENTS);
    if (changed.length === 0) return [];
    const ids = sql.join(
      changed.map(({ id }) => sql`${id}::bigint`),
      sql`, `,
    );
    const texts = await this.#ask('texts of statements', () =>
      this.#query<{ id: string; text: string | null; own: boolean }>(
        sql`select ${sql.raw(MARK)} queryid::text as id, max(left(query, ${sql.raw(String(STATEMENT_CHARACTERS))})) as text,
            bool_or(position(${MARK} in query) > 0) as own
          from ${sql.raw(schema as string)}.pg_stat_statements(true)
          where dbid = (select oid from pg_database where datname = current_database()) and queryid in (${ids})
          group by 1`,
      ),
    );
    if (texts === undefined) return null;
    const byId = new Map(texts.map((row) => [row.id, row]));
    return changed
      .flatMap(({ id, calls, rows, totalMs }) => {
        const found = byId.get(id);
        if (found === undefined || found.own) return [];
        return [{ text: statementText(found.text ?? ''), calls, rows, meanMs: totalMs / calls, totalMs }];
      })
      .slice(0, TOP_STATEMENTS);
  }

  async #readSizes(tables: readonly string[]): Promise<{ tables: number; indexes: number }> {
    const sizes = { tables: 0, indexes: 0 };
    for (const table of tables) {
      const [row] = await this.#query<{ tables: number; indexes: number }>(
        sql`select ${sql.raw(MARK)} pg_table_size(${table}::regclass)::float8 as tables, pg_indexes_size(${table}::regclass)::float8 as indexes`,
      );
      sizes.tables += row?.tables ?? 0;
      sizes.indexes += row?.indexes ?? 0;
    }
    return sizes;
  }

  /** Asks what there is from a major version on. */
  async #from<Answer>(
    major: number,
    version: number,
    what: string,
    ask: () => Promise<Answer>,
  ): Promise<Answer | undefined> {
    if (version >= major * 10_000) return this.#ask(what, ask);
    this.#name(what, `there from PostgreSQL ${major} on, this is ${Math.floor(version / 10_000)}`);
    return undefined;
  }

  /** The answer, or undefined and a sentence about why there is none. */
  async #ask<Answer>(what: string, ask: () => Promise<Answer>): Promise<Answer | undefined> {
    try {
      return await ask();
    } catch (error) {
      this.#name(what, reason(error));
      return undefined;
    }
  }

  #name(what: string, why: string): void {
    if (!this.#missing.has(what)) this.#missing.set(what, why);
  }

  async #query<Row>(query: SQL): Promise<Row[]> {
    const result = await this.#slot.use(({ db }) => db.execute(query));
    return (result as unknown as { rows: Row[] }).rows;
  }
}

/** PostgreSQL 17 has a separate view for the checkpointer, and 18 a column for those that came to their end. */
function checkpointQuery(version: number): SQL {
  const mark = sql.raw(MARK);
  if (version < 170_000) {
    return sql`select ${mark} (checkpoints_timed + checkpoints_req)::text as begun, null as ended from pg_stat_bgwriter`;
  }
  const ended = version < 180_000 ? sql`null` : sql`num_done::text`;
  return sql`select ${mark} (num_timed + num_requested)::text as begun, ${ended} as ended from pg_stat_checkpointer`;
}

function totalTime(version: number): SQL {
  return version < 130_000 ? sql`total_time` : sql`total_exec_time`;
}

function waitName(kind: string | null, event: string | null): string {
  if (kind === null || event === null) return 'running';
  return PLAIN_WAITS.includes(kind) ? event : `${kind}:${event}`;
}

function ioBetween(before: ReadonlyMap<string, Io[number]>, after: ReadonlyMap<string, Io[number]>): Io {
  const counts = ['reads', 'writes', 'extends', 'fsyncs'] as const;
  return [...after]
    .map(([key, row]) => {
      const base = before.get(key);
      const changed = { ...row };
      for (const count of counts) changed[count] = Math.max(0, row[count] - (base?.[count] ?? 0));
      return changed;
    })
    .filter((row) => counts.some((count) => row[count] > 0))
    .toSorted((left, right) => total(right) - total(left));
  function total(row: Io[number]): number {
    return counts.reduce((sum, count) => sum + row[count], 0);
  }
}

function difference(before: number | undefined, after: number | undefined): number | null {
  return before === undefined || after === undefined ? null : Math.max(0, after - before);
}

function reason(error: unknown): string {
  // insufficient_privilege
  const hint = sqlState(error) === '42501' ? '; grant this role pg_monitor' : '';
  return `${errorText(error).replace(/\.$/, '')}${hint}`;
}

function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
