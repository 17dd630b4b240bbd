/**
 * Notifications that are to be delivered, as they outlive the object: bounded, and of one incident in their order, so that nobody hears
 * the end before the beginning.
 */

import type { Sqlite } from '../../database/sqlite.ts';
import type { Notification, NotificationKind } from './notification.ts';

/** Deliveries that wait. What comes when it is full takes the place of the oldest, which counts as given up. */
export const MAX_WAITING = 500;

export interface Delivery {
  number: number;
  webhook: string;
  notification: Notification;
  createdAtMs: number;
  tries: number;
}

/** How it stands with one receiver. */
export interface ReceiverFigures {
  delivered: number;
  /** Tries that failed. */
  failedTries: number;
  /** Deliveries that were given up. */
  givenUp: number;
  /** What the receiver answered last; null where it did not answer. */
  lastStatus: number | null;
  /** Why the last try failed; null where it went well. */
  lastFailure: string | null;
  lastAtMs: number | null;
}

type DeliveryRow = [
  number: number,
  webhook: string,
  notification: string,
  createdAtMs: number,
  tries: number,
];
type FigureRow = [
  delivered: number,
  failedTries: number,
  givenUp: number,
  lastStatus: number | null,
  lastFailure: string | null,
  lastAtMs: number | null,
];

const NO_FIGURES: ReceiverFigures = {
  delivered: 0,
  failedTries: 0,
  givenUp: 0,
  lastStatus: null,
  lastFailure: null,
  lastAtMs: null,
};

/** What a delivery has to wait for: an earlier one of its incident. */
const IS_FIRST =
  'not exists (select 1 from alert_deliveries earlier where earlier.webhook = alert_deliveries.webhook and earlier.incident = alert_deliveries.incident and earlier.number < alert_deliveries.number)';

export class DeliveryQueue {
  readonly #sqlite: Sqlite;
  /** What `dueMs` has found out, until something changes: it is asked for at every report. */
  readonly #dueMs = new Map<string, number>();

  constructor(sqlite: Sqlite) {
    this.#sqlite = sqlite;
    sqlite.run(
      'create table if not exists alert_deliveries (number integer primary key autoincrement, webhook text not null, incident text not null, kind text not null, notification text not null, created_at_ms integer not null, tries integer not null, due_ms integer not null)',
    );
    sqlite.run(
      'create index if not exists alert_deliveries_order on alert_deliveries (webhook, incident, number)',
    );
    // Who has heard of an incident: only they hear of its end.
    sqlite.run(
      'create table if not exists alert_told (webhook text not null, incident text not null, primary key (webhook, incident)) without rowid',
    );
    sqlite.run(
      'create table if not exists alert_receivers (webhook text primary key, delivered integer not null, failed_tries integer not null, given_up integer not null, last_status integer, last_failure text, last_at_ms integer) without rowid',
    );
  }

  /** Drops what is for receivers that are not there any more. */
  keepOnly(webhooks: readonly string[]): void {
    for (const table of ['alert_deliveries', 'alert_told', 'alert_receivers']) {
      const known = this.#sqlite.rows<[string]>(`select distinct webhook from ${table}`);
      for (const [webhook] of known)
        if (!webhooks.includes(webhook)) this.#sqlite.run(`delete from ${table} where webhook = ?`, webhook);
    }
  }

  /** The end of an incident, or that somebody has seen it, is told only to those who heard, or will hear, of its beginning. */
  add(webhook: string, notification: Notification): void {
    const { incident, kind, atMs } = notification;
    if (kind !== 'firing' && !this.#hears(webhook, incident)) return;
    this.#makeRoom();
    this.#dueMs.delete(webhook);
    this.#sqlite.run(
      'insert into alert_deliveries (webhook, incident, kind, notification, created_at_ms, tries, due_ms) values (?, ?, ?, ?, ?, 0, ?)',
      webhook,
      incident,
      kind,
      JSON.stringify(notification),
      Math.round(atMs),
      Math.round(atMs),
    );
  }

  /** The next one for a receiver that is due. */
  next(webhook: string, nowMs: number): Delivery | undefined {
    return this.#sqlite
      .rows<DeliveryRow>(
        `select number, webhook, notification, created_at_ms, tries from alert_deliveries
          where webhook = ? and due_ms <= ? and ${IS_FIRST} order by number limit 1`,
        webhook,
        nowMs,
      )
      .map(([number, name, notification, createdAtMs, tries]) => ({
        number,
        webhook: name,
        notification: JSON.parse(notification) as Notification,
        createdAtMs,
        tries,
      }))[0];
  }

