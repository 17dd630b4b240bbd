/** Every ceiling in one place: unit in the name, source or reason above the number. */

/**
 * Bind parameters of one Postgres statement: the protocol counts them in 16 bits, and node-postgres lets the
 * count wrap silently (brianc/node-postgres#2292), so a statement is split before it gets there.
 */
export const MAX_STATEMENT_PARAMETERS = 65_535;

/**
 * Largest frame taken. A Durable Object receives up to 32 MiB, but past that a hibernatable socket delivers
 * nothing and says nothing, and one SQLite row holds 2 MB: stay well below both.
 */
export const MAX_FRAME_BYTES = 1024 * 1024;

/** Largest single message unless a sink says otherwise. */
export const DEFAULT_MAX_MESSAGE_BYTES = 64 * 1024;

/** Deepest nesting of a message. Postgres parses JSON recursively and fails the whole batch past its stack limit. */
export const MAX_NESTING_DEPTH = 512;

/** Digits of a Postgres `numeric` before and after the decimal point (PostgreSQL documentation, "Numeric Types"). */
export const MAX_NUMERIC_INTEGER_DIGITS = 131_072;
export const MAX_NUMERIC_FRACTION_DIGITS = 16_383;

/** Refusals spelled out in one error frame; the rest of the frame's refusals are only counted. */
export const MAX_REFUSALS_PER_ERROR_FRAME = 10;

/** Length of a producer's name, in characters. Names are part of every row and of the shard's attachment. */
export const MAX_PRODUCER_LENGTH = 128;

/** Shards of one sink. Each holds at least one database connection while traffic flows. */
export const MAX_SHARDS = 256;

/** Connections of one shard. A Durable Object may have 6 outgoing connections waiting to open. */
export const MAX_CONNECTIONS = 6;

/** Messages that one `/bench` run inside the Worker may send in all, over modes and repetitions. */
export const MAX_WORKER_BENCH_MESSAGES = 2_000_000;

/** How long a database may take to accept a connection. */
export const CONNECT_TIME_LIMIT_MS = 5_000;

/** How long one batch may take to be written before its connection is given up. */
export const WRITE_TIME_LIMIT_MS = 30_000;

/** How long an unused connection stays open. An open socket keeps a Durable Object and a Neon compute awake. */
export const IDLE_CONNECTION_MS = 5_000;
