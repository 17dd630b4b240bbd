/** Silences: alerts that are not told for a time, because somebody said so. They still fire, and are in the history. */

import { SluiceError } from '../../core/errors.ts';
import type { Sqlite } from '../../database/sqlite.ts';

/** What a silence is about: every member that is not null has to be the alert's. All null: every alert. */
export interface SilenceScope {
  rule: string | null;
  sink: string | null;
  shard: number | null;
}

export interface Silence extends SilenceScope {
  id: string;
  untilMs: number;
  /** Who silenced it. */
  by: string;
  createdAtMs: number;
}

/** The longest silence: what is silent for longer is a rule that should be off. */
export const MAX_SILENCE_MS = 30 * 86_400_000;
const MAX_SILENCES = 100;
export const MAX_WHO_LENGTH = 100;

type SilenceRow = [
  id: string,
  rule: string | null,
  sink: string | null,
  shard: number | null,
  untilMs: number,
  by: string,
  createdAtMs: number,
];

export class Silences {
  readonly #sqlite: Sqlite;
  #all: Silence[];

  constructor(sqlite: Sqlite) {
    this.#sqlite = sqlite;
    sqlite.run(
      'create table if not exists alert_silences (id text primary key, rule text, sink text, shard integer, until_ms integer not null, silenced_by text not null, created_at_ms integer not null) without rowid',
    );
    this.#all = sqlite
      .rows<SilenceRow>(
        'select id, rule, sink, shard, until_ms, silenced_by, created_at_ms from alert_silences order by id',
      )
      .map(([id, rule, sink, shard, untilMs, by, createdAtMs]) => ({
        id,
        rule,
        sink,
        shard,
        untilMs,
        by,
        createdAtMs,
      }));
  }

  /** Those that last. */
  list(nowMs: number): Silence[] {
    return this.#all.filter(({ untilMs }) => untilMs > nowMs);
  }

  /** Until when an alert is silent; null where it is not. */
  untilMs(alert: SilenceScope, nowMs: number): number | null {
    const untils = this.#all
      .filter((one) => one.untilMs > nowMs && matches(one, alert))
      .map((one) => one.untilMs);
    return untils.length === 0 ? null : Math.max(...untils);
  }

  /** When the next one ends; Infinity where there is none. */
  nextEndMs(nowMs: number): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.list(nowMs).map(({ untilMs }) => untilMs));
  }

  /**
   * Takes the place of an earlier one about the same.
   *
   * @throws SluiceError `invalid_options` where there are too many
   */
  add(silence: Silence): void {
    this.#sqlite.transaction(() => {
      this.end(silence);
      this.#dropEnded(silence.createdAtMs);
      if (this.#all.length >= MAX_SILENCES) {
        throw new SluiceError(
          'invalid_options',
          `There are ${MAX_SILENCES} silences already: end one of them, or silence a whole rule or sink`,
        );
      }
      const { id, rule, sink, shard, untilMs, by, createdAtMs } = silence;
      this.#sqlite.run(
        'insert into alert_silences (id, rule, sink, shard, until_ms, silenced_by, created_at_ms) values (?, ?, ?, ?, ?, ?, ?)',
        id,
        rule,
        sink,
        shard,
        Math.round(untilMs),
        by,
        Math.round(createdAtMs),
      );
    });
    this.#all.push(silence);
  }

  /** Ends the one about just this, if there is one. */
  end({ rule, sink, shard }: SilenceScope): void {
    const isMeant = (one: SilenceScope): boolean =>
      one.rule === rule && one.sink === sink && one.shard === shard;
    if (!this.#all.some(isMeant)) return;
    this.#sqlite.run(
      'delete from alert_silences where rule is ? and sink is ? and shard is ?',
      rule,
      sink,
      shard,
    );
    this.#all = this.#all.filter((one) => !isMeant(one));
  }

  #dropEnded(nowMs: number): void {
    this.#sqlite.run('delete from alert_silences where until_ms <= ?', nowMs);
    this.#all = this.list(nowMs);
  }
}

function matches(silence: SilenceScope, alert: SilenceScope): boolean {
  return (
    (silence.rule === null || silence.rule === alert.rule) &&
    (silence.sink === null || silence.sink === alert.sink) &&
    (silence.shard === null || silence.shard === alert.shard)
  );
}
