/**
 * Looks at a Postgres while a repetition runs, over its own connection: what it wrote, which statements took its
 * time, and what its backends waited for.
 *
 * Nothing here may fail a run. What the server does not have, or does not show to this role, is null and named.
 */

import { sql } from 'drizzle-orm';
import type { Timers } from '../../src/core/timers.ts';
import type { Connection } from '../../src/database/connection.ts';
import { ConnectionSlot } from '../../src/database/connection-slot.ts';
import { type Server, ServerQuestions } from '../../src/monitor/server-questions.ts';
import type { ServerFigures } from '../result.ts';
import {
  type Counters,
  checkpointsBetween,
  difference,
  ioBetween,
  readCounters,
  readSizes,
} from './server-counters.ts';
import type { ServerWatch } from './server-watch.ts';
import { topStatements } from './top-statements.ts';

/** Marks the watch's own statements, so that they are not counted. */
const MARK = '/* sluice watch */';
/** Between two looks at what the backends wait for: five a second. */
const SAMPLE_EVERY_MS = 200;
/** A statistics view answers within moments; one that waits for a lock must not hold up the bench. */
const ANSWER_TIME_LIMIT_MS = 5_000;
/** Kinds of waits that are told by their name alone. The others' names mean nothing without their kind. */
const PLAIN_WAITS = ['Client', 'IO'];

export interface PostgresWatchOptions {
  /** Opens a connection that nobody else uses: a look must not wait for the bench's own statements. */
  open: () => Promise<Connection>;
  timers: Timers;
  /** Default: 200. */
  sampleEveryMs?: number;
}

export class PostgresWatch implements ServerWatch {
  readonly #slot: ConnectionSlot;
  readonly #questions: ServerQuestions;
  readonly #timers: Timers;
  readonly #sampleEveryMs: number;
  #server: Server | undefined;
  #before: Counters = {};
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
    this.#questions = new ServerQuestions(async <Row>(text: string) => {
      const result = await this.#slot.use(({ db }) => db.execute(sql.raw(text)));
      return (result as unknown as { rows: Row[] }).rows;
    }, MARK);
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
    this.#questions.reset();
    this.#waits = new Map();
    this.#waitSamples = 0;
    this.#hiddenBackends = 0;
    this.#before = {};
    this.#server = await this.#questions.ask('the server', () => this.#questions.server());
    if (this.#server === undefined) return;
    this.#before = await readCounters(this.#questions, this.#server);
    if (turn === this.#turn) this.#scheduleLook(turn);
  }

  async end(rows: number, tables: readonly string[]): Promise<ServerFigures> {
    this.#stopLooking();
    await this.#look;
    const server = this.#isClosed ? undefined : this.#server;
    const before = this.#before;
    const after = server === undefined ? {} : await readCounters(this.#questions, server);
    const perRow = (bytes: number | undefined): number | null =>
      bytes === undefined || rows === 0 ? null : bytes / rows;
    const sizes =
      server === undefined || tables.length === 0
        ? undefined
        : await this.#questions.ask('sizes of tables', () => readSizes(this.#questions, tables));
    const statements =
      server === undefined || before.statements === undefined || after.statements === undefined
        ? null
        : await topStatements(this.#questions, server.statementsSchema, before.statements, after.statements);
    if (this.#hiddenBackends > 0) {
      this.#questions.name('waits of other roles', 'hidden from this role; grant it pg_read_all_stats');
    }
    return {
      walBytesPerRow: perRow(
        before.wal && after.wal ? Number(after.wal.position - before.wal.position) : undefined,
      ),
      walFullPageImages: difference(before.fullPageImages, after.fullPageImages),
      tableBytesPerRow: perRow(sizes?.tables),
      indexBytesPerRow: perRow(sizes?.indexes),
      checkpoints: checkpointsBetween(before, after),
      statements,
      io: before.io && after.io ? ioBetween(before.io, after.io) : null,
      waits:
        this.#waitSamples === 0
          ? null
          : Object.fromEntries([...this.#waits].toSorted(([, left], [, right]) => right - left)),
      waitSamples: this.#waitSamples,
      missing: this.#questions.missing,
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
    const seen = await this.#questions.ask('waits', () =>
      this.#questions.query<{
        kind: string | null;
        event: string | null;
        visible: boolean;
        backends: number;
      }>(
        `select wait_event_type as kind, wait_event as event, state is not null as visible, count(*)::int as backends
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
}

function waitName(kind: string | null, event: string | null): string {
  if (kind === null || event === null) return 'running';
  return PLAIN_WAITS.includes(kind) ? event : `${kind}:${event}`;
}
