/** The header `Retry-After`: how long to wait. */

/** @returns milliseconds, 0 where the time is past; undefined where the header is missing or says nothing that can be read */
export function retryAfterMs(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  // A date; without this, "-5" and "7.5" are dates too.
  const atMs = /[a-z]{3}/i.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}
