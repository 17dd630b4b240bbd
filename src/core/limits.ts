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

/**
 * Length of a producer's name as its client says it, in characters. Names are part of every row and of the shard's attachment;
 * there a tenant's name of up to 64 characters and a `/` may precede it.
 */
export const MAX_PRODUCER_LENGTH = 128;

/** Length of a tenant's name, in characters. It is a part of the names of its producers. */
export const MAX_TENANT_LENGTH = 64;

/** Length of a token, of whatever kind, in characters, which are all ASCII. Cloudflare takes headers of 128 KB in all. */
export const MAX_TOKEN_LENGTH = 8 * 1024;

/** Length of the name by which operators know a token. */
export const MAX_TOKEN_ID_LENGTH = 128;

/** What a token grants, as a socket keeps it through hibernation: 16 KB hold that and the session. */
export const MAX_GRANT_BYTES = 8 * 1024;

/** Names of sinks, and patterns of producers, in one grant. */
export const MAX_GRANT_NAMES = 256;

/** Sockets of a shard that have still to bring their token in the `hello`. Each has 5 seconds. */
export const MAX_UNNAMED_SOCKETS = 1_000;

/** Static tokens of a deployment. */
export const MAX_STATIC_TOKENS = 1_000;

/** Secrets that are valid at the same time. Each is one more signature to try. */
export const MAX_SECRETS = 8;

/** Length of a secret that signs tokens: as long as its signature of SHA-256 (RFC 7518, 3.2). */
export const MIN_SECRET_BYTES = 32;

/** How long a ticket is good, unless it says otherwise, and at most. */
export const DEFAULT_TICKET_LIFETIME_MS = 30_000;
export const MAX_TICKET_LIFETIME_MS = 300_000;

/** How long a fetch of a JSON Web Key Set may take, the longest that is read, and the most keys of it. */
export const JWKS_TIME_LIMIT_MS = 5_000;
export const MAX_JWKS_BYTES = 256 * 1024;
export const MAX_JWKS_KEYS = 100;

/** When a key set is fetched again though nothing seems wrong with it, and how long it is used where that fails. */
export const JWKS_MAX_AGE_MS = 600_000;
export const JWKS_MAX_STALE_MS = 86_400_000;

/** The shortest time between two fetches of a key set: anybody can make up a key that is not in it. */
export const JWKS_REFETCH_MS = 10_000;

/** And while there are no keys yet, which nobody can connect without. */
export const JWKS_FIRST_RETRY_MS = 1_000;

/** Tickets that a shard remembers as used, until they expire: with 30 seconds each, 3,000 connections a second. */
export const MAX_USED_TICKETS = 100_000;

/** How long it may take to find out whose a token is, before the client is told to come again. */
export const AUTHORIZE_TIME_LIMIT_MS = 10_000;

/** Shards of one sink. Each holds at least one database connection while traffic flows. */
export const MAX_SHARDS = 256;

/** Shards that a listing of the directory names. Those in it hold something that is to be written or dropped. */
export const MAX_LISTED_SHARDS = 1_024;

/** Numbers of shards that a sink had and that producers are looked for by, the latest first. */
export const MAX_SHARD_COUNTS = 8;

/** How long a shard may take to write what it has of a producer that moves to another one, before the client has to come again. */
export const HAND_OVER_LIMIT_MS = 5_000;

/** How often a shard without a sink looks whether it has one again. Each look is an alarm, and a row. */
export const HELD_ALARM_MS = 600_000;

/** Connections of one shard. A Durable Object may have 6 outgoing connections waiting to open. */
export const MAX_CONNECTIONS = 6;

/** Messages that one `/bench` run inside the Worker may send in all, over modes and repetitions. */
export const MAX_WORKER_BENCH_MESSAGES = 2_000_000;

/** How long a database may take to accept a connection. */
export const CONNECT_TIME_LIMIT_MS = 5_000;

/** How long one batch may take to be written before its connection is given up. */
export const WRITE_TIME_LIMIT_MS = 30_000;

/**
 * How long one statement of a batch may take on the server, which ends it by itself then, and gives its locks back. Below
 * `WRITE_TIME_LIMIT_MS`: a connection that is given up would leave the statement running.
 */
