/**
 * Alerts that are told together. Four shards that lose the same database are one piece of news: the alerts of one rule about one sink
 * are an incident, from the first that fires to when all are over. A receiver hears when it begins, when further shards join, and once
 * when it is over; of what was never told, it does not hear the end either.
 */

import type { Sqlite } from '../../database/sqlite.ts';
import { type Alert, groupOf, groupSubject } from './alert.ts';

/** How long the first alert of an incident waits for others that fire at the same moment. */
const FIRST_WAIT_MS = 1_000;
/** How long further ones do. */
const FURTHER_WAIT_MS = 10_000;

/** What there is to tell. */
export interface IncidentNews extends Pick<Alert, 'rule' | 'sink' | 'database'> {
  incident: string;
  kind: 'firing' | 'resolved';
  /** Empty where it is over and the history does not have them any more. */
  alerts: readonly Alert[];
}

/** Ids of told alerts that an incident keeps. A shard that comes and goes while another one fires makes a new one each time. */
const MAX_TOLD = 300;

export interface Incident {
  id: string;
  /** Ids of alerts that were told. */
  told: ReadonlySet<string>;
  /** When further ones are to be told; Infinity where there are none. */
  dueMs: number;
}

export interface IncidentsOptions {
  sqlite: Sqlite;
  randomId: () => string;
  /** An alert that is over. */
  find: (id: string) => Alert | undefined;
}

type IncidentRow = [key: string, id: string, told: string, dueMs: number | null];

export class Incidents {
  readonly #options: IncidentsOptions;
  readonly #open: Map<string, Incident>;

  constructor(options: IncidentsOptions) {
    this.#options = options;
    const { sqlite } = options;
    sqlite.run(
      'create table if not exists alert_incidents (key text primary key, id text not null, told text not null, due_ms integer) without rowid',
    );
    this.#open = new Map(
      sqlite
        .rows<IncidentRow>('select key, id, told, due_ms from alert_incidents')
        .map(([key, id, told, dueMs]) => [
          key,
          { id, told: new Set(JSON.parse(told) as string[]), dueMs: dueMs ?? Number.POSITIVE_INFINITY },
        ]),
    );
  }

  /** When there is something to tell though nothing else happens; Infinity where not. */
  get dueMs(): number {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const incident of this.#open.values()) dueMs = Math.min(dueMs, incident.dueMs);
    return dueMs;
  }

  /** The incident of an alert, once it was told; undefined before, and where there is none. */
  toldIncident(alert: Alert): string | undefined {
    const incident = this.#open.get(groupOf(alert));
    return incident?.told.has(alert.id) === true ? incident.id : undefined;
  }

  /**
   * @param firing the alerts that fire
   * @param isSilent whether one is not to be told
   * @returns what there is to tell now
   */
  update(firing: readonly Alert[], isSilent: (alert: Alert) => boolean, nowMs: number): IncidentNews[] {
    const groups = new Map<string, Alert[]>([...this.#open.keys()].map((key) => [key, []]));
    for (const alert of firing) {
      const key = groupOf(alert);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [alert]);
      else group.push(alert);
    }
    const news: IncidentNews[] = [];
    for (const [key, alerts] of groups) {
      const one = this.#updateOne(key, alerts, isSilent, nowMs);
      if (one !== undefined) news.push(one);
    }
    return news;
  }

  #updateOne(
    key: string,
    firing: readonly Alert[],
    isSilent: (alert: Alert) => boolean,
    nowMs: number,
  ): IncidentNews | undefined {
    const known = this.#open.get(key);
    if (known !== undefined && firing.length === 0) return this.#close(key, known);
    const audible = firing.filter((alert) => !isSilent(alert));
    const isNew = (alert: Alert): boolean => known?.told.has(alert.id) !== true;
    if (!audible.some(isNew)) {
      // They were silenced, or are over, before they were told.
      if (known !== undefined && Number.isFinite(known.dueMs))
        this.#save(key, { ...known, dueMs: Number.POSITIVE_INFINITY });
      return undefined;
    }
    const incident = known ?? {
      id: this.#options.randomId(),
      told: new Set<string>(),
      dueMs: Number.POSITIVE_INFINITY,
    };
    const waitMs = incident.told.size === 0 ? FIRST_WAIT_MS : FURTHER_WAIT_MS;
    const dueMs = Math.min(incident.dueMs, nowMs + waitMs);
    if (dueMs > nowMs) {
      if (dueMs !== incident.dueMs) this.#save(key, { ...incident, dueMs });
      return undefined;
    }
    const now = audible.map(({ id }) => id);
    const told = new Set([...[...incident.told].filter((id) => !now.includes(id)), ...now].slice(-MAX_TOLD));
    this.#save(key, { ...incident, told, dueMs: Number.POSITIVE_INFINITY });
    return { ...groupSubject(key), incident: incident.id, kind: 'firing', alerts: audible };
  }

  #close(key: string, { id, told }: Incident): IncidentNews | undefined {
    this.#open.delete(key);
    this.#options.sqlite.run('delete from alert_incidents where key = ?', key);
    const alerts = [...told].map(this.#options.find).filter((alert) => alert !== undefined);
    return told.size === 0 ? undefined : { ...groupSubject(key), incident: id, kind: 'resolved', alerts };
  }

  #save(key: string, incident: Incident): void {
    this.#open.set(key, incident);
    this.#options.sqlite.run(
      'insert or replace into alert_incidents (key, id, told, due_ms) values (?, ?, ?, ?)',
      key,
      incident.id,
      JSON.stringify([...incident.told]),
      Number.isFinite(incident.dueMs) ? Math.round(incident.dueMs) : null,
    );
  }
}
