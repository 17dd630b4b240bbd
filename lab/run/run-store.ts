/**
 * Runs of the bench in SQLite: what was asked for, how far each run is, its repetitions and its events. Every step is
 * written before the next begins, so that the process that carries out a run may end at any time.
 */

import { SluiceError } from '../../src/core/errors.ts';
import type { Sqlite } from '../../src/database/sqlite.ts';
import type { RepRecord } from '../result.ts';
import type { RunState } from './run-state.ts';
import type { RunFacts } from './summary.ts';

export const RUN_STATUSES = ['queued', 'running', 'complete', 'invalid', 'aborted', 'failed'] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

/** A run as a listing shows it. */
export interface StoredRun {
  id: string;
  suite: string;
  status: RunStatus;
  createdAtMs: number;
  endedAtMs: number | null;
  /** Steps of the plan that are over, and how many it has. */
  taken: number;
  total: number;
  /** Why it failed. */
  error: string | null;
}

/** What a client of the events sees; the ids of a run count from 1 without gaps. */
export interface RunEvent {
  id: number;
  kind: 'state' | 'repetition' | 'end';
  data: unknown;
}

/** Runs that are kept; of older ones only those that have ended are forgotten. */
export const MAX_KEPT_RUNS = 50;

const TABLES = [
  `create table if not exists bench_runs (
    number integer primary key,
    id text not null unique,
    suite text not null,
    status text not null,
    created_at_ms integer not null,
    ended_at_ms integer,
    state text not null,
    facts text,
    taken integer not null,
    total integer not null,
    attempts integer not null default 0,
    error text
  ) strict`,
  // A row for each repetition: all of them in one would grow beyond what a row may hold.
  `create table if not exists bench_records (
    run text not null, number integer not null, variant text not null, record text not null,
    primary key (run, number)
  ) strict, without rowid`,
  `create table if not exists bench_events (
    run text not null, id integer not null, kind text not null, data text not null,
    primary key (run, id)
  ) strict, without rowid`,
];

interface RunRow {
  id: string;
  suite: string;
  status: RunStatus;
  created_at_ms: number;
  ended_at_ms: number | null;
  taken: number;
  total: number;
  error: string | null;
}

const COLUMNS = 'id, suite, status, created_at_ms, ended_at_ms, taken, total, error';

export class RunStore {
  readonly #sqlite: Sqlite;

  /** Creates the tables where there are none. */
  constructor(sqlite: Sqlite) {
    this.#sqlite = sqlite;
    for (const statement of TABLES) sqlite.run(statement);
  }

