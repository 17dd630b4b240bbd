/** Whether a repetition ran at one rate, or was still getting faster or slower when it ended. */

/** How far the last third may be from the first, as a share of the first. */
export const MAX_DRIFT = 0.1;

/** Whole windows needed to say anything: three to a third, so that one flush more or less is no drift. */
export const MIN_WINDOWS = 9;

export interface Steadiness {
  /** `unknown`: too few windows, or nothing was done in them. */
  verdict: 'steady' | 'not steady' | 'unknown';
  /** The last third against the first: 0.1 is a tenth more. Null where it is unknown or the first third did nothing. */
  drift: number | null;
}

/**
 * Compares the last third of a repetition with its first third.
 *
 * @param windows units done in each `WINDOW_MS`, from the beginning. The last one is left out: the repetition ended
 *   somewhere in it, and it counts fewer units for that alone.
 */
export function steadinessOf(windows: readonly number[]): Steadiness {
  const whole = windows.slice(0, -1);
  if (whole.length < MIN_WINDOWS) return { verdict: 'unknown', drift: null };
  const third = Math.floor(whole.length / 3);
  const first = sum(whole.slice(0, third));
  const last = sum(whole.slice(-third));
  if (first === 0) return { verdict: last === 0 ? 'unknown' : 'not steady', drift: null };
  const drift = last / first - 1;
  return { verdict: Math.abs(last - first) > MAX_DRIFT * first ? 'not steady' : 'steady', drift };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
