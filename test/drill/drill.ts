/** Runs the incidents one after the other, and finds out who said what, and when. */

import { setTimeout as delay } from 'node:timers/promises';
import type { DrillBed, Witnesses, WitnessName } from './drill-bed.ts';
import type { Incident, Testimony } from './incident.ts';
import type { Witness } from './witness.ts';

/** The most that anybody may take, in seconds, unless an incident says otherwise. */
export const WITHIN_S = 15;

/** How long the drill waits for what has to be said, before it counts as not said. */
const LONGEST_S = 150;

const LOOK_EVERY_MS = 50;

/** When each said it, in seconds after it happened. Missing: there was nothing to say. Undefined: it was not said. */
export type Heard = Partial<Record<WitnessName, number | undefined>>;

export interface IncidentReport {
  title: string;
  begins: Heard;
  /** Until the first batch succeeded again, in seconds after it was put right. */
  returnS: number;
  /** In seconds after the first success. */
  ends: Heard;
  staysWell: readonly WitnessName[];
  failures: string[];
}

export interface DrillOptions {
  isShort: boolean;
  onReport: (report: IncidentReport) => void;
}

export async function runDrill(
  bed: DrillBed,
  incidents: readonly Incident[],
  { isShort, onReport }: DrillOptions,
): Promise<IncidentReport[]> {
  const reports: IncidentReport[] = [];
  for (const incident of incidents) {
    const report = await runIncident(bed, incident, isShort);
    reports.push(report);
    onReport(report);
  }
  return reports;
}

async function runIncident(bed: DrillBed, incident: Incident, isShort: boolean): Promise<IncidentReport> {
  const failures: string[] = [];
  const { table } = incident;
  await calm(bed.witnesses, incident.begins);
  const rowsBefore = await bed.rows(table);
  const struckAtMs = Date.now();
  await incident.strike(bed);
  const begins = await hearAll(bed.witnesses, incident.begins, struckAtMs, struckAtMs);
  await delay(incident.lastsMs[isShort ? 1 : 0]);
  // A table that was taken away cannot be counted; nothing came into it since.
  const rows = await bed.rows(table).catch(() => rowsBefore);
  const endedAtMs = Date.now();
  await incident.end(bed);
  const returnedAtMs = await bed.firstSuccess(table, rows, LONGEST_S * 1_000);
  // What says so at once may do so before the drill has seen the row.
  const ends = await hearAll(bed.witnesses, incident.ends, endedAtMs, returnedAtMs);
  for (const [when, heard] of [
    ['begins', begins],
    ['ends', ends],
  ] as const) {
    for (const [name, seconds] of Object.entries(heard) as [WitnessName, number | undefined][]) {
      const limit = incident.within?.[name]?.[when] ?? WITHIN_S;
      if (seconds === undefined) failures.push(`${name} did not say that it ${when}, for ${LONGEST_S} s`);
      // CI's machine may be busy with other things: there it counts that it was said.
      else if (!isShort && seconds > limit)
        failures.push(
          `${name} said that it ${when} after ${seconds.toFixed(1)} s, and ${limit} s are allowed`,
        );
    }
  }
  const { title, stays = {} } = incident;
  const staysWell = Object.keys(stays) as WitnessName[];
  for (const name of staysWell) {
    const isMeant = stays[name] as (said: unknown) => boolean;
    if (!(bed.witnesses[name] as Witness<unknown>).always(struckAtMs, Date.now(), isMeant))
      failures.push(`${name} did not say all the time that it is well`);
  }
  return { title, begins, returnS: (returnedAtMs - endedAtMs) / 1_000, ends, staysWell, failures };
}

/** Those who show how it is, and do not tell what happens: they may still show the incident before. */
const SHOWING: readonly WitnessName[] = ['health', 'metrics', 'dashboard'];

/** Waits until nobody shows already what is about to happen. */
async function calm(witnesses: Witnesses, begins: Testimony): Promise<void> {
  const untilMs = Date.now() + LONGEST_S * 1_000;
  for (const name of SHOWING) {
    const isMeant = begins[name] as ((said: unknown) => boolean) | undefined;
    const witness = witnesses[name] as Witness<unknown>;
    while (isMeant !== undefined && (witness.latest === undefined || isMeant(witness.latest))) {
      if (Date.now() > untilMs) throw new Error(`${name} shows what has not happened yet`);
      await delay(LOOK_EVERY_MS);
    }
  }
}

/**
 * Waits until all who have something to say have said it.
 *
 * @param sinceMs what was said before is of something else
 * @param fromMs what seconds count from
 */
async function hearAll(
  witnesses: Witnesses,
  testimony: Testimony,
  sinceMs: number,
  fromMs: number,
): Promise<Heard> {
  const heard: Heard = {};
  const expected = Object.entries(testimony) as [WitnessName, (said: never) => boolean][];
  const untilMs = fromMs + LONGEST_S * 1_000;
  for (const [name] of expected) heard[name] = undefined;
  for (;;) {
    for (const [name, isMeant] of expected) {
      const witness = witnesses[name] as Witness<unknown>;
      const atMs = witness.firstAtMs(sinceMs, isMeant as (said: unknown) => boolean);
      if (atMs !== undefined) heard[name] ??= Math.max(0, atMs - fromMs) / 1_000;
    }
    if (expected.every(([name]) => heard[name] !== undefined) || Date.now() > untilMs) return heard;
    await delay(LOOK_EVERY_MS);
  }
}
