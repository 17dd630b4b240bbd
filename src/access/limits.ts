/** How much somebody may send. */

/** Bounds of a rate, of connections, and of room. What is left out is not bounded. */
export interface AccessLimits {
  /** Messages a second, over time; a second's worth may come at once. */
  messagesPerSecond?: number;
  /** Bytes a second, over time: those of the messages' text. */
  bytesPerSecond?: number;
  /** Sockets at the same time. */
  connections?: number;
  /** The share of a shard's outbox that may hold messages of it, above 0 and at most 1. */
  outboxShare?: number;
}

/** Whose limits they are. Each holds by itself: a message has to be within all of them. */
export interface LimitsOf {
  /** All producers of a tenant together. Divided by the shards of the sink. */
  tenant?: AccessLimits;
  /** Each producer. Its shard counts it, so it is exact. */
  producer?: AccessLimits;
  /** Each socket. */
  connection?: Pick<AccessLimits, 'messagesPerSecond' | 'bytesPerSecond'>;
  /** Each address that clients connect from (`CF-Connecting-IP`). Counted in each shard. */
  address?: AccessLimits;
}
