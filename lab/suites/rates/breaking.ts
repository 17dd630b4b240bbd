/** When a step of the rate ladder is broken. */

/** What a step has to hold. */
export interface RateTarget {
  /** Of the time from when a message was due until it was committed. */
  p99Ms: number;
  /** Failed messages in a million of those due. */
  errorsPerMillion: number;
}

/** What is judged of a step. */
export interface StepFigures {
  ratePerSecond: number;
  measuredMs: number;
  pendingLimit: number;
  giveUpMs: number;
  /** Messages due in the measured part, and of these failed or refused. */
  due: number;
  failed: number;
  lost: number;
  duplicated: number;
  stopped: 'pending' | 'behind' | null;
  unsettled: number;
  endedLateMs: number;
  /** Null where nothing was committed. */
  p99Ms: number | null;
}

/** Sending may end this much later than planned: a share of the time, and what a timer and one turn are late by. */
const LATE_SHARE = 0.02;
const LATE_MS = 100;

/** Why a step did not hold, in a sentence; undefined where it held. The first rule that applies gives the reason. */
export function whyBroken(figures: StepFigures, target: RateTarget): string | undefined {
  const { due, failed, lost, duplicated, stopped, unsettled, endedLateMs, p99Ms } = figures;
  if (lost > 0) return `${count(lost)} messages were lost`;
  if (duplicated > 0) return `${count(duplicated)} rows were there twice`;
  if (stopped === 'pending') {
    return `${count(figures.pendingLimit)} messages were pending, where the bench ends the step`;
  }
  if (failed > (due * target.errorsPerMillion) / 1_000_000) {
    const allowed = percent(target.errorsPerMillion / 1_000_000);
    return `${percent(failed / due)} of the messages failed, ${allowed} may`;
  }
  if (stopped === 'behind')
    return `A message was not committed ${seconds(figures.giveUpMs)} after it was due`;
  if (unsettled > 0) return `${count(unsettled)} messages were not committed in time`;
  if (endedLateMs > figures.measuredMs * LATE_SHARE + LATE_MS) {
    return `The schedule was not kept: sending ended ${seconds(endedLateMs)} late`;
  }
  if (p99Ms === null) return 'Nothing was committed';
  if (p99Ms > target.p99Ms) return `p99 was ${count(p99Ms)} ms, ${count(target.p99Ms)} ms may be`;
  return undefined;
}

function count(number: number): string {
  return Math.round(number).toLocaleString('en-US');
}

function percent(share: number): string {
  return `${(share * 100).toLocaleString('en-US', { maximumFractionDigits: 2 })} %`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toLocaleString('en-US', { maximumFractionDigits: 1 })} s`;
}