  /** When the next one for a receiver is due; Infinity where none waits. */
  dueMs(webhook: string): number {
    const known = this.#dueMs.get(webhook);
    if (known !== undefined) return known;
    const row = this.#sqlite.rows<[number | null]>(
      `select min(due_ms) from alert_deliveries where webhook = ? and ${IS_FIRST}`,
      webhook,
    )[0];
    const dueMs = row?.[0] ?? Number.POSITIVE_INFINITY;
    this.#dueMs.set(webhook, dueMs);
    return dueMs;
  }

  waiting(webhook: string): number {
    const row = this.#sqlite.rows<[number]>(
      'select count(*) from alert_deliveries where webhook = ?',
      webhook,
    );
    return row[0]?.[0] ?? 0;
  }

  delivered({ number, webhook, notification }: Delivery, status: number, nowMs: number): void {
    this.#sqlite.transaction(() => {
      this.#remove(number);
      this.#noteTold(webhook, notification.incident, notification.kind);
      const { delivered } = this.figures(webhook);
      this.#saveFigures(webhook, {
        delivered: delivered + 1,
        lastStatus: status,
        lastFailure: null,
        lastAtMs: nowMs,
      });
    });
  }

  failed(
    { number, webhook, tries }: Delivery,
    failure: { status: number | null; text: string },
    dueMs: number,
    nowMs: number,
  ): void {
    this.#dueMs.delete(webhook);
    this.#sqlite.transaction(() => {
      this.#sqlite.run(
        'update alert_deliveries set tries = ?, due_ms = ? where number = ?',
        tries + 1,
        Math.round(dueMs),
        number,
      );
      this.noteFailure(webhook, failure, nowMs);
    });
  }

  /** It will not be tried again. Who never heard of an incident does not hear of its end. */
  givenUp({ number, webhook, notification: { incident, kind } }: Delivery): void {
    this.#sqlite.transaction(() => {
      this.#remove(number);
      this.#countGivenUp(webhook);
      if (kind === 'resolved') this.#noteTold(webhook, incident, kind);
      else this.#dropUnheard(webhook, incident);
    });
  }

  noteFailure(
    webhook: string,
    { status, text }: { status: number | null; text: string },
    nowMs: number,
  ): void {
    const { failedTries } = this.figures(webhook);
    this.#saveFigures(webhook, {
      failedTries: failedTries + 1,
      lastStatus: status,
      lastFailure: text,
      lastAtMs: nowMs,
    });
  }

  figures(webhook: string): ReceiverFigures {
    const row = this.#sqlite.rows<FigureRow>(
      'select delivered, failed_tries, given_up, last_status, last_failure, last_at_ms from alert_receivers where webhook = ?',
      webhook,
    )[0];
    if (row === undefined) return NO_FIGURES;
    const [delivered, failedTries, givenUp, lastStatus, lastFailure, lastAtMs] = row;
    return { delivered, failedTries, givenUp, lastStatus, lastFailure, lastAtMs };
  }

  #hears(webhook: string, incident: string): boolean {
    const found = this.#sqlite.rows(
      `select 1 from alert_told where webhook = ? and incident = ?
        union all select 1 from alert_deliveries where webhook = ? and incident = ? and kind = 'firing'`,
      webhook,
      incident,
      webhook,
      incident,
    );
    return found.length > 0;
  }

  #noteTold(webhook: string, incident: string, kind: NotificationKind): void {
    if (kind === 'firing')
      this.#sqlite.run(
        'insert or ignore into alert_told (webhook, incident) values (?, ?)',
        webhook,
        incident,
      );
    if (kind === 'resolved')
      this.#sqlite.run('delete from alert_told where webhook = ? and incident = ?', webhook, incident);
  }

  #dropUnheard(webhook: string, incident: string): void {
    if (this.#hears(webhook, incident)) return;
    this.#dueMs.clear();
    this.#sqlite.run('delete from alert_deliveries where webhook = ? and incident = ?', webhook, incident);
  }

  #makeRoom(): void {
    const all = this.#sqlite.rows<[number]>('select count(*) from alert_deliveries')[0]?.[0] ?? 0;
    if (all < MAX_WAITING) return;
    const oldest = this.#sqlite.rows<DeliveryRow>(
      'select number, webhook, notification, created_at_ms, tries from alert_deliveries order by number limit 1',
    )[0];
    if (oldest === undefined) return;
    const [number, name, notification, createdAtMs, tries] = oldest;
    this.givenUp({
      number,
      webhook: name,
      notification: JSON.parse(notification) as Notification,
      createdAtMs,
      tries,
    });
  }

  #remove(number: number): void {
    this.#dueMs.clear();
    this.#sqlite.run('delete from alert_deliveries where number = ?', number);
  }

  #countGivenUp(webhook: string): void {
    const { givenUp } = this.figures(webhook);
    this.#saveFigures(webhook, { givenUp: givenUp + 1 });
  }

  #saveFigures(webhook: string, changed: Partial<ReceiverFigures>): void {
    const figures = { ...this.figures(webhook), ...changed };
    this.#sqlite.run(
      'insert or replace into alert_receivers (webhook, delivered, failed_tries, given_up, last_status, last_failure, last_at_ms) values (?, ?, ?, ?, ?, ?, ?)',
      webhook,
      figures.delivered,
      figures.failedTries,
      figures.givenUp,
      figures.lastStatus,
      figures.lastFailure,
      figures.lastAtMs === null ? null : Math.round(figures.lastAtMs),
    );
  }
}
