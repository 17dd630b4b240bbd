/**
 * What becomes of a hello: the tables of PROTOCOL.md, "hello", as a function of what the client says and what the shard knows.
 * An ack may cover only what its own session's holder sent, so who goes on in an epoch is decided here, and nowhere else.
 */

import { MAX_EPOCH_AHEAD_MS } from '../core/limits.ts';
import type { Producer } from '../outbox/producer.ts';
import { MAX_SESSION_ORDINAL, ordinalOf } from '../outbox/session-name.ts';
import type { HelloIntent } from '../protocol/sluice-v1.ts';

/** Sessions that a storage may have lost when it goes back in time. */
const MAX_FORGOTTEN_SESSIONS = 1_000_000;

/** An epoch above which there is none. */
const MAX_EPOCH = Number.MAX_SAFE_INTEGER;

export type HelloDecision =
  /** A new epoch begins, at the sequence `next`. */
  | {
      kind: 'begin';
      epoch: number;
      next: number;
      instance: string | undefined;
      /** The number of its first session; undefined where it gets none. */
      ordinal: number | undefined;
      /** The session that the client was in, where the shard has no memory of it: its next welcome may get lost as well. */
      previous: string | undefined;
    }
  /** The epoch goes on in a new session. */
  | {
      kind: 'continue';
      producer: Producer;
      previous: string | undefined;
      ordinal: number;
      /** Missing where nothing was sent in the epoch yet. */
      next: number | undefined;
      /** True where the shard has forgotten sessions that the client knows. */
      isForgetful: boolean;
    }
  /**
   * What an older instance left is sent again, in its epoch. `ordinal` is there where the session that it names is not the
   * newest: a session of its own begins, which tells apart what others send from what it sends, also to later recoveries.
   */
  | {
      kind: 'recover';
      producer: Producer;
      next: number;
      sure: number | undefined;
      ordinal: number | undefined;
    }
  | { kind: 'refuse'; code: 'fenced' | 'invalid_hello'; reason: string };

/** @param epochs what is known of the producer, the newest last */
export function decideHello(hello: HelloIntent, epochs: readonly Producer[], nowMs: number): HelloDecision {
  if ('epoch' in hello && hello.epoch !== undefined && hello.epoch > nowMs + MAX_EPOCH_AHEAD_MS) {
    const newest = epochs.at(-1)?.epoch ?? 0;
    if (hello.intent === 'begin' || hello.epoch > newest)
      return refuse(
        'invalid_hello',
        "epoch is more than a day after the server's clock, and would lock out all that go by it",
      );
  }
  const decision = decideIntent(hello, epochs, nowMs);
  const ordinal = decision.kind === 'refuse' ? undefined : decision.ordinal;
  if (ordinal !== undefined && ordinal > MAX_SESSION_ORDINAL)
    return refuse('invalid_hello', 'session: no epoch has so many sessions; begin a new one');
  return decision;
}

function decideIntent(hello: HelloIntent, epochs: readonly Producer[], nowMs: number): HelloDecision {
  switch (hello.intent) {
    case 'begin':
      return decideBegin(hello, epochs, nowMs);
    case 'resume':
      return decideResume(hello, epochs);
    case 'recover':
      return decideRecover(hello, epochs, nowMs);
  }
}

function decideBegin(
  { epoch, instance }: Extract<HelloIntent, { intent: 'begin' }>,
  epochs: readonly Producer[],
  nowMs: number,
): HelloDecision {
  const newest = epochs.at(-1);
  const current = newest?.epoch ?? 0;
  const own = instance === undefined ? undefined : epochs.find((each) => each.instance === instance);
  if (own !== undefined) {
    if (own !== newest || hasCome(own))
      return refuse('fenced', 'this instance has begun already: name another one, or resume its session');
    return {
      kind: 'continue',
      producer: own,
      previous: own.session?.id,
      ordinal: ordinalOf(own.session?.id) + 1,
      next: undefined,
      isForgetful: false,
    };
  }
  if (epoch === undefined ? current === MAX_EPOCH : epoch <= current)
    return refuse('fenced', `the current epoch is ${current}`);
  return {
    kind: 'begin',
    epoch: epoch ?? Math.max(current + 1, nowMs),
    next: 1,
    instance,
    ordinal: 1,
    previous: undefined,
  };
}

function decideResume(
  { epoch, instance, session, next }: Extract<HelloIntent, { intent: 'resume' }>,
  epochs: readonly Producer[],
): HelloDecision {
  const newest = epochs.at(-1);
  if (newest === undefined || newest.epoch < epoch)
    return { kind: 'begin', epoch, next, instance, ordinal: ordinalOf(session) + 1, previous: session };
  if (newest.epoch > epoch) return refuse('fenced', `the current epoch is ${newest.epoch}`);
  const known = newest.session;
  const isNewest = known === undefined || known.id === session;
  // The welcome of the newest was lost on its way: its holder has only this one.
  const isBefore = known?.previous === session && !hasCome(newest);
  // The shard's storage went back in time: it has forgotten a session that it gave. It has not forgotten millions of them: that
  // would be somebody who uses up the numbers of this epoch's sessions.
  const ahead = ordinalOf(session) - ordinalOf(known?.id);
  const isForgetful = ahead > 0 && ahead <= MAX_FORGOTTEN_SESSIONS;
  if (!isNewest && !isBefore && !isForgetful)
    return refuse('fenced', 'another client went on in this epoch, from a copy of this one');
  const ordinal = Math.max(ordinalOf(known?.id), ordinalOf(session)) + 1;
  return {
    kind: 'continue',
    producer: newest,
    previous: session,
    ordinal,
    next,
    isForgetful: isForgetful && !isNewest,
  };
}

function decideRecover(
  { instance, session, next }: Extract<HelloIntent, { intent: 'recover' }>,
  epochs: readonly Producer[],
  nowMs: number,
): HelloDecision {
  const producer = epochs.find((each) => each.instance === instance);
  if (producer === undefined) {
    const epoch = Math.max((epochs.at(-1)?.epoch ?? 0) + 1, nowMs);
    if (epoch > MAX_EPOCH) return refuse('fenced', `the current epoch is ${MAX_EPOCH}`);
    return { kind: 'begin', epoch, next, instance, ordinal: undefined, previous: undefined };
  }
  const newest = producer.session;
  const isOlder =
    session !== undefined &&
    newest !== undefined &&
    ordinalOf(session) <= ordinalOf(newest.id) &&
    session !== newest.id;
  // Sequences that are skipped are none that the holder of the newest session sent: it has to be told apart from then on.
  const begins = isOlder || next > producer.nextSequence;
  return {
    kind: 'recover',
    producer,
    next,
    sure: isOlder ? sureOf(producer, session) : undefined,
    ordinal: begins ? ordinalOf(newest?.id) + 1 : undefined,
  };
}

// Up to where the numbers of an instance are known to stand for what a copy with this older session holds; undefined where all do.
// A storage that has no session lost it, or was left before the first welcome: nothing tells of a copy.
function sureOf({ endedSessions, nextSequence }: Producer, session: string): number | undefined {
  const sure = endedSessions.find(({ id }) => id === session)?.upTo ?? 0;
  return sure < nextSequence - 1 ? sure : undefined;
}

/** True where a batch came in an epoch's newest session. */
function hasCome({ session, nextSequence }: Producer): boolean {
  if (session === undefined) return nextSequence > 1;
  return session.hasCome || nextSequence > session.from;
}

function refuse(code: 'fenced' | 'invalid_hello', reason: string): HelloDecision {
  return { kind: 'refuse', code, reason };
}
