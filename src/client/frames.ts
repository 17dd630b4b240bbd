/** Reads what the server says (PROTOCOL.md). */

/** The members of the server's frames, none of which can be relied on. */
export interface ServerFrame {
  t?: unknown;
  id?: unknown;
  producer?: unknown;
  epoch?: unknown;
  session?: unknown;
  known?: unknown;
  sure?: unknown;
  missing?: unknown;
  ack?: unknown;
  delivery?: unknown;
  taken?: unknown;
  stored?: unknown;
  committed?: unknown;
  credit?: unknown;
  limits?: unknown;
  reason?: unknown;
  from?: unknown;
  to?: unknown;
  code?: unknown;
  message?: unknown;
  messages?: unknown;
  bytes?: unknown;
  frameMessages?: unknown;
  frameBytes?: unknown;
  messageBytes?: unknown;
  temporary?: unknown;
  expected?: unknown;
  got?: unknown;
  retryMs?: unknown;
  by?: unknown;
  column?: unknown;
  constraint?: unknown;
  sqlState?: unknown;
}

/** What the client may have on its way. */
export interface Credit {
  messages: number;
  bytes: number;
}

/** What the server takes at most in a frame. */
export interface Limits {
  frameMessages: number;
  frameBytes: number;
}

/** A whole number from `least`, or undefined. */
export function wholeFrom(value: unknown, least: number): number | undefined {
  return Number.isSafeInteger(value) && (value as number) >= least ? (value as number) : undefined;
}

/** An object, which is empty where there was none. */
export function membersOf(value: unknown): ServerFrame {
  return (typeof value === 'object' && value) || {};
}

/** How far the server is: `taken` where it has no outbox. */
export function storedOf({ stored, taken }: ServerFrame): number | undefined {
  return wholeFrom(stored ?? taken, 0);
}

export function creditOf({ credit }: ServerFrame): Credit | undefined {
  return wholesOf(credit, { messages: 0, bytes: 0 });
}

export function runOf(value: unknown): { from: number; to: number } | undefined {
  return wholesOf(value, { from: 1, to: 1 });
}

/** Members that all are whole numbers from a least one, or undefined. */
export function wholesOf<T extends Partial<Record<keyof ServerFrame, number>>>(
  value: unknown,
  least: T,
): T | undefined {
  const members = membersOf(value);
  const found = { ...least };
  for (const name of Object.keys(least) as (keyof T & keyof ServerFrame)[]) {
    const whole = wholeFrom(members[name], least[name] as number);
    if (whole === undefined) return undefined;
    (found as Record<keyof T, number>)[name] = whole;
  }
  return found;
}