export const STATEMENT_TIME_LIMIT_MS = 25_000;

/** How long an unused connection stays open. An open socket keeps a Durable Object and a Neon compute awake. */
export const IDLE_CONNECTION_MS = 5_000;

/** Messages in one frame of `sluice.v1`: as many as 1 MiB holds of the usual size. */
export const MAX_FRAME_MESSAGES = 10_000;

/** Length of the sentence in a nack. */
export const MAX_NACK_TEXT_LENGTH = 300;

/** How long a socket of `sluice.v1` may stay without its hello. */
export const HELLO_TIME_LIMIT_MS = 5_000;

/** How long a client has to send a fresh token (PROTOCOL.md, `auth`). */
export const AUTH_TIME_LIMIT_MS = 25_000;

/** The pause before a client is asked again whose fresh token could not be verified, as while an identity provider is down. */
export const AUTH_RETRY_MS = 5_000;

/**
 * What may wait for a hello whose token is being verified. Nobody is known at that point, so it is little: a client waits for its
 * welcome.
 */
export const MAX_HELD_FRAMES = 8;
export const MAX_HELD_CHARACTERS = 64 * 1024;

/**
 * Bytes sent to a client before it is asked whether it reads. A Durable Object cannot see what a socket still holds:
 * `bufferedAmount` is not implemented in workerd.
 */
export const PING_AFTER_BYTES = 64 * 1024;

/** How long the client may take to answer, and what it may leave unconfirmed after that. */
export const PONG_TIME_LIMIT_MS = 5_000;
export const SLOW_READER_BYTES = 256 * 1024;

/** What a client may ever leave unconfirmed: more than the nacks of one frame, each message of which is refused. */
export const MAX_UNCONFIRMED_BYTES = 2 * 1024 * 1024;

/**
 * The share of a queue's limits from which on clients get no credit. What is above it is for frames that were on their way when the
 * credit fell, so that they need not be refused.
 */
export const CREDIT_ENDS_AT = 0.9;

/** From where on a queue counts as full: clients that keep to their credit stop at about `CREDIT_ENDS_AT`, and never come further. */
export const QUEUE_FULL_AT = 0.89;

/** What all clients of a shard together may have on their way; each gets its share within the bounds below. */
export const SHARD_WINDOW_BYTES = 4 * 1024 * 1024;
export const SHARD_WINDOW_MESSAGES = 65_536;
export const MAX_CREDIT_BYTES = 512 * 1024;
export const MAX_CREDIT_MESSAGES = 8_192;
export const MIN_CREDIT_BYTES = 8 * 1024;
export const MIN_CREDIT_MESSAGES = 64;

/** Nacks of `over_credit` that a socket gets before it is closed. */
export const MAX_OVER_CREDIT = 3;

/** Frames that cannot be read, of one socket, before it is closed. */
export const MAX_BAD_FRAMES = 100;

/** Error frames that a raw socket gets in bytes, and how fast they are forgiven, before it is closed. */
export const MAX_ERROR_BYTES = 1024 * 1024;
export const ERROR_BYTES_FORGIVEN_PER_SECOND = 16 * 1024;

/**
 * Frames in a row of a raw socket that a limit may refuse before it is closed: more than a sender that reads the answers has on
 * its way, and few enough that one that does not read them costs little.
 */
export const MAX_RATE_LIMITED_FRAMES = 256;

/**
 * A group of messages becomes one row of the outbox when it has so much text. A Durable Object's row holds 2 MB; one
 * more frame of 1 MiB may join before it is looked at, and a character takes up to 3 bytes.
 */
export const GROUP_CHARACTERS = 256 * 1024;
export const GROUP_ROWS = 10_000;

/** Producers whose state a shard keeps in its storage; the ones that were not seen for longest are forgotten first. */
export const MAX_KNOWN_PRODUCERS = 100_000;

/** Epochs of one producer that a shard knows, the newest included: what older instances of a client left is recovered from them. */
export const MAX_KNOWN_EPOCHS = 4;

