/**
 * Named places where a test may make something go wrong. They are handed in as a dependency: production code has the
 * empty ones, and nothing in an environment or a request can switch another one on.
 */

export const FAILPOINTS = [
  /** A group of messages is about to be written to the outbox. */
  'before_outbox_write',
  /** It was written, and no ack has been sent yet. */
  'after_outbox_write',
  /** A transaction has begun and its checkpoint has moved; no row was written. */
  'after_begin',
  /** The rows were written in an open transaction. */
  'after_rows',
  /** Postgres has committed, and nobody has been told. */
  'after_commit',
  /** The shard knows of the commit, and the outbox still has the messages. */
  'before_outbox_trim',
  /** The alarm went off. */
  'in_alarm',
] as const;

export type Failpoint = (typeof FAILPOINTS)[number];

export interface Failpoints {
  /** Called at a place where work is synchronous: to throw is all that it can do. */
  hit(name: Failpoint): void;
  /** Called at a place where work may wait: it may also never resolve. */
  pass(name: Failpoint): Promise<void>;
}

/** No failpoint does anything. */
export const NO_FAILPOINTS: Failpoints = {
  hit() {},
  async pass() {},
};