  /**
   * Takes a run in.
   *
   * @throws SluiceError `bench_running` where another one has not ended: two would measure each other
   */
  create(id: string, suite: string, state: RunState, total: number): StoredRun {
    return this.#sqlite.transaction(() => {
      const active = this.active();
      if (active !== undefined) {
        throw new SluiceError(
          'bench_running',
          `The run ${active.id} is under way: one at a time, or they would measure each other`,
          { details: { run: active.id } },
        );
      }
      this.#sqlite.run(
        `insert into bench_runs (id, suite, status, created_at_ms, state, taken, total) values (?, ?, 'queued', ?, ?, 0, ?)`,
        id,
        suite,
        state.startedAtMs,
        JSON.stringify({ ...state, records: {} }),
        total,
      );
      this.#append(id, 'state', { status: 'queued', taken: 0, total });
      this.#prune();
      return this.get(id);
    });
  }

  /** @throws SluiceError `not_found` */
  get(id: string): StoredRun {
    const [row] = this.#sqlite.run<RunRow>(`select ${COLUMNS} from bench_runs where id = ?`, id);
    if (row === undefined) throw unknownRun(id);
    return toRun(row);
  }

  /** The run that has not ended; undefined where there is none. */
  active(): StoredRun | undefined {
    const [row] = this.#sqlite.run<RunRow>(
      `select ${COLUMNS} from bench_runs where status in ('queued', 'running') limit 1`,
    );
    return row === undefined ? undefined : toRun(row);
  }

  /** The latest runs, the last one first. */
  list(limit = MAX_KEPT_RUNS): StoredRun[] {
    return this.#sqlite
      .run<RunRow>(`select ${COLUMNS} from bench_runs order by number desc limit ?`, limit)
      .map(toRun);
  }

  /**
   * Where a run stands, without its repetitions: all that `BenchRun.resume` needs for another step.
   *
   * @throws SluiceError `not_found`
   */
  place(id: string): RunState {
    const [row] = this.#sqlite.run<{ state: string }>('select state from bench_runs where id = ?', id);
    if (row === undefined) throw unknownRun(id);
    return JSON.parse(row.state) as RunState;
  }

  /** The same with its repetitions: all that a result needs. @throws SluiceError `not_found` */
  state(id: string): RunState {
    const place = this.place(id);
    const records: Record<string, RepRecord[]> = {};
    for (const { variant, record } of this.#sqlite.run<{ variant: string; record: string }>(
      'select variant, record from bench_records where run = ? order by number',
      id,
    )) {
      records[variant] = [...(records[variant] ?? []), JSON.parse(record) as RepRecord];
    }
    return { ...place, records };
  }

  /** What was found out about the place of the run; undefined before its first step. @throws SluiceError `not_found` */
  facts(id: string): RunFacts | undefined {
    const [row] = this.#sqlite.run<{ facts: string | null }>('select facts from bench_runs where id = ?', id);
    if (row === undefined) throw unknownRun(id);
    return row.facts === null ? undefined : (JSON.parse(row.facts) as RunFacts);
  }

  saveFacts(id: string, facts: RunFacts): void {
    this.#sqlite.run('update bench_runs set facts = ? where id = ?', JSON.stringify(facts), id);
  }

  /** A step begins. @returns how often this step has begun, this time included */
  beginStep(id: string): number {
    return this.#sqlite.transaction(() => {
      const run = this.get(id);
      if (run.status === 'queued') {
        this.#append(id, 'state', { status: 'running', taken: run.taken, total: run.total });
      }
      const [row] = this.#sqlite.run<{ attempts: number }>(
        `update bench_runs set status = 'running', attempts = attempts + 1 where id = ? returning attempts`,
        id,
      );
      return row?.attempts ?? 1;
    });
  }

  /** A step is over. @param record the repetition that it was; null for the warm-up */
  endStep(
    id: string,
    state: RunState,
    steps: { taken: number; total: number },
    record: { variant: string; record: RepRecord } | null,
  ): void {
    this.#sqlite.transaction(() => {
      this.#sqlite.run(
        'update bench_runs set state = ?, taken = ?, total = ?, attempts = 0 where id = ?',
        JSON.stringify({ ...state, records: {} }),
        steps.taken,
        steps.total,
        id,
      );
      if (record === null) {
        this.#append(id, 'state', { status: 'running', ...steps, warmUpMs: state.warmUpMs });
        return;
      }
      this.#sqlite.run(
        'insert into bench_records (run, number, variant, record) values (?, ?, ?, ?)',
        id,
        record.record.order,
        record.variant,
        JSON.stringify(record.record),
      );
      const { rep, units, elapsedMs, perSecond, audit, broken } = record.record;
      this.#append(id, 'repetition', {
        ...steps,
        variant: record.variant,
        rep,
        reps: state.reps,
        units,
        elapsedMs,
        perSecond,
        audit,
        ...(broken === undefined ? {} : { broken }),
      });
    });
  }

  /** The run has ended. Nothing happens where it had already. */
  end(id: string, status: RunStatus, endedAtMs: number, error: string | null = null): void {
    this.#sqlite.transaction(() => {
      const ended = this.#sqlite.run(
        `update bench_runs set status = ?, ended_at_ms = ?, error = ? where id = ? and status in ('queued', 'running') returning 1`,
        status,
        endedAtMs,
        error,
        id,
      );
      if (ended.length > 0) this.#append(id, 'end', { status, ...(error === null ? {} : { error }) });
    });
  }

  /** Events of a run after an id, in their order. */
  eventsAfter(id: string, after: number): RunEvent[] {
    return this.#sqlite
      .run<{ id: number; kind: RunEvent['kind']; data: string }>(
        'select id, kind, data from bench_events where run = ? and id > ? order by id',
        id,
        after,
      )
      .map(({ data, ...event }) => ({ ...event, data: JSON.parse(data) as unknown }));
  }

  /** Forgets a run that has ended. @throws SluiceError `not_found`, `bench_running` */
  delete(id: string): void {
    const { status } = this.get(id);
    if (status === 'queued' || status === 'running') {
      throw new SluiceError('bench_running', `The run ${id} is under way: cancel it first`);
    }
    this.#forget(id);
  }

  #append(run: string, kind: RunEvent['kind'], data: unknown): void {
    this.#sqlite.run(
      'insert into bench_events (run, id, kind, data) select ?1, coalesce(max(id), 0) + 1, ?2, ?3 from bench_events where run = ?1',
      run,
      kind,
      JSON.stringify(data),
    );
  }

  #prune(): void {
    const old = this.#sqlite.run<{ id: string }>(
      `select id from bench_runs where status not in ('queued', 'running') order by number desc limit -1 offset ?`,
      MAX_KEPT_RUNS - 1,
    );
    for (const { id } of old) this.#forget(id);
  }

  #forget(id: string): void {
    this.#sqlite.transaction(() => {
      this.#sqlite.run('delete from bench_events where run = ?', id);
      this.#sqlite.run('delete from bench_records where run = ?', id);
      this.#sqlite.run('delete from bench_runs where id = ?', id);
    });
  }
}

function toRun(row: RunRow): StoredRun {
  const { id, suite, status, taken, total, error } = row;
  return {
    id,
    suite,
    status,
    createdAtMs: row.created_at_ms,
    endedAtMs: row.ended_at_ms,
    taken,
    total,
    error,
  };
}

function unknownRun(id: string): SluiceError {
  return new SluiceError('not_found', `There is no run ${JSON.stringify(id)}: GET /bench/runs lists them`);
}