/** Sessions before the newest of an epoch of which a shard knows how far they came. */
export const MAX_ENDED_SESSIONS = 8;

/** How far ahead of the server's clock an epoch may be that a client chose: one further ahead would lock out all that go by the clock. */
export const MAX_EPOCH_AHEAD_MS = 86_400_000;

/** Length of the names of instances and sessions, in characters. */
export const MAX_SESSION_NAME_LENGTH = 64;

/** Producers that may have a session, or messages in the outbox, at the same time. At about 300 bytes each: 20 MB. */
export const MAX_ACTIVE_PRODUCERS = 65_536;

/** How long settled groups may stay in the outbox while it is busy. Each trim writes a row for each active producer. */
export const TRIM_INTERVAL_MS = 1_000;
export const TRIM_BYTES = 4 * 1024 * 1024;

/** Length of the reason that a dead letter is kept with; the same as an error's text has at most. */
export const MAX_DEAD_LETTER_REASON_LENGTH = 500;

/** Characters of a payload that a listing of dead letters shows. */
export const DEAD_LETTER_EXCERPT_CHARACTERS = 200;

/** Dead letters in one page of a listing. */
export const MAX_LISTED_DEAD_LETTERS = 100;

/** Dead letters, and bytes of their payloads, that one step takes out to be written again: all of them are in memory then. */
export const MAX_TAKEN_DEAD_LETTERS = 1_000;
export const MAX_TAKEN_DEAD_LETTER_BYTES = 8 * 1024 * 1024;

/** Largest body of a request to `/admin`. It may hold one edited message, whose quotes JSON writes as two characters. */
export const MAX_ADMIN_BODY_BYTES = 1024 * 1024;

/** How long a shard may take to write what it has accepted before a request for it is answered with `time_limit`. */
export const DRAIN_TIME_LIMIT_MS = 60_000;

/** Length of a stream's or category's name and of a message's type, in UTF-16 code units: three in an index of Postgres stay below its 2,704 bytes. */
export const MAX_STREAM_NAME_LENGTH = 255;

/** Largest message of the store, data and metadata as UTF-8. A row of a Durable Object holds 2 MB. */
export const DEFAULT_MAX_STORED_MESSAGE_BYTES = 1024 * 1024;

/** Messages of one write to the store: what EventoDB takes in a batch. */
export const MAX_WRITE_MESSAGES = 10_000;

/** Text of one write to the store. A write is one transaction, held in memory on both sides. */
export const MAX_WRITE_BYTES = 16 * 1024 * 1024;

/** Messages that a read of the store returns unless it says otherwise (Message DB). */
export const DEFAULT_READ_MESSAGES = 1_000;

/** Text that a page of an iteration over the store is meant to hold: a Worker has 128 MB for all that it does. */
export const MAX_PAGE_BYTES = 8 * 1024 * 1024;

/** Names that a listing of the store returns unless it says otherwise, and at most. */
export const DEFAULT_LIST_NAMES = 100;
export const MAX_LIST_NAMES = 1_000;

/** Members of a consumer group: Message DB casts the size to smallint. */
export const MAX_CONSUMER_GROUP_SIZE = 32_767;

/** Largest position there can be: SQLite's bindings are JavaScript numbers, exact up to 2^53 - 1. */
export const MAX_POSITION = 9_007_199_254_740_991n;

/** Largest position that a message may be imported at: half of all, so that one import cannot use up what is left for writes. */
export const MAX_IMPORTED_POSITION = 4_503_599_627_370_496n;

/** Messages and text of one group of concurrent writes: enough to make the round trip's share small. */
export const MAX_APPEND_GROUP_MESSAGES = 5_000;
export const MAX_APPEND_GROUP_BYTES = 4 * 1024 * 1024;

/** Messages and text that may wait for a group; beyond, writes are refused with `buffer_full`. */
export const MAX_WAITING_MESSAGES = 100_000;
export const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** Largest body of `POST /rpc`. It holds one message, whose characters JSON may write as six. */
export const MAX_RPC_BODY_BYTES = 8 * 1024 * 1024;

