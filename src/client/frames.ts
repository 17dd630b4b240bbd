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
  const members = membersOf(credit);
  const messages = wholeFrom(members.messages, 0);
  const bytes = wholeFrom(members.bytes, 0);
  return messages === undefined || bytes === undefined ? undefined : { messages, bytes };
}

export function runOf(value: unknown): { from: number; to: number } | undefined {
  const members = membersOf(value);
  const from = wholeFrom(members.from, 1);
  const to = wholeFrom(members.to, 1);
  return from && to ? { from, to } : undefined;
}
