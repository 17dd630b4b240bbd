/** A client identity with an ordered sequence, as its shard knows it. */

/** The epoch of raw sockets, whose producers do not number their messages themselves. */
export const RAW_EPOCH = 0;

/** What one welcome began: the next `resume` names it (PROTOCOL.md, "Producer, epoch, sequence"). */
export interface ProducerSession {
  readonly id: string;
  /** The session that it went on from. It may be resumed once more while nothing came in this one: a welcome may get lost. */
  readonly previous: string | undefined;
  /** The sequence that came next when it began. */
  readonly from: number;
  /** True once a batch came in it, even one that held nothing new. */
  hasCome: boolean;
}

/** A session that another one has followed, and how far the epoch was by then. */
export interface EndedSession {
  readonly id: string;
  readonly upTo: number;
}

/** One epoch of a producer. A later epoch of the same name is another object. */
export interface Producer {
  readonly name: string;
  readonly epoch: number;
  /** The client's own name for the one start of its program that this epoch belongs to. */
  readonly instance: string | undefined;
  /** The newest session; undefined where nobody was given one. */
  session: ProducerSession | undefined;
  /** Those before it, oldest first. */
  endedSessions: readonly EndedSession[];
  /** The sequence that its next message has. */
  nextSequence: number;
  /** How far it is committed in this epoch: in Postgres, or among the dead letters. */
  committed: number;
  /** True where somebody waits for its watermarks: not for raw sockets, and not for messages that are retried. */
  readonly isTracked: boolean;
  /** False from the welcome of an epoch that was not known before until the client's first batch: it is said again. */
  isKnown: boolean;
  /** Its messages in the group that is being gathered. */
  run: Run | undefined;
  /** Runs that are in the outbox and not settled. */
  pendingRuns: number;
  /** True where its row in storage is older than what is known here. */
  isChanged: boolean;
  /**
   * How far its sequences are used up by its row in storage. It is ahead of its messages where the last of them were
   * refused or are missing: nothing else tells of those after a restart.
   */
  usedUpTo: number;
  /**
   * True where it may be further than what is known here: messages of it were taken while they were kept in memory only,
   * and that memory is gone.
   */
  isFloor: boolean;
  /** True while a socket speaks for it. */
  hasSession: boolean;
  /** The lane that its runs are in. */
  lane: number;
  /** `nextSequence` when a report last said how much came. */
  reportedSequence: number;
}

/** Messages of one frame, as they came; or single ones that came one after another. */
export interface Chunk {
  readonly payloads: readonly string[];
  /** Per payload: true where it has no backslash and no control character. */
  readonly plain: readonly boolean[];
  /** The payloads one below the other, where the frame has them so: joining them again takes longer than all the rest. */
  readonly text: string | undefined;
}

/** Messages of one producer with sequences that follow each other. */
export interface Run {
  readonly producer: Producer;
  readonly epoch: number;
  readonly firstSequence: number;
  readonly receivedAtMs: number;
  readonly chunks: Chunk[];
  /** The last of the chunks, as long as only single messages follow: they share it. */
  singles: { payloads: string[]; plain: boolean[]; text: undefined } | undefined;
  rows: number;
}

/**
 * How far a producer is settled, for acks: what was refused after its last message has nothing to be committed. To be
 * asked while nothing of it is gathered and not stored.
 */
export function settledUpTo({ pendingRuns, nextSequence, committed }: Producer): number {
  return pendingRuns === 0 ? nextSequence - 1 : committed;
}

/**
 * A producer of a raw socket that has just connected. Its sequences begin at the time of day in microseconds: one
 * producer sends less than a million messages a second for hours on end, so they grow over reconnects, hibernation
 * and restarts of the shard without any storage.
 */
export function startProducer(name: string, nowMs: number): Producer {
  return untrackedProducer(name, RAW_EPOCH, nowMs * 1000);
}

/** A producer of an epoch, with the sequence that its next message has. */
export function createProducer(
  name: string,
  epoch: number,
  nextSequence: number,
  committed = nextSequence - 1,
  instance: string | undefined = undefined,
): Producer {
  return {
    name,
    epoch,
    instance,
    session: undefined,
    endedSessions: [],
    nextSequence,
    committed,
    isTracked: true,
    isKnown: true,
    run: undefined,
    pendingRuns: 0,
    isChanged: false,
    usedUpTo: nextSequence - 1,
    isFloor: false,
    hasSession: false,
    lane: 0,
    reportedSequence: nextSequence,
  };
}

/** A producer whose watermarks nobody waits for. */
export function untrackedProducer(name: string, epoch: number, nextSequence: number): Producer {
  return { ...createProducer(name, epoch, nextSequence), isTracked: false };
}