/** Subscribers of one namespace (EventoDB, docs/API.md: 100 for each token). */
export const MAX_SUBSCRIBERS = 100;

/** Namespaces of a deployment. */
export const MAX_NAMESPACES = 10_000;

/** Length of an event's type and of a tag, in UTF-16 code units: both stand in one entry of an index of Postgres, below its 2,704 bytes. */
export const MAX_EVENT_TYPE_LENGTH = 255;
export const MAX_TAG_LENGTH = 255;

/** Tags of one event: each is an entry of the index, which every append pays for. */
export const MAX_EVENT_TAGS = 64;

/** Items of a query, and types or tags of an item. */
export const MAX_QUERY_ITEMS = 100;
export const MAX_ITEM_TYPES = 100;
export const MAX_ITEM_TAGS = MAX_EVENT_TAGS;

/** Largest event, data and metadata as UTF-8. A row of a Durable Object holds 2 MB. */
export const DEFAULT_MAX_EVENT_BYTES = 1024 * 1024;

/** Events of one append: ten times what go-crablet takes. */
export const MAX_APPEND_EVENTS = 10_000;

/** Events that a read returns at most unless it says otherwise. */
export const DEFAULT_READ_EVENTS = 1_000;

/** Largest body of `POST /append`. It holds an event of the largest size, whose characters JSON may write as six. */
export const MAX_APPEND_BODY_BYTES = 8 * 1024 * 1024;

/** Values of JSON in a body of `POST /append`: each may take thirty times the memory of its text, in an object of 128 MB. */
export const MAX_APPEND_BODY_VALUES = 1_000_000;

/** Characters of a query in an address. Cloudflare takes addresses of 16 KB; elsewhere nobody else bounds them. */
export const MAX_HTTP_QUERY_CHARACTERS = 64 * 1024;

/** Text that a page of an answer of `GET /read` is meant to hold: several readers share the 128 MB of an object. */
export const MAX_READ_ANSWER_PAGE_BYTES = 1024 * 1024;

/** How often a decision is made again after a conflict, unless it says otherwise, and at most. */
export const DEFAULT_DECISION_RETRIES = 5;
export const MAX_DECISION_RETRIES = 1_000;

/** Events that a handler works on in one transaction, unless it says otherwise, and at most. */
export const DEFAULT_HANDLER_BATCH_EVENTS = 100;
export const MAX_HANDLER_BATCH_EVENTS = 10_000;

/** How often a handler looks for events that others have appended: one look-up of the last position. */
export const HANDLER_POLL_MS = 1_000;

/** Pauses of a handler after a failure: the first, doubled with each further one, and the longest. */
export const HANDLER_RETRY_MS = 100;
export const MAX_HANDLER_RETRY_MS = 30_000;

/** Largest body of a request for a run of the bench: a few options. */
export const MAX_BENCH_BODY_BYTES = 64 * 1024;

/**
 * How long a statement may wait for a lock: that of the checkpoint, which another instance may hold while it writes the
 * same batch, or that of the sink's table, as during an ALTER TABLE. Then it fails with 55P03, to be tried again.
 * A third of `WRITE_TIME_LIMIT_MS`: were the connection given up while a statement waits, the server would not notice,
 * and each further try would leave one more process waiting after the first.
 */
export const LOCK_TIME_LIMIT_MS = 10_000;

/** Origins and patterns of them that a deployment may list. */
export const MAX_ORIGINS = 100;

/** The longest origin that is looked at: a scheme, a host of 253 characters and a port. */
export const MAX_ORIGIN_LENGTH = 270;

/** Tokens, producers and tenants that are revoked at the same time. Each shard has the list in memory: about 100 bytes each. */
export const MAX_REVOCATIONS = 10_000;

/** The longest time that a revocation may be given: ten years. Without one it holds until it is taken back. */
export const MAX_REVOCATION_MS = 10 * 365 * 86_400_000;

/** Characters of what is revoked: a tenant, a slash and a producer, or the id of a token. */
export const MAX_REVOKED_NAME_LENGTH = 256;

/** Sessions that a shard lists for an operator, and that an answer lists. */
export const MAX_LISTED_SESSIONS = 1_000;
