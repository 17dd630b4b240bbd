/**
 * Figures as people read them, for the dashboard and `sluice top`: shortened, with a unit, and the same in both. Null, which
 * means that it is not known, is a dash.
 */

const DASH = '–';

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const EXACT = new Intl.NumberFormat('en-US', { maximumFractionDigits: 2 });
const SHORT = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 });

/** `4,812`, `18.2k`, `1.3M`. */
export function shownCount(count: number | null): string {
  if (count === null) return DASH;
  return Math.abs(count) < 10_000 ? WHOLE.format(count) : SHORT.format(count).replace('K', 'k');
}

/** The same to the digit: `18,204`. */
export function exactCount(count: number | null): string {
  return count === null ? 'not known' : EXACT.format(count);
}

/** A rate per second, without its unit: `0.3`, `4,812`, `18.2k`. */
export function shownRate(perSecond: number | null): string {
  if (perSecond === null) return DASH;
  if (perSecond > 0 && perSecond < 0.1) return '<0.1';
  if (perSecond < 10) return String(Math.round(perSecond * 10) / 10);
  return shownCount(Math.round(perSecond));
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** Bytes by thousands: `312 B`, `1.4 MB`. */
export function shownBytes(bytes: number | null): string {
  if (bytes === null) return DASH;
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${Number(value.toFixed(digits))} ${BYTE_UNITS[unit]}`;
}

/** A duration in milliseconds with its unit, in two digits or so: `0.4 ms`, `12 ms`, `1.4 s`, `2 min`, `3 h`, `5 days`. */
export function shownDuration(ms: number | null): string {
  if (ms === null) return DASH;
  if (ms === 0) return '0 s';
  if (ms < 10) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 99.5) return `${Math.round(minutes)} min`;
  const hours = minutes / 60;
  if (hours < 47.5) return `${Math.round(hours)} h`;
  return `${WHOLE.format(hours / 24)} days`;
}

/** How long ago something was: `now`, `12 s ago`, `2 min ago`. What lies ahead, as clocks differ, is now. */
export function shownAge(atMs: number, nowMs: number): string {
  const ageMs = nowMs - atMs;
  return ageMs < 1_000 ? 'now' : `${shownDuration(Math.floor(ageMs / 1_000) * 1_000)} ago`;
}

/** A number of things: `1 message`, `2,000 messages`. */
export function shownNumberOf(count: number, thing: string): string {
  return `${WHOLE.format(count)} ${thing}${count === 1 ? '' : 's'}`;
}

/** A part of a whole: `0 %`, `<1 %`, `52 %`, and never 100 % before it is full. */
export function shownShare(part: number, whole: number): string {
  if (whole <= 0) return DASH;
  const percent = (part / whole) * 100;
  if (percent > 0 && percent < 1) return '<1 %';
  return `${percent < 100 ? Math.floor(percent) : Math.round(percent)} %`;
}

/** What is asked of a queue to say how long there is room. */
export interface QueueFigures {
  receivedPerSecond: number;
  committedPerSecond: number;
  queueMessages: number;
  queueBytes: number;
  queueLimitBytes: number;
}

/**
 * How long there is room in a queue at its present rates, in milliseconds: 0 where it is full, and null where it does not grow
 * or nothing is known of its messages. It counts with the average size of those that wait.
 */
export function roomMs(queue: QueueFigures): number | null {
  const { receivedPerSecond, committedPerSecond, queueMessages, queueBytes, queueLimitBytes } = queue;
  const growth = receivedPerSecond - committedPerSecond;
  if (queueLimitBytes > 0 && queueBytes >= queueLimitBytes) return 0;
  if (growth <= 0 || queueMessages <= 0 || queueBytes <= 0 || queueLimitBytes <= 0) return null;
  const bytesPerSecond = growth * (queueBytes / queueMessages);
  return ((queueLimitBytes - queueBytes) / bytesPerSecond) * 1_000;
}
