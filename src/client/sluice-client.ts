/**
 * A client of `sluice.v1` (PROTOCOL.md): it numbers messages, sends them in batches within the server's credit, keeps
 * them until they are acknowledged, and goes on after a lost connection or a restart without losing or doubling one.
 *
 * One file without imports, on Web APIs only: it can be copied into a browser, a Worker or Node 20 and later.
 *
 * ```ts
 * const client = new SluiceClient({ url: 'wss://example.com/ws/messages', producer: 'dev-7f3a' });
 * await client.send({ celsius: 21.5 }); // resolves once the server has it on disk
 * client.post({ celsius: 21.6 }); // nobody waits for it: it never throws nor rejects
 * await client.close();
 * ```
 */

/** What the promise of a message waits for (PROTOCOL.md, "Acknowledgement levels"). */
export type AckLevel = 'none' | 'stored' | 'committed';

/** What happens to a message for which the ring has no room. */
export type WhenFull = 'block' | 'reject' | 'drop-oldest' | 'drop-newest';

export interface SluiceClientOptions {
  /**
   * `ws(s)://host/ws/:sink`; `http(s)` is taken as `ws(s)`. The producer is added as `?producer=`, or taken from there.
   * Other parameters are kept.
   */
  url: string | URL;
  /**
   * The producer's name, 1 to 128 characters of `A-Z a-z 0-9 . _ : @ -`. Two clients at the same time need two names:
   * the newer one replaces the older. Default: the `producer` of the url, or else a random UUID.
   */
  producer?: string;
  /** A sink that does not have the level gives the nearest one, see the event `level`. Default: `stored`. */
  ack?: AckLevel;
  /** Messages in a frame, at most; the server's limit holds too. 1 to 10,000. Default: 500. */
  batchMessages?: number;
  /** UTF-8 bytes of the messages in a frame, at most, unless one message alone is larger. Default: 256 KiB. */
  batchBytes?: number;
  /** How long a message waits for others to share its frame. 0: until the current turn ends. Default: 5. */
  lingerMs?: number;
  /** Messages that wait to be sent or acknowledged, at most. Default: 100,000. */
  ringMessages?: number;
  /** UTF-8 bytes of these messages, at most. Default: 16 MiB. */
  ringBytes?: number;
  /** Default: `block`, which lets up to 1,000 calls wait for room; further ones are refused with `ring_full`. */
  whenFull?: WhenFull;
  /**
   * Keeps every message from the moment `send` takes it until it is acknowledged, so that a restarted producer sends
   * what the one before has left. Needs a producer.
   */
  storage?: ClientStorage;
  /** Default: `new WebSocket(url, protocol)`. */
  openSocket?: (url: string, protocol: string) => WebSocketLike;
  /** Default: the platform's. */
  timers?: ClientTimers;
  /** A number from 0 to below 1, for pauses. Default: `Math.random`. */
  random?: () => number;
  /** Called after the current turn, so that it may call the client. */
  onEvent?: (event: ClientEvent) => void;
}

/** What the client needs of a WebSocket: the class of browsers, Node and Workers has it, and so has that of `ws`. */
export interface WebSocketLike {
  readonly protocol?: string | null;
  readonly bufferedAmount?: number;
  send(text: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(
    type: 'open' | 'message' | 'close' | 'error',
    listener: (event: { readonly data?: unknown; readonly code?: number; readonly reason?: string }) => void,
  ): void;
}

/** Time as an argument, so that tests decide what time it is. */
export interface ClientTimers {
  /** Milliseconds of a clock that does not go back. */
  now(): number;
  /** Calls back once after at least `delayMs`; returns what cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

/** Messages as a storage keeps them: `count` of them, one per line of `text`, the first with the sequence `first`. */
export interface StoredBatch {
  readonly first: number;
  readonly count: number;
  readonly text: string;
}

/** Sequences from `first` to `last`, both included. */
export interface SequenceRun {
  readonly first: number;
  readonly last: number;
}

/** What a storage has of one instance: one start of a program. */
export interface StoredInstance {
  readonly instance: string;
  /** The session given to `saveSession` last. */
  readonly session?: string;
  /** The highest sequence given to `trim`; 0 before the first. */
  readonly acked: number;
  /** Every batch that was appended and not trimmed, in the order of their sequences. */
  readonly batches: readonly StoredBatch[];
  /** What was given to `discard`. Runs up to `acked` may be left out. */
  readonly discarded: readonly SequenceRun[];
  /** What was given to `setAside` and not discarded. */
  readonly inDoubt: readonly StoredBatch[];
}

/**
 * Where a producer keeps what it must not forget. A storage belongs to one producer, and to one client at a time.
 *
 * The client calls one method at a time, in order, and repeats one that failed (pauses from 250 ms to 30 s), so each has
 * to stand being called twice with the same arguments. A storage may lose the last of its writes in a crash: what is left
 * has to be a state that it was in. There are ready-made ones: `memoryStorage`, `webStorage` and `indexedDbStorage`
 * in `storages/`, and for Node `fileStorage` in `local/`.
 */
export interface ClientStorage {
  /**
   * Called once, before anything else: what older instances have left, the oldest first. A storage that another client
   * has open rejects with an error whose `code` is `storage_in_use`.
   */
  load(): Promise<readonly StoredInstance[]>;
  /** An instance begins. Called before anything of it is stored. */
  begin(instance: string): Promise<void> | void;
  /** Called as soon as messages are taken; they are sent once this has resolved. */
  append(instance: string, batch: StoredBatch): Promise<void> | void;
  /** The session that the server has named last. */
  saveSession(instance: string, session: string): Promise<void> | void;
  /** Everything up to a sequence is settled. A batch that reaches beyond it is kept whole. */
  trim(instance: string, upTo: number): Promise<void> | void;
  /** The texts of these messages are not needed any more, whether appended or set aside; their sequences stay used. */
  discard(instance: string, run: SequenceRun): Promise<void> | void;
  /** Messages whose fate is unknown: kept apart, `trim` does not touch them. */
  setAside(instance: string, batch: StoredBatch): Promise<void> | void;
  /** Nothing of this instance is needed any more. */
  forget(instance: string): Promise<void> | void;
  /** The client has ended: another one may open the storage. Nothing is called after it. */
  close(): Promise<void> | void;
}

export type ClientState = 'connecting' | 'recovering' | 'ready' | 'paused' | 'draining' | 'closed';

/** A message that was not taken: its index in the call, and why. */
export interface RefusedMessage {
  index: number;
  code: ClientErrorCode;
  /** Why, in a sentence: the server's own where it was the server that refused. */
  message: string;
}

export interface BatchReceipt {
  /** Messages of the call. */
  messages: number;
  /** Those of them that were refused or dropped, by index; all others have reached the level. */
  refused: RefusedMessage[];
  /** Sequence of the first message that got one. Missing when none did. */
  firstSequence?: number;
}

export interface CloseReport {
  /** Messages that were neither acknowledged nor refused nor dropped. Some may have reached the server all the same. */
  unacked: number;
  acked: number;
  refused: number;
  dropped: number;
  /** True when the time limit ended the wait. */
  timedOut: boolean;
  /** The error that ended the client before it was closed. */
  code?: ClientErrorCode;
}

/**
 * Counters since the start, and what there is at the moment. Every message is counted once:
 * `offered + restored = acked + refused + dropped + setAside + unsettled`.
 */
export interface ClientStats {
  /** Messages given to `send`, `sendText`, `sendBatch` and `post`. */
  offered: number;
  /** Messages that a storage brought back. */
  restored: number;
  /** Messages acknowledged at the level (`stored` for `none`), without those refused. */
  acked: number;
  /** Messages refused for whatever reason: by the server, before they were sent, or because the client was over. */
  refused: number;
  /** Messages dropped because the ring was full. */
  dropped: number;
  /** Restored messages whose fate is unknown, see `inDoubt`. */
  setAside: number;
  /** Messages of which nothing is known yet; after the end, those of which nothing was ever known. */
  unsettled: number;
  /** Messages sent for the first time. */
  sent: number;
  /** Messages sent again. The server takes none of them twice. */
  resent: number;
  /** Batch frames sent. */
  frames: number;
  /** Batches that the server put off (`temporary`). */
  putOff: number;
  gaps: number;
  /** Connections that were welcomed. */
  connections: number;
  /** Connections that were lost or could not be made. */
  reconnects: number;
  /** Messages, and their bytes with newlines, that are in the ring: until they are acknowledged. */
  unackedMessages: number;
  unackedBytes: number;
  /** Those of them that were not put into a frame yet. */
  waitingMessages: number;
  /** Calls that wait for room, and their messages that do. */
  blockedCalls: number;
  blockedMessages: number;
  creditMessages: number;
  creditBytes: number;
}

/** Messages of an older instance whose fate is unknown: a copy of it may have sent others under their sequences. */
export interface InDoubtMessages {
  instance: string;
  /** Sequence of the first. */
  first: number;
  texts: string[];
}

/** What a client still held when it ended. */
export interface UnsettledMessages {
  /** Sent and not acknowledged: the server may have them. */
  inDoubt: string[];
  /** Never sent. */
  unsent: string[];
}

export type ClientEvent =
  | { type: 'connected'; epoch: number; resumed: boolean; delivery: string }
  | { type: 'disconnected'; code: number; reason: string; retryMs: number }
  /** The first tries have all failed. `url` is without its parameters. Said once; the client goes on trying. */
  | { type: 'never-connected'; url: string; failures: number; message: string }
  /** The sink gives another level than the one asked for, or that one again. */
  | { type: 'level'; asked: AckLevel; given: AckLevel }
  /** The server had no memory of the epoch: messages sent and not acked before may come a second time. */
  | { type: 'unknown'; epoch: number; next: number }
  /** Messages that were acknowledged and that the server does not have: its storage was lost or went back in time. */
  | { type: 'missing'; from: number; to: number }
  /**
   * What an older instance has left in the storage is settled: `messages` were sent (again), `refused` of them refused;
   * `inDoubt` were set aside, `missing` are acked ones that the server does not have. `known: false`: it had no
   * memory of that instance, and messages may have come a second time.
   */
  | {
      type: 'recovered';
      instance: string;
      messages: number;
      refused: number;
      inDoubt?: { from: number; to: number; messages: number };
      missing?: { from: number; to: number };
      known: boolean;
    }
  | { type: 'nack'; from?: number; to?: number; code: string; temporary: boolean; message: string }
  /** A message given to `post` was refused before it was sent. */
  | { type: 'refused'; code: ClientErrorCode; message: string }
  | { type: 'gap'; expected: number; got: number }
  | { type: 'drain'; retryMs: number }
  | { type: 'dropped'; messages: number }
  /** A frame from the server that cannot be right, or an answer that a frame from here could not be read. */
  | { type: 'protocol-error'; message: string }
  /** A storage that failed and is asked again. */
  | { type: 'storage-failed'; operation: StorageOperationName; error: unknown }
  /** Another client of this producer has taken over: `fenced` by a newer epoch or session, or `replaced` in this one. */
  | { type: 'fenced' | 'replaced'; code: ClientErrorCode; message: string }
  /** Something else that connecting again does not repair. */
  | { type: 'failed'; code: ClientErrorCode; message: string }
  | { type: 'closed'; report: CloseReport };

export type StorageOperationName = keyof ClientStorage;

const REFUSAL_CODES = [
  'invalid_json',
  'invalid_utf8',
  'nul_character',
  'lone_surrogate',
  'number_out_of_range',
  'nesting_too_deep',
  'message_too_large',
  'dead_letter',
] as const;

const FRAME_CODES = [
  'invalid_frame',
  'invalid_utf8',
  'unknown_type',
  'binary_frame',
  'frame_too_large',
] as const;

/** Codes that this file gives to errors, all of Sluice's one table (src/core/errors.ts). */
export const CLIENT_ERROR_CODES = [
  ...REFUSAL_CODES,
  'invalid_frame',
  'unknown_type',
  'binary_frame',
  'frame_too_large',
  'invalid_options',
  'invalid_hello',
  'hello_required',
  'unauthorized',
  'forbidden',
  'unknown_sink',
  'fenced',
  'replaced',
  'fate_unknown',
  'ring_full',
  'client_closed',
  'message_dropped',
  'message_refused',
  'storage_in_use',
  'connection_lost',
  'internal',
] as const;

export type ClientErrorCode = (typeof CLIENT_ERROR_CODES)[number];

/** An error with a code for machines, a sentence for people and, where it helps, data. */
export class SluiceError extends Error {
  override readonly name = 'SluiceError';
  readonly code: ClientErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ClientErrorCode,
    message: string,
    options: { details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

const PROTOCOL = 'sluice.v1';

/** Header of a batch with the largest numbers there are, and its newline. */
const HEADER_BYTES = 64;

/** A `hello` that was not welcomed by then, of a server that answers within moments. A goodbye waits as long. */
const HANDSHAKE_LIMIT_MS = 10_000;

/** Proxies and NATs give up connections that are silent for 30 to 60 s. */
const HEARTBEAT_AFTER_MS = 25_000;
const DEAD_AFTER_MS = 10_000;

/** An ack that is late by so much may be lost: the server is asked once. */
const ACK_PING_AFTER_MS = 5_000;

/** Nothing stored for so long, though the server answers: batches were lost on their way. A new connection finds out. */
const STALLED_AFTER_MS = 30_000;

const WATCH_INTERVAL_MS = 1_000;

/** PROTOCOL.md, "Going on after a lost connection". */
const RETRY_BASE_MS = 250;
const RETRY_MAX_MS = 30_000;

/** PROTOCOL.md, "Close codes", 4429. */
const OVER_CREDIT_RETRY_MS = 30_000;

/** Longest wait that a `drain` may ask for. */
const DRAIN_RETRY_MAX_MS = 60_000;

/** After so many failures without one welcome the client says that something may be wrong with the address. */
const NEVER_CONNECTED_FAILURES = 5;

/** Pauses before a batch that was put off goes out again, unless an ack or a `flow` says sooner that there is room. */
const PUT_OFF_BASE_MS = 20;
const PUT_OFF_MAX_MS = 5_000;

/** What a socket may hold before the client waits, and how soon it looks again: there is no event for it. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
const BUFFERED_RETRY_MS = 10;

/** What is given to a storage at once. */
const MAX_APPEND_MESSAGES = 10_000;
const MAX_APPEND_BYTES = 1024 * 1024;

const MAX_BLOCKED_CALLS = 1_000;

/** Frames that one side could not read, within the time below, before the client gives up. */
const MAX_PROTOCOL_ERRORS = 3;
const PROTOCOL_ERRORS_FORGIVEN_MS = 300_000;

const CLOSE_LIMIT_MS = 30_000;

/** Close codes after which connecting again changes nothing (PROTOCOL.md, "Close codes"). The reason may name another code. */
const TERMINAL_CODES: Readonly<Record<number, { code: ClientErrorCode; message: string }>> = {
  4400: { code: 'invalid_frame', message: 'The server could not read what this client sent' },
  4401: { code: 'unauthorized', message: 'The server wants a token, or another one' },
  4403: { code: 'forbidden', message: 'The token does not allow this sink or producer' },
  4404: { code: 'unknown_sink', message: 'The server has no sink of this name: look at the path of the url' },
  4409: { code: 'replaced', message: 'Another client has taken over this producer' },
  4410: { code: 'fenced', message: 'A newer epoch or session of this producer has begun' },
};

/** Stands in the place of a message that was dropped: its sequence has to be used up. */
const DROPPED = '-';

/** A dropped message as a line, with its newline. */
const DROPPED_BYTES = 2;

/** Messages with the sequences `first` to `first + count - 1`; `bytes` counts a newline for each. */
interface Batch {
  first: number;
  count: number;
  bytes: number;
  /** Undefined: all of them were dropped. */
  text: string | undefined;
}

/** A call, and how far its messages are. Its sequences are contiguous. */
interface Ticket {
  readonly kind: 'one' | 'post' | 'batch' | 'flush';
  readonly total: number;
  /** Some messages of the call wait for room. */
  open: boolean;
  /** Sequences; `last` is below `first` where none was given. */
  first: number;
  last: number;
  /** Messages that are neither refused nor dropped. */
  live: number;
  done: boolean;
  /** Indexes of messages that never get a sequence, in order. */
  skipped: number[] | undefined;
  refused: RefusedMessage[] | undefined;
  resolve: (receipt: BatchReceipt | undefined) => void;
  reject: (error: SluiceError) => void;
}

/** A call whose messages from `next` on wait for room. */
interface BlockedCall {
  texts: readonly string[];
  next: number;
  ticket: Ticket;
}

/** Messages that were set aside. */
interface Doubt {
  window: SendWindow;
  first: number;
  count: number;
  texts: string[];
}

/** What the server takes at most, as its last welcome said. */
interface Limits {
  frameMessages: number;
  frameBytes: number;
}

interface Credit {
  messages: number;
  bytes: number;
}

/** A promise and what settles it (`Promise.withResolvers` is missing in Node 20 and Safari 16). */
interface Deferred<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

/** A line of things with an index from its head, which moves without moving the rest. */
class Line<T> {
  #items: T[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  at(index: number): T | undefined {
    return this.#items[this.#head + index];
  }

  get last(): T | undefined {
    return this.length > 0 ? this.#items.at(-1) : undefined;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  pop(): void {
    this.#items.pop();
  }

  insert(index: number, item: T): void {
    this.#items.splice(this.#head + index, 0, item);
  }

  shift(): void {
    this.#head += 1;
    // What lies before the head is let go in pieces, so that taking away the first costs nothing.
    if (this.#head >= 64 && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }
}

/** Messages that are in no frame yet, in two columns: one object for each would cost more than the message. */
class WaitingMessages {
  #texts: string[] = [];
  #sizes: number[] = [];
  #head = 0;
  bytes = 0;

  get length(): number {
    return this.#texts.length - this.#head;
  }

  push(text: string, bytes: number): void {
    this.#texts.push(text);
    this.#sizes.push(bytes);
    this.bytes += bytes;
  }

  textAt(index: number): string {
    return this.#texts[this.#head + index] as string;
  }

  sizeAt(index: number): number {
    return this.#sizes[this.#head + index] as number;
  }

  /** Puts another text into a place. */
  replace(index: number, text: string, bytes: number): void {
    this.bytes += bytes - this.sizeAt(index);
    this.#texts[this.#head + index] = text;
    this.#sizes[this.#head + index] = bytes;
  }

  /** `count` messages from an index on, joined with newlines. */
  join(index: number, count: number): string {
    if (count === 1) return this.textAt(index);
    return this.#texts.slice(this.#head + index, this.#head + index + count).join('\n');
  }

  /** Takes away the first `count`, which are `bytes` in all, and joins them with newlines. */
  take(count: number, bytes: number): string {
    const text = this.join(0, count);
    this.#forget(count);
    this.bytes -= bytes;
    return text;
  }

  /** Takes away the first and returns its bytes. */
  drop(): number {
    const bytes = this.sizeAt(0);
    this.#forget(1);
    this.bytes -= bytes;
    return bytes;
  }

  /** Takes away what was pushed after there were `length` messages of `bytes`. */
  truncate(length: number, bytes: number): void {
    this.#texts.length = this.#head + length;
    this.#sizes.length = this.#head + length;
    this.bytes = bytes;
  }

  #forget(count: number): void {
    this.#head += count;
    if (this.#head === this.#texts.length) {
      this.#texts.length = 0;
      this.#sizes.length = 0;
      this.#head = 0;
    } else if (this.#head >= 1_024 && this.#head * 2 >= this.#texts.length) {
      this.#texts = this.#texts.slice(this.#head);
      this.#sizes = this.#sizes.slice(this.#head);
      this.#head = 0;
    }
  }
}

/** How much a client keeps at most, and how much it keeps. Dropped messages take no room. */
class Ring {
  readonly maxMessages: number;
  readonly maxBytes: number;
  messages = 0;
  bytes = 0;

  constructor(maxMessages: number, maxBytes: number) {
    this.maxMessages = maxMessages;
    this.maxBytes = maxBytes;
  }

  get hasRoom(): boolean {
    return this.messages < this.maxMessages && this.bytes < this.maxBytes;
  }

  fits(bytes: number): boolean {
    return this.messages < this.maxMessages && this.bytes + bytes <= this.maxBytes;
  }

  add(messages: number, bytes: number): void {
    this.messages += messages;
    this.bytes += bytes;
  }
}

/**
 * The messages of one instance, from the first that is not acked to the last that was taken. The sequence of a message is
 * its place among all that the instance has taken, so a number is never given twice, whatever a storage remembers.
 *
 * `acked + 1 … cut` are in batches without a hole, `cut + 1 … taken` wait to be cut into some.
 */
class SendWindow {
  readonly instance: string;
  readonly #ring: Ring;
  readonly waiting = new WaitingMessages();
  readonly batches = new Line<Batch>();
  epoch: number | undefined;
  session: string | undefined;
  /** Highest sequence that is in a batch. */
  cut = 0;
  /** Highest sequence that was ever put into a frame. */
  sent = 0;
  /** Highest sequence that has reached the level. Never goes back. */
  acked = 0;
  /** Refused ones above `acked`. */
  readonly refused = new Set<number>();

  // Where the batches stand on this connection: those before `cursor` are sent on it, those before `#storedIndex` were
  // acked on it as stored. What older connections sent counts for nothing (PROTOCOL.md, "Going on after a lost
  // connection").
  cursor = 0;
  #storedIndex = 0;
  /** What was acked as stored on this connection. */
  stored = 0;
  outMessages = 0;
  outBytes = 0;

  // What the storage has: all up to `saved`, once this is done up to `saving`.
  saved: number;
  saving = 0;
  trimmed = 0;
  /** The session that the storage does not have yet. */
  unsavedSession: string | undefined;
  readonly discards = new Line<{ first: number; last: number }>();
  readonly aside = new Line<StoredBatch>();
  /** Nothing of it is needed any more. */
  isForgotten = false;

  /** What a recovery has to tell. */
  restored = 0;
  refusedCount = 0;
  isKnown = true;
  missing: { from: number; to: number } | undefined;
  setAsideRun: { from: number; to: number; messages: number } | undefined;
  /** How far doubts go, once they were looked at: what came to the server later was sent from here. */
  #doubtUpTo: number | undefined;

  constructor(instance: string, ring: Ring, hasStorage: boolean) {
    this.instance = instance;
    this.#ring = ring;
    this.saved = hasStorage ? 0 : Number.POSITIVE_INFINITY;
  }

  /** Highest sequence that was given. */
  get taken(): number {
    return this.cut + this.waiting.length;
  }

  get isAllSent(): boolean {
    return this.cursor === this.batches.length && this.waiting.length === 0;
  }

  /** Highest sequence that was sent on this connection. */
  get heard(): number {
    return (this.batches.at(this.cursor)?.first ?? this.cut + 1) - 1;
  }

  push(text: string, bytes: number): void {
    this.waiting.push(text, bytes);
    this.#ring.add(1, bytes);
  }

  /** Drops the first that waits, whose place stays; returns its sequence. */
  dropOldest(): number {
    this.#ring.add(-1, -this.waiting.drop());
    this.cut += 1;
    this.#pushDropped(this.cut, 1);
    return this.cut;
  }

  #pushDropped(first: number, count: number): void {
    const last = this.batches.last;
    if (last !== undefined && last.text === undefined && this.cursor < this.batches.length) {
      last.count += count;
      last.bytes += count * DROPPED_BYTES;
    } else this.batches.push({ first, count, bytes: count * DROPPED_BYTES, text: undefined });
  }

  /** Notes that the storage need not keep a text, where it has it or is about to. */
  discard(sequence: number): void {
    if (this.saved === Number.POSITIVE_INFINITY || sequence > Math.max(this.saved, this.saving)) return;
    const last = this.discards.last;
    if (last !== undefined && last.last + 1 === sequence) last.last = sequence;
    else this.discards.push({ first: sequence, last: sequence });
  }

  /** Replaces what waits and is larger than the server takes; calls for each with its sequence. */
  dropAbove(maxBytes: number, dropped: (sequence: number) => void): void {
    for (let index = 0; index < this.waiting.length; index += 1) {
      const bytes = this.waiting.sizeAt(index);
      if (bytes <= maxBytes) continue;
      const sequence = this.cut + 1 + index;
      this.waiting.replace(index, DROPPED, DROPPED_BYTES);
      this.#ring.add(0, DROPPED_BYTES - bytes);
      this.discard(sequence);
      dropped(sequence);
    }
  }

  /** Replaces a single message that no frame can hold any more. */
  dropOversized(batch: Batch): void {
    this.#ring.add(0, DROPPED_BYTES - batch.bytes);
    batch.bytes = DROPPED_BYTES;
    batch.text = DROPPED;
    this.discard(batch.first);
  }

  /** Makes a batch of the first that wait. */
  cutBatch(count: number, bytes: number): void {
    this.batches.push({ first: this.cut + 1, count, bytes, text: this.waiting.take(count, bytes) });
    this.cut += count;
  }

  /** Puts back what a storage has kept, with a dropped message for each place of which it has nothing. */
  restore({ session, acked, batches, discarded, inDoubt }: StoredInstance): void {
    this.session = session;
    this.acked = acked;
    this.cut = acked;
    const gone = [
      ...discarded,
      ...inDoubt.map(({ first, count }) => ({ first, last: first + count - 1 })),
    ].sort((one, other) => one.first - other.first);
    let nextGone = 0;
    for (const { first, count, text } of [...batches].sort((one, other) => one.first - other.first)) {
      const last = first + count - 1;
      if (last <= this.cut) continue;
      const lines = text.split('\n');
      let from = Math.max(first, this.cut + 1);
      while (from <= last) {
        while (nextGone < gone.length && (gone[nextGone] as SequenceRun).last < from) nextGone += 1;
        const hole = gone[nextGone];
        if (hole !== undefined && hole.first <= from) {
          from = hole.last + 1;
          continue;
        }
        // A line that stands for a dropped message is as good as a hole.
        if (lines[from - first] === DROPPED) {
          from += 1;
          continue;
        }
        const end = hole === undefined ? last : Math.min(last, hole.first - 1);
        let to = from;
        while (to < end && lines[to + 1 - first] !== DROPPED) to += 1;
        this.#restoreText(from, to, lines.slice(from - first, to - first + 1).join('\n'));
        from = to + 1;
      }
    }
    for (const { first, count } of inDoubt)
      this.#doubtUpTo = Math.max(this.#doubtUpTo ?? 0, first + count - 1);
    this.saved = this.cut;
    this.trimmed = acked;
    this.sent = this.cut;
    this.stored = this.acked;
  }

  #restoreText(first: number, last: number, text: string): void {
    const hole = first - this.cut - 1;
    if (hole > 0) {
      this.#pushDropped(this.cut + 1, hole);
      this.cut += hole;
    }
    const count = last - first + 1;
    const bytes = utf8Bytes(text, 0, text.length) + 1;
    const before = this.batches.last;
    // Many small writes of a storage become frames of a good size.
    if (before?.text !== undefined && before.count < 1_000 && before.bytes < 64 * 1024) {
      before.text += `\n${text}`;
      before.count += count;
      before.bytes += bytes;
    } else this.batches.push({ first, count, bytes, text });
    this.cut = last;
    this.restored += count;
    this.#ring.add(count, bytes);
  }

  /**
   * What a server has between `sure` and `stored` may be another's, sent under the same sequences. Takes such texts away and
   * hands them over; their places stay.
   */
  setAside(sure: number, stored: number): StoredBatch[] {
    this.#doubtUpTo ??= stored;
    const to = Math.min(stored, this.#doubtUpTo, this.taken);
    const from = Math.max(sure, this.acked) + 1;
    const taken: StoredBatch[] = [];
    if (from > to) return taken;
    this.batchFrom(to + 1);
    for (let index = this.batchFrom(from); index < this.batches.length; index += 1) {
      const batch = this.#batchAt(index);
      if (batch.first > to) break;
      if (batch.text === undefined) continue;
      taken.push({ first: batch.first, count: batch.count, text: batch.text });
      this.#ring.add(-batch.count, -batch.bytes);
      batch.text = undefined;
      batch.bytes = batch.count * DROPPED_BYTES;
    }
    for (const sequence of this.refused)
      if (sequence >= from && sequence <= to) this.refused.delete(sequence);
    const [first] = taken;
    const last = taken.at(-1);
    if (first !== undefined && last !== undefined) {
      this.setAsideRun = {
        from: first.first,
        to: last.first + last.count - 1,
        messages: taken.reduce((sum, { count }) => sum + count, 0),
      };
      for (const batch of taken) this.aside.push(batch);
    }
    return taken;
  }

  /** Sets aside all that is not acked up to a sequence, also what waits. */
  doubtUpTo(sequence: number): void {
    const count = Math.min(sequence, this.taken) - this.cut;
    if (count > 0) {
      let bytes = 0;
      for (let index = 0; index < count; index += 1) bytes += this.waiting.sizeAt(index);
      this.cutBatch(count, bytes);
    }
    this.setAside(this.acked, sequence);
  }

  /** Lets go of dropped messages at the end: nothing comes after them that needs their places. Of older instances only. */
  trimDroppedEnd(): void {
    for (;;) {
      const last = this.batches.last;
      if (last === undefined || last.text !== undefined) break;
      this.batches.pop();
      this.cut = last.first - 1;
    }
    this.cursor = Math.min(this.cursor, this.batches.length);
  }

  /** A connection begins: everything that is not acked goes out on it. */
  restart(): void {
    this.stored = this.acked;
    this.#storedIndex = 0;
    this.cursor = 0;
    this.outMessages = 0;
    this.outBytes = 0;
  }

  /** The batch at the cursor is sent. Returns how many of its messages were never sent before. */
  markSent(batch: Batch): number {
    const last = batch.first + batch.count - 1;
    this.cursor += 1;
    this.outMessages += batch.count;
    this.outBytes += batch.bytes;
    const isNew = Math.max(0, last - Math.max(this.sent, batch.first - 1));
    this.sent = Math.max(this.sent, last);
    return isNew;
  }

  /** Everything up to a sequence is stored. */
  reach(stored: number): void {
    const index = this.batchFrom(stored + 1);
    for (let at = this.#storedIndex; at < index; at += 1) {
      const { count, bytes } = this.#batchAt(at);
      this.outMessages -= count;
      this.outBytes -= bytes;
    }
    this.stored = stored;
    this.#storedIndex = index;
  }

  /** Lets go of everything up to a sequence, which has reached the level. Returns how many of it were not refused. */
  release(acked: number): number {
    let settled = 0;
    for (let index = this.batchFrom(acked + 1); index > 0; index -= 1) {
      const { count, bytes, text } = this.#batchAt(0);
      this.batches.shift();
      this.cursor -= 1;
      this.#storedIndex -= 1;
      if (text === undefined) continue;
      settled += count;
      this.#ring.add(-count, -bytes);
    }
    if (this.refused.size > 0) {
      for (const sequence of this.refused) {
        if (sequence > acked) continue;
        this.refused.delete(sequence);
        settled -= 1;
      }
    }
    this.acked = acked;
    return settled;
  }

  /** Notes a refusal; false where the message was settled before. It stays until it is acked: it may have to go again. */
  refuse(sequence: number): boolean {
    if (sequence <= this.acked || sequence > this.taken || this.refused.has(sequence)) return false;
    if (sequence <= this.cut && this.#batchAt(this.#indexOf(sequence)).text === undefined) return false;
    this.refused.add(sequence);
    this.refusedCount += 1;
    return true;
  }

  /** Goes back to a sequence, which is sent again; false when it was not sent on this connection. */
  rewind(sequence: number): boolean {
    const index = this.batchFrom(Math.max(sequence, this.stored + 1));
    if (index >= this.cursor) return false;
    for (let at = index; at < this.cursor; at += 1) {
      const { count, bytes } = this.#batchAt(at);
      this.outMessages -= count;
      this.outBytes -= bytes;
    }
    this.cursor = index;
    return true;
  }

  /** Whether a batch holds a sequence and was sent on this connection. */
  hasSent(sequence: number): boolean {
    return sequence > this.acked && sequence <= this.heard;
  }

  #batchAt(index: number): Batch {
    return this.batches.at(index) as Batch;
  }

  /** Index of the batch that holds a sequence, or of the first behind it. */
  #indexOf(sequence: number): number {
    let low = 0;
    let high = this.batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { first, count } = this.#batchAt(middle);
      if (first + count <= sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Index of the batch that begins at a sequence; splits one that holds it. */
  batchFrom(sequence: number): number {
    const index = this.#indexOf(sequence);
    const batch = this.batches.at(index);
    if (batch === undefined || batch.first >= sequence) return index;
    this.split(index, sequence - batch.first);
    return index + 1;
  }

  /** Splits a batch after its first `count` messages where it has more. */
  split(index: number, count: number): Batch {
    const batch = this.#batchAt(index);
    if (count >= batch.count) return batch;
    const { first, text } = batch;
    const rest: Batch = { first: first + count, count: batch.count - count, bytes: 0, text: undefined };
    if (text === undefined) {
      rest.bytes = rest.count * DROPPED_BYTES;
      batch.bytes = count * DROPPED_BYTES;
    } else {
      let end = -1;
      for (let line = 0; line < count; line += 1) end = text.indexOf('\n', end + 1);
      const bytes = utf8Bytes(text, 0, end) + 1;
      rest.bytes = batch.bytes - bytes;
      rest.text = text.slice(end + 1);
      batch.text = text.slice(0, end);
      batch.bytes = bytes;
    }
    batch.count = count;
    this.batches.insert(index + 1, rest);
    if (this.cursor > index) this.cursor += 1;
    if (this.#storedIndex > index) this.#storedIndex += 1;
    return batch;
  }

  /** What is neither acked nor refused: sent ones and unsent ones. */
  unsettled(): UnsettledMessages {
    const left: UnsettledMessages = { inDoubt: [], unsent: [] };
    const note = (sequence: number, text: string): void => {
      if (text === DROPPED || this.refused.has(sequence)) return;
      (sequence <= this.sent ? left.inDoubt : left.unsent).push(text);
    };
    for (let index = 0; index < this.batches.length; index += 1) {
      const { first, text } = this.#batchAt(index);
      if (text !== undefined)
        for (const [offset, line] of text.split('\n').entries()) note(first + offset, line);
    }
    for (let index = 0; index < this.waiting.length; index += 1) {
      note(this.cut + 1 + index, this.waiting.textAt(index));
    }
    return left;
  }
}

/** The promises that wait for messages of this client's own instance, in the order of their messages. */
class Calls {
  readonly #tickets = new Line<Ticket>();
  readonly #flushes = new Line<{ last: number; ticket: Ticket }>();
  readonly blocked = new Line<BlockedCall>();

  get flushesWait(): boolean {
    return this.#flushes.length > 0;
  }

  /** The last sequence that a flush waits for. */
  get flushUpTo(): number {
    return this.#flushes.last?.last ?? 0;
  }

  get blockedMessages(): number {
    let count = 0;
    for (let index = 0; index < this.blocked.length; index += 1) {
      const { texts, next } = this.blocked.at(index) as BlockedCall;
      count += texts.length - next;
    }
    return count;
  }

  /** A call whose messages begin after the sequence `taken`. */
  add(ticket: Ticket, taken: number): void {
    ticket.first = taken + 1;
    ticket.last = taken;
    if (ticket.kind === 'flush') this.#flushes.push({ last: taken, ticket });
    else this.#tickets.push(ticket);
  }

  /** Takes back the call that was added last. */
  takeBack(): void {
    this.#tickets.pop();
  }

  ticketOf(sequence: number): Ticket | undefined {
    let low = 0;
    let high = this.#tickets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#tickets.at(middle) as Ticket).last < sequence) low = middle + 1;
      else high = middle;
    }
    const ticket = this.#tickets.at(low);
    return ticket !== undefined && sequence >= ticket.first ? ticket : undefined;
  }

  /** Settles the calls whose messages are all at or below `reached`, and the flushes at or below `flushed`. */
  settle(reached: number, flushed: number): void {
    for (let ticket = this.#tickets.at(0); ticket !== undefined; ticket = this.#tickets.at(0)) {
      if (ticket.open || ticket.last > reached) break;
      finish(ticket);
      this.#tickets.shift();
    }
    for (let flush = this.#flushes.at(0); flush !== undefined; flush = this.#flushes.at(0)) {
      if (flush.last > flushed) break;
      finish(flush.ticket);
      this.#flushes.shift();
    }
  }

  /** Rejects all that is left; the error may depend on the call. */
  rejectAll(errorOf: (ticket: Ticket) => SluiceError): void {
    for (let index = 0; index < this.#tickets.length; index += 1) {
      const ticket = this.#tickets.at(index) as Ticket;
      reject(ticket, errorOf(ticket));
    }
    for (let index = 0; index < this.#flushes.length; index += 1) {
      const { ticket } = this.#flushes.at(index) as { ticket: Ticket };
      reject(ticket, errorOf(ticket));
    }
    for (let index = 0; index < this.blocked.length; index += 1) {
      const { ticket } = this.blocked.at(index) as BlockedCall;
      reject(ticket, errorOf(ticket));
    }
    this.#tickets.clear();
    this.#flushes.clear();
    this.blocked.clear();
  }
}

interface StorageOperation {
  name: StorageOperationName;
  run: () => unknown;
  done: (result: unknown) => void;
}

interface StorageQueueOptions {
  timers: ClientTimers;
  random: () => number;
  /** What is to be done now; asked again after each. */
  next: () => StorageOperation | undefined;
  /** After one that took a while. */
  onProgress: () => void;
  /** Whether one that failed is tried again. */
  onFailure: (name: StorageOperationName, error: unknown) => boolean;
}

/** Does what a storage has to do: one thing at a time, in order, each until it has succeeded. */
class StorageQueue {
  readonly #options: StorageQueueOptions;
  #current: StorageOperation | undefined;
  #isBusy = false;
  #isStopped = false;
  #failures = 0;
  #retry: (() => void) | undefined;

  constructor(options: StorageQueueOptions) {
    this.#options = options;
  }

  /** Nothing is under way, and nothing waits to be tried again. */
  get isIdle(): boolean {
    return this.#isStopped || (!this.#isBusy && this.#retry === undefined);
  }

  run(): void {
    while (!this.#isBusy && !this.#isStopped && this.#retry === undefined) {
      this.#current ??= this.#options.next();
      const operation = this.#current;
      if (operation === undefined) return;
      this.#isBusy = true;
      let result: unknown;
      try {
        result = operation.run();
      } catch (error) {
        this.#fail(operation, error);
        return;
      }
      if (typeof (result as { then?: unknown } | undefined)?.then === 'function') {
        (result as Promise<unknown>).then(
          (value) => {
            this.#succeed(operation, value);
            this.run();
            this.#options.onProgress();
          },
          (error: unknown) => this.#fail(operation, error),
        );
        return;
      }
      this.#succeed(operation, result);
    }
  }

  /** What waits to be tried again is tried once more, now: the last time. */
  hurry(): void {
    this.#retry?.();
    this.#retry = undefined;
    this.run();
  }

  #succeed(operation: StorageOperation, result: unknown): void {
    this.#isBusy = false;
    this.#current = undefined;
    this.#failures = 0;
    operation.done(result);
  }

  #fail({ name }: StorageOperation, error: unknown): void {
    const { timers, random, onFailure, onProgress } = this.#options;
    // Busy until it is known whether it is tried again: the client may end in there, and ask what is left to do.
    const isTriedAgain = onFailure(name, error);
    this.#isBusy = false;
    if (!isTriedAgain) {
      this.#isStopped = true;
      onProgress();
      return;
    }
    const ceiling = pauseMs(RETRY_BASE_MS, RETRY_MAX_MS, this.#failures);
    this.#failures += 1;
    this.#retry = timers.after(ceiling * (0.5 + 0.5 * random()), () => {
      this.#retry = undefined;
      this.run();
      onProgress();
    });
  }
}

/** A socket, and what there is to know of it. */
class Connection {
  readonly socket: WebSocketLike;
  /** Whose messages go over it. */
  readonly window: SendWindow;
  readonly openedMs: number;
  isWelcomed = false;
  /** Time of the last frame, in either form. */
  heardMs: number;
  /** When the question was asked that is not answered yet. */
  askedMs: number | undefined;
  erroredMs: number | undefined;
  byeMs: number | undefined;
  /** The server is about to go: nothing more is sent, and the next connection begins then. */
  drainUntilMs: number | undefined;
  level: AckLevel = 'stored';
  /** Since when an ack is awaited: one of the level, and one that says stored. */
  progressMs = 0;
  outSinceMs = 0;
  #askedForAck = false;

  constructor(socket: WebSocketLike, window: SendWindow, nowMs: number) {
    this.socket = socket;
    this.window = window;
    this.openedMs = nowMs;
    this.heardMs = nowMs;
  }

  /** From now on the next ack is awaited. */
  awaitProgress(nowMs: number): void {
    this.progressMs = nowMs;
    this.#askedForAck = false;
  }

  /** What is wrong with it, or what to ask it: is it open, alive, and does it get anywhere? */
  look(nowMs: number): { giveUp: string } | { ask: string } | undefined {
    const { window } = this;
    if (this.erroredMs !== undefined && nowMs - this.erroredMs >= WATCH_INTERVAL_MS) {
      return { giveUp: 'The connection failed' };
    }
    if (!this.isWelcomed) {
      return nowMs - this.openedMs >= HANDSHAKE_LIMIT_MS ? { giveUp: 'No welcome in time' } : undefined;
    }
    if (this.drainUntilMs !== undefined) return undefined;
    if (this.askedMs !== undefined) {
      return nowMs - this.askedMs >= DEAD_AFTER_MS ? { giveUp: 'The server is silent' } : undefined;
    }
    if (window.outMessages > 0 && nowMs - this.outSinceMs >= STALLED_AFTER_MS) {
      return { giveUp: 'The server stores nothing' };
    }
    if (window.cursor > 0 && !this.#askedForAck && nowMs - this.progressMs >= ACK_PING_AFTER_MS) {
      this.#askedForAck = true;
      return { ask: '{"t":"ping"}' };
    }
    return nowMs - this.heardMs >= HEARTBEAT_AFTER_MS ? { ask: 'ping' } : undefined;
  }
}

/**
 * A producer's connection to one sink. It connects by itself and keeps at it, whatever the network does, until it is
 * closed or the server says that it is of no use (`fenced`, `replaced`, `failed` among the events).
 *
 * @throws SluiceError `invalid_options` from the constructor
 */
export class SluiceClient {
  readonly producer: string;
  /** The name of this start, by which a later one recovers what it leaves. */
  readonly instance: string;
  readonly #url: string;
  readonly #asked: AckLevel;
  readonly #batchMessages: number;
  readonly #batchBytes: number;
  readonly #lingerMs: number;
  readonly #whenFull: WhenFull;
  readonly #openSocket: (url: string, protocol: string) => WebSocketLike;
  readonly #timers: ClientTimers;
  readonly #random: () => number;
  readonly #onEvent: ((event: ClientEvent) => void) | undefined;

  readonly #ring: Ring;
  /** The messages of this client, and those of older instances that are to be recovered before, the oldest first. */
  readonly #own: SendWindow;
  #older: SendWindow[] = [];
  readonly #calls = new Calls();
  #room: Deferred<void> | undefined;
  #sharedFlush: { ticket: Ticket; promise: Promise<void> } | undefined;

  readonly #storage: ClientStorage | undefined;
  readonly #queue: StorageQueue | undefined;
  /** Windows for which the storage may have something to do. */
  #kept: SendWindow[] = [];
  #doubts: Doubt[] = [];
  #sendingDoubts: Promise<BatchReceipt> | undefined;
  #isLoaded: boolean;
  #isBegun = false;
  /** The storage is not this client's. */
  #isShut = false;

  #connection: Connection | undefined;
  /** The level that the sink gives. */
  #level: AckLevel;
  #credit: Credit = { messages: 0, bytes: 0 };
  #limits: Limits = { frameMessages: 1, frameBytes: 0 };
  /** Unknown before the first welcome. */
  #messageBytes = Number.POSITIVE_INFINITY;

  #pumping = false;
  #pumpAgain = false;
  #lingering: (() => void) | undefined;
  /** What waits goes out now, however little it is. */
  #due = false;
  #flushDue = false;
  /** Waits before a batch that was put off is sent again. */
  #hold: (() => void) | undefined;
  #putOffInARow = 0;
  #rewoundTo = 0;
  #bufferedCheck: (() => void) | undefined;
  #watch: (() => void) | undefined;
  #reconnect: (() => void) | undefined;
  #failures = 0;
  #protocolErrors = 0;
  #protocolErrorMs = 0;

  #closing: Deferred<CloseReport> | undefined;
  #closeLimit: (() => void) | undefined;
  #closed: { report: CloseReport; error: SluiceError; isCloseLate: boolean } | undefined;
  /** Messages of calls that still waited for room at the end. */
  #leftBlocked: string[] = [];

  readonly #counts = {
    offered: 0,
    restored: 0,
    acked: 0,
    refused: 0,
    dropped: 0,
    setAside: 0,
    sent: 0,
    resent: 0,
    frames: 0,
    putOff: 0,
    gaps: 0,
    connections: 0,
    reconnects: 0,
  };

  constructor(options: SluiceClientOptions) {
    refuseUnknownOptions(options);
    const { url, producer } = addressOf(options);
    this.#url = url;
    this.producer = producer;
    this.#asked = oneOf('ack', options.ack ?? 'stored', ['none', 'stored', 'committed']);
    this.#level = this.#asked;
    this.#batchMessages = whole('batchMessages', options.batchMessages ?? 500, 1, 10_000);
    this.#batchBytes = whole('batchBytes', options.batchBytes ?? 256 * 1024, 1, 32 * 1024 * 1024);
    this.#lingerMs = whole('lingerMs', options.lingerMs ?? 5, 0, 60_000);
    this.#ring = new Ring(
      whole('ringMessages', options.ringMessages ?? 100_000, 1, 100_000_000),
      whole('ringBytes', options.ringBytes ?? 16 * 1024 * 1024, 1, 2 ** 40),
    );
    this.#whenFull = oneOf('whenFull', options.whenFull ?? 'block', [
      'block',
      'reject',
      'drop-oldest',
      'drop-newest',
    ]);
    if (options.openSocket === undefined && typeof WebSocket === 'undefined') {
      throw new SluiceError('invalid_options', 'There is no WebSocket here: give openSocket');
    }
    this.#openSocket = options.openSocket ?? openWebSocket;
    this.#timers = options.timers ?? platformTimers;
    this.#random = options.random ?? Math.random;
    this.#onEvent = options.onEvent;
    const { storage } = options;
    this.#storage = storage;
    this.instance = randomName();
    this.#own = new SendWindow(this.instance, this.#ring, storage !== undefined);
    this.#isLoaded = storage === undefined;
    if (storage === undefined) {
      this.#connect();
      return;
    }
    this.#kept.push(this.#own);
    this.#queue = new StorageQueue({
      timers: this.#timers,
      random: this.#random,
      next: () => this.#nextOperation(storage),
      onProgress: () => {
        this.#resolveClose();
        this.#pump();
      },
      onFailure: (name, error) => this.#storageFailed(name, error),
    });
    this.#queue.run();
  }

  /**
   * `recovering`: connected, and sending what older instances have left. `paused`: connected, and the server wants nothing at
   * the moment. `draining`: `close` was called.
   */
  get state(): ClientState {
    if (this.#closed !== undefined) return 'closed';
    if (this.#closing !== undefined) return 'draining';
    const connection = this.#connection;
    if (connection?.isWelcomed !== true) return 'connecting';
    if (connection.window !== this.#own) return 'recovering';
    const mayNotSend =
      connection.drainUntilMs !== undefined || this.#hold !== undefined || !hasCredit(this.#credit);
    return mayNotSend ? 'paused' : 'ready';
  }

  /** A copy of the counters. */
  get stats(): ClientStats {
    const blockedMessages = this.#calls.blockedMessages;
    return {
      ...this.#counts,
      unsettled: this.#unsettledCount(),
      unackedMessages: this.#ring.messages,
      unackedBytes: this.#ring.bytes,
      waitingMessages: this.#own.waiting.length,
      blockedCalls: this.#calls.blocked.length,
      blockedMessages,
      creditMessages: this.#credit.messages,
      creditBytes: this.#credit.bytes,
    };
  }

  /**
   * Messages of older instances whose fate is unknown: they are in the storage until `sendInDoubt` or `dropInDoubt` is
   * called. There are none without a storage.
   */
  get inDoubt(): readonly InDoubtMessages[] {
    return this.#doubts.map(({ window, first, texts }) => ({
      instance: window.instance,
      first,
      texts: [...texts],
    }));
  }

  /**
   * Sends a value as JSON. Resolves when it has reached the client's level (`none`: when it was handed to the socket).
   *
   * The promise rejects with a SluiceError: the refusal's own code (`invalid_json`, `dead_letter`, …),
   * `message_dropped` or `ring_full` as `whenFull` says, `client_closed` after `close`, or what ended the client. It needs its
   * `catch`, or an `await` in a `try`: a rejection that nobody handles ends a Node process. To send without waiting, use
   * `post`.
   */
  send(message: unknown): Promise<void> {
    const text = jsonOf(message);
    if (typeof text === 'string') return this.sendText(text);
    return new Promise((resolve, reject) => {
      this.#refuseUnread(newTicket('one', 1, resolve as () => void, reject), text);
    });
  }

  /** Sends a text that is JSON already, in one line; otherwise like `send`. */
  sendText(json: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#enqueue([json], newTicket('one', 1, resolve as () => void, reject));
    });
  }

  /**
   * Sends a value as JSON, and forgets it: never throws, never rejects. What is refused is told by the events `refused`,
   * `nack` and `dropped` and counted in `stats`; what is left when the client ends, by the event `closed`.
   */
  post(message: unknown): void {
    const text = jsonOf(message);
    const ticket = newTicket('post', 1, ignore, ignore);
    if (typeof text === 'string') this.#enqueue([text], ticket);
    else this.#refuseUnread(ticket, text);
  }

  /**
   * Sends many texts with one promise, which resolves when the last of them is settled. The array has to stay as it
   * is until then only where `whenFull` is `block`. Rejects when the client ends before, and with `ring_full`.
   */
  sendBatch(texts: readonly string[]): Promise<BatchReceipt> {
    if (texts.length === 0) return Promise.resolve({ messages: 0, refused: [] });
    return new Promise((resolve, reject) => {
      this.#enqueue(
        texts,
        newTicket('batch', texts.length, resolve as (receipt: BatchReceipt | undefined) => void, reject),
      );
    });
  }

  /** Resolves when the ring has room. Rejects when the client ends before. */
  ready(): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed.error);
    if (this.#hasRoom()) return Promise.resolve();
    // One promise for all who ask, however often.
    this.#room ??= defer<void>();
    return this.#room.promise;
  }

  /**
   * Sends what waits without lingering, asks the server to write what it buffers, and resolves when everything that
   * was sent before is acked (at the level; `stored` for `none`) or refused. Rejects when the client ends before.
   */
  flush(): Promise<void> {
    const over = this.#overError();
    if (over !== undefined) return Promise.reject(over);
    // The same question with nothing sent in between has the same answer.
    const shared = this.#sharedFlush;
    if (shared !== undefined && !shared.ticket.done) return shared.promise;
    const { promise, resolve, reject } = defer<void>();
    const ticket = newTicket('flush', 0, () => resolve(), reject);
    this.#due = true;
    this.#enqueue([], ticket);
    this.#sharedFlush = { ticket, promise };
    this.#settleCalls();
    this.#pump();
    return promise;
  }

  /**
   * Sends the messages in doubt as new ones, and forgets them once they are settled. Those of them that the server has
   * already are there twice then.
   */
  sendInDoubt(): Promise<BatchReceipt> {
    // Asked twice, they are sent once.
    this.#sendingDoubts ??= this.#sendDoubts().finally(() => {
      this.#sendingDoubts = undefined;
    });
    return this.#sendingDoubts;
  }

  async #sendDoubts(): Promise<BatchReceipt> {
    const doubts = this.#doubts;
    const receipt = await this.sendBatch(doubts.flatMap(({ texts }) => texts));
    this.#dropDoubts(doubts);
    return receipt;
  }

  /** Forgets the messages in doubt, and returns how many there were. Those that the server does not have are lost. */
  dropInDoubt(): number {
    const doubts = this.#doubts;
    this.#dropDoubts(doubts);
    return doubts.reduce((sum, { count }) => sum + count, 0);
  }

  /**
   * What an ended client still holds of its own messages: those that the server may have, and those that were never
   * sent. For a client without a storage; what is in a storage is recovered by the next client that opens it.
   */
  unsettled(): UnsettledMessages {
    const left = this.#own.unsettled();
    left.unsent.push(...this.#leftBlocked);
    return left;
  }

  /**
   * Sends what waits, says goodbye and resolves when everything is acked (`none`: committed), or after the time limit.
   * From now on nothing more is taken. Whatever was not acked is counted in the report, and its promises reject with
   * `client_closed`; where there is a storage it stays there, and the next client sends it.
   *
   * @param options `timeLimitMs`: 0 ends it at once. Default: 30,000.
   */
  close({ timeLimitMs = CLOSE_LIMIT_MS }: { timeLimitMs?: number } = {}): Promise<CloseReport> {
    if (this.#closing !== undefined) return this.#closing.promise;
    this.#closing = defer<CloseReport>();
    const { promise } = this.#closing;
    if (this.#closed === undefined && !(timeLimitMs > 0)) {
      this.#end(undefined, true);
      return promise;
    }
    this.#closeLimit = this.#timers.after(timeLimitMs, () => {
      this.#closeLimit = undefined;
      if (this.#closed === undefined) this.#end(undefined, true);
      // What waits for a storage that does not answer waits no longer.
      else this.#closing?.resolve(this.#closed.report);
    });
    if (this.#closed !== undefined) {
      this.#resolveClose();
      return promise;
    }
    this.#due = true;
    if (this.#connection?.isWelcomed !== true && this.#isEmpty()) this.#end(undefined, false);
    else this.#pump();
    return promise;
  }

  // Calls and the ring.

  #enqueue(texts: readonly string[], ticket: Ticket): void {
    this.#counts.offered += texts.length;
    const over = this.#overError();
    if (over !== undefined) {
      this.#refuseCall(ticket, over);
      return;
    }
    this.#sharedFlush = undefined;
    const { blocked } = this.#calls;
    if (blocked.length > 0) {
      if (blocked.length >= MAX_BLOCKED_CALLS) this.#refuseCall(ticket, ringFullError());
      else blocked.push({ texts, next: 0, ticket });
      return;
    }
    const { waiting } = this.#own;
    const { length, bytes } = waiting;
    const { refused, dropped } = this.#counts;
    this.#calls.add(ticket, this.#own.taken);
    if (ticket.kind === 'flush') this.#flushDue = true;
    const next = this.#take(texts, 0, ticket);
    if (next < texts.length) {
      if (this.#whenFull === 'reject') {
        this.#ring.add(length - waiting.length, bytes - waiting.bytes);
        waiting.truncate(length, bytes);
        this.#counts.refused = refused;
        this.#calls.takeBack();
        this.#refuseCall(ticket, ringFullError());
        return;
      }
      ticket.open = true;
      blocked.push({ texts, next, ticket });
    }
    if (this.#counts.dropped > dropped)
      this.#emit({ type: 'dropped', messages: this.#counts.dropped - dropped });
    this.#finishRefused(ticket);
    // In the storage before anything else.
    this.#queue?.run();
    this.#schedule();
  }

  /** Takes messages from `from` on into the ring, and returns the index of the first for which there is no room. */
  #take(texts: readonly string[], from: number, ticket: Ticket): number {
    const maxBytes = Math.min(this.#messageBytes + 1, this.#ring.maxBytes);
    for (let index = from; index < texts.length; index += 1) {
      let text = texts[index] as string;
      let bytes = lineBytes(text);
      if (bytes === HAS_REPLACEMENT) {
        text = escapeReplacement(text);
        bytes = lineBytes(text);
      }
      if (bytes < 0) {
        const [code, message] = LINE_REFUSALS[bytes] as [ClientErrorCode, string];
        this.#skip(ticket, index, code, message);
      } else if (bytes > maxBytes) this.#skipTooLarge(ticket, index, bytes - 1);
      else {
        if (!this.#ring.fits(bytes)) {
          if (this.#whenFull === 'block' || this.#whenFull === 'reject') return index;
          if (this.#whenFull === 'drop-oldest') this.#dropOldest(bytes);
          if (!this.#ring.fits(bytes)) {
            this.#skip(ticket, index, 'message_dropped', DROPPED_MESSAGE);
            continue;
          }
        }
        this.#own.push(text, bytes);
        ticket.last += 1;
      }
    }
    return texts.length;
  }

  #skipTooLarge(ticket: Ticket, index: number, bytes: number): void {
    if (bytes + 1 > this.#ring.maxBytes) {
      const message = `The message has ${bytes} bytes, and ringBytes is ${this.#ring.maxBytes}`;
      this.#skip(ticket, index, 'ring_full', message);
    } else this.#skip(ticket, index, 'message_too_large', this.#tooLargeMessage(bytes));
  }

  #tooLargeMessage(bytes?: number): string {
    const size = bytes === undefined ? 'is too large' : `has ${bytes} bytes`;
    return `The message ${size}: the server takes ${this.#messageBytes} bytes at most`;
  }

  #hasRoom(): boolean {
    return this.#calls.blocked.length === 0 && this.#ring.hasRoom;
  }

  /** Makes room by dropping what was never sent. Its places stay, so that the numbers of the others are what they were. */
  #dropOldest(bytes: number): void {
    const own = this.#own;
    while (own.waiting.length > 0 && !this.#ring.fits(bytes)) {
      const sequence = own.dropOldest();
      // One that turned out too large is settled, and in no storage.
      if (own.refused.delete(sequence)) continue;
      own.discard(sequence);
      this.#counts.dropped += 1;
      this.#refuseInCall(sequence, 'message_dropped', DROPPED_MESSAGE);
    }
  }

  /** Settles a message of a call that never gets a sequence. */
  #skip(ticket: Ticket, index: number, code: ClientErrorCode, message: string): void {
    ticket.skipped ??= [];
    ticket.skipped.push(index);
    refuse(ticket, index, code, message);
    if (code === 'message_dropped') {
      this.#counts.dropped += 1;
      return;
    }
    this.#counts.refused += 1;
    if (ticket.kind === 'post') this.#emit({ type: 'refused', code, message });
  }

  /** Refuses a call as a whole: nothing of it was taken. */
  #refuseCall(ticket: Ticket, error: SluiceError): void {
    this.#counts.refused += ticket.total;
    reject(ticket, error);
    if (ticket.kind === 'post') this.#emit({ type: 'refused', code: error.code, message: error.message });
  }

  /** Refuses a value of which there is no JSON. */
  #refuseUnread(ticket: Ticket, { message, cause }: { message: string; cause?: unknown }): void {
    this.#counts.offered += 1;
    const over = this.#overError();
    this.#refuseCall(ticket, over ?? new SluiceError('invalid_json', message, { cause }));
  }

  #refuseInCall(sequence: number, code: ClientErrorCode, message: string): void {
    const ticket = this.#calls.ticketOf(sequence);
    if (ticket === undefined || ticket.done) return;
    refuse(ticket, indexInCall(ticket, sequence - ticket.first), code, message);
    this.#finishRefused(ticket);
  }

  /** Settles a call all of whose messages were refused or dropped. */
  #finishRefused(ticket: Ticket): void {
    if (ticket.live === 0 && !ticket.open && ticket.kind !== 'flush') finish(ticket);
  }

  /** Lets blocked calls in as far as there is room, in their order. */
  #admitBlocked(): void {
    const { blocked } = this.#calls;
    const { dropped } = this.#counts;
    for (let call = blocked.at(0); call !== undefined; call = blocked.at(0)) {
      const { ticket, texts } = call;
      if (!ticket.open) {
        ticket.open = true;
        this.#calls.add(ticket, this.#own.taken);
        if (ticket.kind === 'flush') this.#flushDue = true;
      }
      call.next = this.#take(texts, call.next, ticket);
      if (call.next < texts.length) break;
      ticket.open = false;
      this.#finishRefused(ticket);
      blocked.shift();
    }
    if (this.#counts.dropped > dropped)
      this.#emit({ type: 'dropped', messages: this.#counts.dropped - dropped });
    this.#settleCalls();
    if (this.#room !== undefined && this.#hasRoom()) {
      this.#room.resolve();
      this.#room = undefined;
    }
    this.#queue?.run();
    this.#schedule();
  }

  /** Settles the calls and flushes that have reached their level. */
  #settleCalls(): void {
    const { acked, sent } = this.#own;
    const isRecovered = this.#isLoaded && this.#older.length === 0;
    this.#calls.settle(this.#level === 'none' ? sent : acked, isRecovered ? acked : -1);
  }

  #unsettledCount(): number {
    if (this.#closed !== undefined) return this.#closed.report.unacked;
    let refused = this.#own.refused.size;
    for (const window of this.#older) refused += window.refused.size;
    return this.#ring.messages - refused + this.#calls.blockedMessages;
  }

  // Sending.

  /** Sees to it that what waits goes out, soon or now. */
  #schedule(): void {
    if (this.#own.waiting.length > 0 && !this.#due && !this.#isFullBatch()) {
      this.#linger();
      return;
    }
    this.#pump();
  }

  #isFullBatch(): boolean {
    const { waiting } = this.#own;
    return waiting.length >= this.#batchMessages || waiting.bytes >= this.#batchBytes;
  }

  #linger(): void {
    if (this.#lingering !== undefined) return;
    const over = () => {
      this.#lingering = undefined;
      if (this.#own.waiting.length === 0) return;
      this.#due = true;
      this.#pump();
    };
    if (this.#lingerMs > 0) {
      this.#lingering = this.#timers.after(this.#lingerMs, over);
      return;
    }
    this.#lingering = () => undefined;
    queueMicrotask(over);
  }

  #pump(): void {
    // Sending may fail, and a lost connection comes back here: one round at a time.
    if (this.#pumping) {
      this.#pumpAgain = true;
      return;
    }
    this.#pumping = true;
    do {
      this.#pumpAgain = false;
      this.#sendWhatMayGo();
    } while (this.#pumpAgain);
    this.#pumping = false;
  }

  #sendWhatMayGo(): void {
    const connection = this.#connection;
    if (
      connection?.isWelcomed !== true ||
      connection.drainUntilMs !== undefined ||
      this.#hold !== undefined
    ) {
      if (connection?.drainUntilMs !== undefined) this.#sayBye(connection);
      return;
    }
    const { window } = connection;
    // A later instance is told apart by the session: it has to be in the storage before anything is sent in it.
    if (window.unsavedSession !== undefined) return;
    while (this.#connection === connection) {
      if ((connection.socket.bufferedAmount ?? 0) > MAX_BUFFERED_BYTES) {
        this.#bufferedCheck ??= this.#timers.after(BUFFERED_RETRY_MS, () => {
          this.#bufferedCheck = undefined;
          this.#pump();
        });
        return;
      }
      const batch = window.batches.at(window.cursor);
      if (batch !== undefined ? !this.#sendBatchFrame(connection, batch) : !this.#cutBatch(window)) break;
    }
    if (this.#connection !== connection || window.cursor < window.batches.length) return;
    if (window === this.#own && this.#flushDue && window.cut >= this.#calls.flushUpTo) {
      this.#flushDue = false;
      if (!this.#transmit(connection, '{"t":"flush"}')) return;
    }
    this.#sayBye(connection);
  }

  #sayBye(connection: Connection): void {
    const { window } = connection;
    if (connection.byeMs !== undefined) return;
    if (window !== this.#own) {
      if (this.#older[0] === window) return;
    } else if (this.#closing === undefined || !window.isAllSent || this.#calls.blocked.length > 0) return;
    if (connection.drainUntilMs !== undefined) {
      // A server that is about to go answers no goodbye, and there is nothing left to wait for.
      if (window === this.#own && this.#isEmpty()) this.#end(undefined, false);
      return;
    }
    // What is on its way may still be put off, and after the goodbye nothing can be sent again.
    if (window.outMessages > 0) return;
    connection.byeMs = this.#timers.now();
    this.#transmit(connection, '{"t":"bye"}');
  }

  #isEmpty(): boolean {
    return (
      this.#isLoaded &&
      this.#older.length === 0 &&
      this.#own.batches.length === 0 &&
      this.#own.waiting.length === 0 &&
      this.#calls.blocked.length === 0
    );
  }

  /** Sends the batch at the cursor, or as much of it as may go; false when nothing of it may. */
  #sendBatchFrame(connection: Connection, batch: Batch): boolean {
    const { window } = connection;
    const { frameMessages, frameBytes } = this.#limits;
    const roomBytes = frameBytes - HEADER_BYTES;
    const freeMessages = Math.min(frameMessages, this.#credit.messages - window.outMessages);
    const freeBytes = Math.min(roomBytes, this.#credit.bytes - window.outBytes);
    let sending = batch;
    if (batch.count > freeMessages || batch.bytes > freeBytes) {
      const isFrameTooLarge = batch.count > frameMessages || batch.bytes > roomBytes;
      // A smaller piece would do, but the next ack brings room for all of it.
      if (window.outMessages > 0 && !isFrameTooLarge) return false;
      // Dropped ones fill any frame: not in pieces as the credit trickles in.
      if (window.outMessages > 0 && batch.text === undefined && freeMessages * 2 < this.#credit.messages)
        return false;
      let count = countOfLines(batch, freeMessages, freeBytes);
      if (count === 0) {
        if (window.outMessages > 0 || !hasCredit(this.#credit)) return false;
        count = 1;
      }
      sending = window.split(window.cursor, count);
    }
    if (sending.count === 1 && sending.bytes > roomBytes) {
      // The limits have become smaller since this message was taken, and its place has to be used up all the same.
      const bytes = sending.bytes - 1;
      window.dropOversized(sending);
      this.#refuseSequence(window, sending.first, 'message_too_large', this.#tooLargeMessage(bytes));
    }
    const nowMs = this.#timers.now();
    if (window.cursor === 0) connection.awaitProgress(nowMs);
    if (window.outMessages === 0) connection.outSinceMs = nowMs;
    const isNew = window.markSent(sending);
    this.#counts.frames += 1;
    this.#counts.sent += isNew;
    this.#counts.resent += sending.count - isNew;
    const text = sending.text ?? `${`${DROPPED}\n`.repeat(sending.count - 1)}${DROPPED}`;
    const frame = `{"t":"batch","seq":${sending.first},"n":${sending.count}}\n${text}`;
    const isHandedOver = this.#transmit(connection, frame);
    if (this.#level === 'none' && window === this.#own) this.#settleCalls();
    return isHandedOver;
  }

  /** Makes the next batch of what waits, as large as limits and credit allow; false when it is not time for one. */
  #cutBatch(window: SendWindow): boolean {
    const { waiting } = window;
    if (waiting.length === 0) {
      this.#due = false;
      return false;
    }
    if (!this.#due && this.#closing === undefined && !this.#isFullBatch()) {
      this.#linger();
      return false;
    }
    const { frameMessages, frameBytes } = this.#limits;
    const savedMessages = window.saved - window.cut;
    const maxMessages = Math.min(this.#batchMessages, frameMessages, waiting.length, savedMessages);
    if (maxMessages <= 0) return false;
    const maxBytes = Math.min(this.#batchBytes, frameBytes - HEADER_BYTES);
    const freeMessages = this.#credit.messages - window.outMessages;
    const freeBytes = this.#credit.bytes - window.outBytes;
    let count = 0;
    let bytes = 0;
    while (count < maxMessages) {
      const size = waiting.sizeAt(count);
      if (count > 0 && bytes + size > maxBytes) break;
      if (count >= freeMessages || bytes + size > freeBytes) {
        // Small pieces as the credit trickles in would make every frame small: rather wait for half of it.
        const isMostTaken = freeMessages * 2 < this.#credit.messages || freeBytes * 2 < this.#credit.bytes;
        if (window.outMessages > 0 && (count === 0 || isMostTaken)) return false;
        break;
      }
      count += 1;
      bytes += size;
    }
    if (count === 0) {
      if (!hasCredit(this.#credit)) return false;
      count = 1;
      bytes = waiting.sizeAt(0);
    }
    window.cutBatch(count, bytes);
    if (waiting.length === 0) this.#due = false;
    return true;
  }

  /** Hands a frame to the socket; false when it fails. */
  #transmit(connection: Connection, frame: string): boolean {
    try {
      connection.socket.send(frame);
      return true;
    } catch (error) {
      this.#giveUp(connection, `The socket takes no frame: ${String(error)}`);
      return false;
    }
  }

  // What the server says.

  #receive(connection: Connection, data: unknown): void {
    connection.heardMs = this.#timers.now();
    connection.askedMs = undefined;
    if (typeof data !== 'string' || data === 'pong') return;
    let frame: Record<string, unknown>;
    try {
      const parsed: unknown = JSON.parse(data);
      if (typeof parsed !== 'object' || parsed === null) return;
      frame = parsed as Record<string, unknown>;
    } catch {
      this.#protocolError(connection, 'invalid_frame', 'The server sent a frame that is no JSON');
      return;
    }
    if (!connection.isWelcomed) {
      if (frame.t === 'welcome') this.#welcome(connection, frame);
      return;
    }
    switch (frame.t) {
      case 'ack':
        this.#takeCredit(frame.credit);
        this.#ack(connection, sequenceOf(frame.stored ?? frame.taken), sequenceOf(frame.committed));
        this.#pump();
        break;
      case 'flow':
        this.#takeCredit(frame.credit);
        if (frame.reason === 'room') this.#letGo();
        this.#pump();
        break;
      case 'nack':
        this.#nack(connection, frame);
        break;
      case 'gap':
        this.#gap(connection, frame);
        break;
      case 'ping':
        this.#transmit(connection, JSON.stringify({ t: 'pong', id: frame.id }));
        break;
      case 'drain':
        this.#drain(connection, frame.retryMs);
        break;
      case 'bye':
        this.#bye(connection);
        break;
    }
  }

  #welcome(connection: Connection, frame: Record<string, unknown>): void {
    const { window } = connection;
    const { epoch } = frame;
    const isOwn = window === this.#own;
    const isResumed = window.epoch !== undefined;
    const stored = sequenceOf(frame.stored ?? frame.taken);
    if (
      stored === undefined ||
      !isSequence(epoch) ||
      (isOwn && isResumed && epoch !== window.epoch) ||
      (typeof frame.producer === 'string' && frame.producer !== this.producer) ||
      !this.#takeCredit(frame.credit) ||
      !this.#takeLimits(frame.limits)
    ) {
      this.#protocolError(connection, 'invalid_frame', 'The server sent a welcome that cannot be right');
      return;
    }
    this.#counts.connections += 1;
    window.epoch = epoch;
    const wanted = isOwn ? this.#asked : frame.stored === undefined ? 'committed' : 'stored';
    connection.level = LEVELS.find((level) => level === frame.ack) ?? wanted;
    const missing = runOf(frame.missing);
    if (isOwn) {
      if (typeof frame.session === 'string') {
        window.session = frame.session;
        if (this.#storage !== undefined) window.unsavedSession = frame.session;
      }
      if (connection.level !== this.#level) {
        this.#level = connection.level;
        this.#emit({ type: 'level', asked: this.#asked, given: connection.level });
      }
      this.#emit({ type: 'connected', epoch, resumed: isResumed, delivery: String(frame.delivery) });
      if (isResumed && frame.known === false) this.#emit({ type: 'unknown', epoch, next: window.acked + 1 });
      if (missing !== undefined) this.#emit({ type: 'missing', ...missing });
      if (stored > window.sent) {
        this.#endForeign(window, stored);
        return;
      }
    } else {
      // An instance that was never welcomed has sent nothing, so there was nothing to know.
      window.isKnown &&= frame.known !== false || (window.session === undefined && !isResumed);
      window.missing = missing ?? window.missing;
      const sure = sequenceOf(frame.sure);
      if (sure !== undefined) this.#doubt(window, sure, stored);
      window.trimDroppedEnd();
    }
    this.#dropHold();
    this.#putOffInARow = 0;
    this.#rewoundTo = 0;
    if (isOwn) this.#flushDue = this.#calls.flushesWait;
    // All that was not acked goes out once more, even what the server says it has: the nack of a message that it refused
    // may have been lost with the connection before, and comes again only when the message does.
    window.restart();
    // Only now may anything be sent.
    connection.isWelcomed = true;
    connection.awaitProgress(this.#timers.now());
    this.#settleCalls();
    this.#queue?.run();
    if (isOwn || !this.#finishRecovery(connection)) this.#pump();
  }

  /**
   * The server has more of this epoch than was sent: a copy of this running client has sent under its numbers. To go on would
   * let new messages pass for those.
   */
  #endForeign(window: SendWindow, stored: number): void {
    const { sent } = window;
    const message = `Another copy of this client has sent in its epoch: ${stored} messages are there, ${sent} were sent from here`;
    if (this.#storage !== undefined) window.doubtUpTo(stored);
    this.#end(new SluiceError('fenced', message, { details: { stored, sent } }), false);
  }

  #takeCredit(credit: unknown): boolean {
    if (typeof credit !== 'object' || credit === null) return false;
    const messages = sequenceOf((credit as { messages?: unknown }).messages);
    const bytes = sequenceOf((credit as { bytes?: unknown }).bytes);
    if (messages === undefined || bytes === undefined) return false;
    this.#credit = { messages, bytes };
    return true;
  }

  #takeLimits(limits: unknown): boolean {
    if (typeof limits !== 'object' || limits === null) return false;
    const { frameBytes, messageBytes, frameMessages } = limits as Record<string, unknown>;
    if (!isSequence(frameBytes) || !isSequence(messageBytes) || !isSequence(frameMessages)) return false;
    if (frameBytes <= HEADER_BYTES + 1) return false;
    this.#limits = { frameMessages, frameBytes };
    const most = Math.min(messageBytes, frameBytes - HEADER_BYTES - 1);
    const isSmaller = most < this.#messageBytes;
    this.#messageBytes = most;
    if (isSmaller) {
      // What waits and is larger than the server takes, as it is known now.
      this.#own.dropAbove(most + 1, (sequence) => {
        this.#refuseSequence(this.#own, sequence, 'message_too_large', this.#tooLargeMessage());
      });
      this.#admitBlocked();
    }
    return true;
  }

  /** Takes over how far the server is. */
  #ack(connection: Connection, reported: number | undefined, reportedCommitted: number | undefined): void {
    const { window } = connection;
    // An ack covers nothing that was not sent on this connection.
    const { heard } = window;
    const committed = Math.min(reportedCommitted ?? 0, heard);
    const stored = Math.max(Math.min(reported ?? 0, heard), committed);
    const nowMs = this.#timers.now();
    const isProgress = stored > window.stored;
    if (isProgress) {
      connection.outSinceMs = nowMs;
      window.reach(stored);
      this.#putOffInARow = 0;
      this.#rewoundTo = 0;
      this.#letGo();
    }
    const acked = connection.level === 'committed' ? committed : stored;
    if (acked > window.acked) {
      this.#counts.acked += window.release(acked);
      if (window === this.#own) this.#settleCalls();
      this.#queue?.run();
      this.#admitBlocked();
    } else if (!isProgress) return;
    this.#failures = 0;
    connection.awaitProgress(nowMs);
    this.#finishRecovery(connection);
  }

  #nack(connection: Connection, frame: Record<string, unknown>): void {
    const { window } = connection;
    const { from, to } = frame;
    const code = String(frame.code);
    const message = String(frame.message ?? '');
    const isTemporary = frame.temporary === true;
    const event: ClientEvent = { type: 'nack', code, temporary: isTemporary, message };
    if (isSequence(from)) event.from = from;
    if (isSequence(to)) event.to = to;
    if (!isTemporary && isSequence(from) && isSequence(to)) {
      const refusal = REFUSAL_CODES.find((refusalCode) => refusalCode === code) ?? 'message_refused';
      const text = refusalText(code, message);
      const last = Math.min(to, window.heard);
      let isNews = false;
      for (let sequence = Math.max(from, window.acked + 1); sequence <= last; sequence += 1) {
        if (this.#refuseSequence(window, sequence, refusal, text)) isNews = true;
      }
      // What is sent again after a lost connection is refused again, and what was dropped here is known to be.
      if (isNews) this.#emit(event);
      return;
    }
    this.#emit(event);
    if (isTemporary) {
      this.#putOff(window, isSequence(from) ? from : window.stored + 1);
      return;
    }
    const known = FRAME_CODES.find((frameCode) => frameCode === code) ?? 'invalid_frame';
    this.#protocolError(
      connection,
      known,
      `The server could not read a frame: ${message === '' ? code : message}`,
    );
  }

  /** Settles one message as refused; false where it was settled before. */
  #refuseSequence(window: SendWindow, sequence: number, code: ClientErrorCode, message: string): boolean {
    if (!window.refuse(sequence)) return false;
    this.#counts.refused += 1;
    if (window === this.#own) this.#refuseInCall(sequence, code, message);
    return true;
  }

  /** The server has no room for a batch: it goes out again when there is some, or when it has waited. */
  #putOff(window: SendWindow, from: number): void {
    this.#counts.putOff += 1;
    // The batches behind this one come as gaps to where the client has gone back already.
    if (window.rewind(from)) this.#rewoundTo = from;
    else if (this.#hold !== undefined) return;
    const ceiling = pauseMs(PUT_OFF_BASE_MS, PUT_OFF_MAX_MS, this.#putOffInARow);
    this.#putOffInARow += 1;
    this.#dropHold();
    this.#hold = this.#timers.after(ceiling * (0.5 + 0.5 * this.#random()), () => {
      this.#hold = undefined;
      this.#pump();
    });
  }

  #dropHold(): void {
    this.#hold?.();
    this.#hold = undefined;
  }

  /** There is room: what was put off need not wait. */
  #letGo(): void {
    if (this.#hold !== undefined && hasCredit(this.#credit)) this.#dropHold();
  }

  #gap(connection: Connection, frame: Record<string, unknown>): void {
    const { window } = connection;
    const { expected, got } = frame;
    if (!isSequence(expected)) return;
    this.#counts.gaps += 1;
    this.#emit({ type: 'gap', expected, got: sequenceOf(got) ?? 0 });
    // Every batch behind the gap is answered with one: the first of them says it all.
    if (expected === this.#rewoundTo) return;
    if (expected <= window.stored || !window.hasSent(expected)) {
      // It has forgotten what it acked. The hello of the next connection says where this client stands.
      this.#giveUp(connection, 'The server expects what this client does not have');
      return;
    }
    this.#rewoundTo = expected;
    window.rewind(expected);
    this.#pump();
  }

  #drain(connection: Connection, retryMs: unknown): void {
    const atMostMs = Math.min(sequenceOf(retryMs) ?? 1_000, DRAIN_RETRY_MAX_MS);
    this.#emit({ type: 'drain', retryMs: atMostMs });
    if (connection.drainUntilMs !== undefined) return;
    const delayMs = Math.round(atMostMs * this.#random());
    connection.drainUntilMs = this.#timers.now() + delayMs;
    this.#pump();
    if (this.#connection !== connection) return;
    this.#watch?.();
    this.#watch = this.#timers.after(delayMs, () => {
      closeSocket(connection.socket, 'drained');
      this.#lost(connection, 1001, 'The server has asked to come back');
    });
  }

  #bye(connection: Connection): void {
    if (connection.byeMs !== undefined && connection.window !== this.#own) {
      closeSocket(connection.socket, 'bye');
      this.#goOn();
    } else if (this.#closing !== undefined && this.#isEmpty()) this.#end(undefined, false);
    else this.#giveUp(connection, 'The server said goodbye too early');
  }

  // What older instances have left.

  /** What lies between `sure` and `stored` may be another's: it is kept, and goes out only if somebody decides so. */
  #doubt(window: SendWindow, sure: number, stored: number): void {
    for (const { first, count, text } of window.setAside(sure, stored)) {
      this.#counts.setAside += count;
      this.#doubts.push({ window, first, count, texts: text.split('\n') });
    }
    this.#admitBlocked();
  }

  /** Ends the recovery of an instance of which all is settled; false where something is left. */
  #finishRecovery(connection: Connection): boolean {
    const { window } = connection;
    if (window === this.#own || window.batches.length > 0 || this.#older[0] !== window) return false;
    this.#older.shift();
    const { instance, restored, setAsideRun, missing } = window;
    const event: ClientEvent = {
      type: 'recovered',
      instance,
      messages: restored - (setAsideRun?.messages ?? 0),
      refused: window.refusedCount,
      known: window.isKnown,
    };
    if (setAsideRun !== undefined) event.inDoubt = setAsideRun;
    if (missing !== undefined) event.missing = missing;
    this.#emit(event);
    this.#forgetSettled(window);
    this.#settleCalls();
    this.#sayBye(connection);
    return true;
  }

  /** Has the storage forget an instance of which nothing is left. */
  #forgetSettled(window: SendWindow): void {
    const isLeft = this.#older.includes(window) || this.#doubts.some((doubt) => doubt.window === window);
    if (!isLeft) window.isForgotten = true;
    this.#queue?.run();
  }

  #dropDoubts(doubts: readonly Doubt[]): void {
    this.#doubts = this.#doubts.filter((doubt) => !doubts.includes(doubt));
    for (const { window, first, count } of doubts) window.discards.push({ first, last: first + count - 1 });
    for (const window of new Set(doubts.map((doubt) => doubt.window))) this.#forgetSettled(window);
  }

  // The connection.

  #connect(): void {
    this.#reconnect = undefined;
    const window = this.#older[0] ?? this.#own;
    let socket: WebSocketLike;
    try {
      socket = this.#openSocket(this.#url, PROTOCOL);
    } catch (error) {
      this.#lost(undefined, 1006, `The socket cannot be opened: ${String(error)}`);
      return;
    }
    const connection = new Connection(socket, window, this.#timers.now());
    this.#connection = connection;
    socket.addEventListener('open', () => {
      if (this.#connection === connection) this.#hello(connection);
    });
    socket.addEventListener('message', ({ data }) => {
      if (this.#connection === connection) this.#receive(connection, data);
    });
    socket.addEventListener('close', ({ code, reason }) => {
      if (this.#connection === connection) this.#closedByPeer(connection, code ?? 1006, reason ?? '');
    });
    // A close follows nearly everywhere, with a code that says more; the watch sees to the rest.
    socket.addEventListener('error', () => {
      connection.erroredMs ??= this.#timers.now();
    });
    this.#watchLater();
  }

  #hello(connection: Connection): void {
    const { socket, window } = connection;
    if (socket.protocol !== undefined && socket.protocol !== PROTOCOL) {
      // In raw mode the server would store the hello as a message.
      this.#giveUp(connection, 'The server does not speak sluice.v1');
      return;
    }
    const { instance, session, epoch } = window;
    const next = window.acked + 1;
    const isOwn = window === this.#own;
    const hello: Record<string, unknown> = { t: 'hello', ack: isOwn ? this.#asked : 'stored', instance };
    if (!isOwn) Object.assign(hello, { recover: true, session, next });
    else if (epoch !== undefined) Object.assign(hello, { resume: true, epoch, session, next });
    this.#transmit(connection, JSON.stringify(hello));
  }

  #closedByPeer(connection: Connection, code: number, reason: string): void {
    const terminal = TERMINAL_CODES[code];
    if (terminal !== undefined) {
      // Before the welcome it was the hello that could not be read.
      const isHello = code === 4400 && !connection.isWelcomed;
      this.#end(closeError(isHello ? { ...terminal, code: 'invalid_hello' } : terminal, code, reason), false);
      return;
    }
    this.#lost(connection, code, reason);
  }

  /** Gives up a connection that is of no use any more, and makes a new one. */
  #giveUp(connection: Connection, reason: string): void {
    if (this.#connection !== connection) return;
    closeSocket(connection.socket, 'giving up');
    this.#lost(connection, 1006, reason);
  }

  #lost(connection: Connection | undefined, code: number, reason: string): void {
    if (connection !== undefined && connection.window !== this.#own && this.#older[0] !== connection.window) {
      // Its instance is recovered: it was only waited for.
      this.#goOn();
      return;
    }
    this.#connection = undefined;
    this.#stopConnectionTimers();
    if (this.#closed !== undefined) return;
    if (this.#closing !== undefined && this.#isEmpty()) {
      this.#end(undefined, false);
      return;
    }
    this.#counts.reconnects += 1;
    const nowMs = this.#timers.now();
    let retryMs: number;
    if (connection?.drainUntilMs !== undefined) {
      // The server asked for it: no failure.
      retryMs = Math.max(0, connection.drainUntilMs - nowMs);
    } else {
      // One that lived for a while was no failure, though nothing may have been sent on it.
      if (connection?.isWelcomed === true && nowMs - connection.openedMs > HANDSHAKE_LIMIT_MS)
        this.#failures = 0;
      const ceiling = pauseMs(RETRY_BASE_MS, RETRY_MAX_MS, this.#failures);
      this.#failures += 1;
      retryMs = Math.round((code === 4429 ? OVER_CREDIT_RETRY_MS : 0) + ceiling * this.#random());
    }
    this.#emit({ type: 'disconnected', code, reason, retryMs });
    if (this.#counts.connections === 0 && this.#counts.reconnects === NEVER_CONNECTED_FAILURES) {
      this.#sayNeverConnected(code, reason);
    }
    this.#reconnect = this.#timers.after(retryMs, () => this.#connect());
  }

  #sayNeverConnected(code: number, reason: string): void {
    // Parameters may hold a token, and the part before the host a password.
    const { protocol, host, pathname } = new URL(this.#url);
    const url = `${protocol}//${host}${pathname}`;
    const failures = this.#counts.reconnects;
    const last = reason === '' ? `close code ${code}` : `close code ${code}: ${reason}`;
    const message =
      `${failures} tries to connect to ${url} have failed (the last with ${last}). Check that the server runs, that host and ` +
      'port are right, that the path is /ws/ and the name of a sink, and that nothing in between refuses WebSockets';
    this.#emit({ type: 'never-connected', url, failures, message });
  }

  /** An instance is recovered: the next one, or this client's own. */
  #goOn(): void {
    this.#connection = undefined;
    this.#stopConnectionTimers();
    if (this.#closed !== undefined) return;
    if (this.#closing !== undefined && this.#isEmpty()) this.#end(undefined, false);
    else this.#connect();
  }

  #protocolError(connection: Connection, code: ClientErrorCode, message: string): void {
    const nowMs = this.#timers.now();
    if (nowMs - this.#protocolErrorMs > PROTOCOL_ERRORS_FORGIVEN_MS) this.#protocolErrors = 0;
    this.#protocolErrorMs = nowMs;
    this.#protocolErrors += 1;
    this.#emit({ type: 'protocol-error', message });
    if (this.#protocolErrors > MAX_PROTOCOL_ERRORS) this.#end(new SluiceError(code, message), false);
    else this.#giveUp(connection, message);
  }

  #watchLater(): void {
    this.#watch = this.#timers.after(WATCH_INTERVAL_MS, () => {
      this.#look();
      if (this.#connection !== undefined && this.#connection.drainUntilMs === undefined) this.#watchLater();
    });
  }

  #look(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const nowMs = this.#timers.now();
    if (
      connection.window !== this.#own &&
      connection.byeMs !== undefined &&
      nowMs - connection.byeMs >= HANDSHAKE_LIMIT_MS
    ) {
      this.#giveUp(connection, 'No goodbye in time');
      return;
    }
    const found = connection.look(nowMs);
    if (found === undefined) return;
    if ('giveUp' in found) this.#giveUp(connection, found.giveUp);
    else {
      connection.askedMs = nowMs;
      this.#transmit(connection, found.ask);
    }
  }

  #stopConnectionTimers(): void {
    this.#watch?.();
    this.#watch = undefined;
    this.#bufferedCheck?.();
    this.#bufferedCheck = undefined;
    this.#dropHold();
  }

  // The storage.

  /** What the storage has to do next. */
  #nextOperation(storage: ClientStorage): StorageOperation | undefined {
    if (this.#isShut) return undefined;
    if (!this.#isLoaded) {
      if (this.#closed !== undefined) return this.#shut(storage);
      return {
        name: 'load',
        run: () => storage.load(),
        done: (found) => this.#restore(found as readonly StoredInstance[]),
      };
    }
    if (!this.#isBegun) {
      if (this.#closed !== undefined && this.#own.taken === 0) return this.#shut(storage);
      return {
        name: 'begin',
        run: () => storage.begin(this.instance),
        done: () => {
          this.#isBegun = true;
        },
      };
    }
    for (const window of this.#kept) {
      const operation = this.#operationFor(storage, window);
      if (operation !== undefined) return operation;
    }
    return this.#closed === undefined ? undefined : this.#shut(storage);
  }

  #operationFor(storage: ClientStorage, window: SendWindow): StorageOperation | undefined {
    const { instance, acked } = window;
    if (window.isForgotten) {
      return {
        name: 'forget',
        run: () => storage.forget(instance),
        done: () => {
          this.#kept = this.#kept.filter((kept) => kept !== window);
        },
      };
    }
    const aside = window.aside.at(0);
    if (aside !== undefined) {
      return {
        name: 'setAside',
        run: () => storage.setAside(instance, aside),
        done: () => window.aside.shift(),
      };
    }
    const session = window.unsavedSession;
    if (session !== undefined) {
      return {
        name: 'saveSession',
        run: () => storage.saveSession(instance, session),
        done: () => {
          if (window.unsavedSession === session) window.unsavedSession = undefined;
        },
      };
    }
    const first = Math.max(window.saved, window.cut) + 1;
    if (first <= window.taken) {
      const batch = nextAppend(window, first);
      window.saving = first + batch.count - 1;
      return {
        name: 'append',
        run: () => storage.append(instance, batch),
        done: () => {
          window.saved = Math.max(window.saving, window.cut);
        },
      };
    }
    const discard = window.discards.at(0);
    if (discard !== undefined) {
      window.discards.shift();
      return { name: 'discard', run: () => storage.discard(instance, discard), done: ignore };
    }
    if (acked > window.trimmed) {
      return {
        name: 'trim',
        run: () => storage.trim(instance, acked),
        done: () => {
          window.trimmed = acked;
        },
      };
    }
    return undefined;
  }

  #shut(storage: ClientStorage): StorageOperation {
    return {
      name: 'close',
      run: () => storage.close(),
      done: () => {
        this.#isShut = true;
      },
    };
  }

  #restore(found: readonly StoredInstance[]): void {
    this.#isLoaded = true;
    if (this.#closed !== undefined) return;
    for (const stored of found) {
      const window = new SendWindow(stored.instance, this.#ring, true);
      window.restore(stored);
      this.#counts.restored += window.restored;
      this.#kept.push(window);
      for (const { first, count, text } of stored.inDoubt) {
        if (isGone(stored.discarded, first, count)) continue;
        this.#doubts.push({ window, first, count, texts: text.split('\n') });
      }
      if (window.batches.length > 0) this.#older.push(window);
      else this.#forgetSettled(window);
    }
    this.#settleCalls();
    if (this.#closing !== undefined && this.#isEmpty()) this.#end(undefined, false);
    else this.#connect();
  }

  /** Says that a storage has failed; true where it is tried again. */
  #storageFailed(operation: StorageOperationName, error: unknown): boolean {
    const isInUse = (error as { code?: unknown } | undefined)?.code === 'storage_in_use';
    if (isInUse) this.#isShut = true;
    if (isInUse && this.#closed !== undefined) return false;
    if (isInUse) {
      const message = `The storage is in use by another client: ${error instanceof Error ? error.message : String(error)}`;
      this.#end(new SluiceError('storage_in_use', message, { cause: error }), false);
      return false;
    }
    this.#emit({ type: 'storage-failed', operation, error });
    if (this.#closed === undefined) return true;
    // Nobody waits any longer; the next client finds what there is.
    if (operation !== 'close') void letGoOf(this.#storage);
    this.#isShut = true;
    return false;
  }

  // The end.

  #overError(): SluiceError | undefined {
    if (this.#closed !== undefined) return this.#closed.error;
    return this.#closing === undefined ? undefined : closedError(0);
  }

  /** Ends the client: with an error by itself, without one because it was closed. */
  #end(error: SluiceError | undefined, timedOut: boolean): void {
    if (this.#closed !== undefined) return;
    const unacked = this.#unsettledCount();
    const { acked, refused, dropped } = this.#counts;
    const report: CloseReport = { unacked, acked, refused, dropped, timedOut };
    if (error !== undefined) report.code = error.code;
    const reason = error ?? closedError(unacked);
    this.#closed = { report, error: reason, isCloseLate: timedOut };

    const connection = this.#connection;
    this.#connection = undefined;
    this.#stopConnectionTimers();
    this.#reconnect?.();
    this.#lingering?.();
    if (connection !== undefined) closeSocket(connection.socket, 'bye');

    const own = this.#own;
    for (let index = 0; index < this.#calls.blocked.length; index += 1) {
      const { texts, next } = this.#calls.blocked.at(index) as BlockedCall;
      this.#leftBlocked.push(...texts.slice(next));
    }
    const isTakenOver = reason.code === 'fenced' || reason.code === 'replaced';
    const unknown = isTakenOver ? fateUnknownError(reason) : reason;
    this.#calls.rejectAll(({ kind, first, last }) => {
      const wasSent = kind !== 'flush' && first <= own.sent && last > own.acked;
      return wasSent ? unknown : reason;
    });
    this.#room?.reject(reason);
    this.#room = undefined;
    // Nothing of this instance is left, so nothing of it needs to be kept.
    if (own.batches.length === 0 && own.waiting.length === 0) own.isForgotten = true;

    if (error !== undefined) {
      const { code, message } = error;
      if (code === 'fenced' || code === 'replaced') this.#emit({ type: code, code, message });
      else this.#emit({ type: 'failed', code, message });
    }
    this.#emit({ type: 'closed', report });
    this.#queue?.hurry();
    this.#resolveClose();
  }

  /** Resolves `close` once the storage has done the last it has to do. */
  #resolveClose(): void {
    const closed = this.#closed;
    if (closed === undefined || this.#closing === undefined) return;
    if (this.#queue !== undefined && !this.#queue.isIdle && !closed.isCloseLate) return;
    this.#closeLimit?.();
    this.#closeLimit = undefined;
    this.#closing.resolve(closed.report);
  }

  #emit(event: ClientEvent): void {
    const onEvent = this.#onEvent;
    // Later, so that a listener may call the client, whatever it is in the middle of.
    if (onEvent !== undefined) queueMicrotask(() => onEvent(event));
  }
}

const LEVELS: readonly AckLevel[] = ['none', 'stored', 'committed'];

const DROPPED_MESSAGE = 'The message was dropped: the ring was full';

function newTicket(
  kind: Ticket['kind'],
  total: number,
  resolve: (receipt: BatchReceipt | undefined) => void,
  rejectWith: (error: SluiceError) => void,
): Ticket {
  return {
    kind,
    total,
    open: false,
    first: 1,
    last: 0,
    live: total,
    done: false,
    skipped: undefined,
    refused: undefined,
    resolve,
    reject: rejectWith,
  };
}

/** The index in its call of a message that has the sequence `first + offset`. */
function indexInCall({ skipped }: Ticket, offset: number): number {
  if (skipped === undefined) return offset;
  let index = offset;
  for (const skip of skipped) {
    if (skip > index) break;
    index += 1;
  }
  return index;
}

/** Notes that a message of a call is refused. */
function refuse(ticket: Ticket, index: number, code: ClientErrorCode, message: string): void {
  ticket.refused ??= [];
  ticket.refused.push({ index, code, message });
  ticket.live -= 1;
}

/** Settles a call whose messages have all been settled. */
function finish(ticket: Ticket): void {
  if (ticket.done) return;
  ticket.done = true;
  const refused = ticket.refused ?? [];
  const [only] = refused;
  const hasSequence = ticket.last >= ticket.first;
  if (ticket.kind === 'batch') {
    const receipt: BatchReceipt = {
      messages: ticket.total,
      refused: refused.sort((one, other) => one.index - other.index),
    };
    if (hasSequence) receipt.firstSequence = ticket.first;
    ticket.resolve(receipt);
  } else if (only === undefined || ticket.kind !== 'one') ticket.resolve(undefined);
  else {
    const details = hasSequence ? { sequence: ticket.first } : {};
    ticket.reject(new SluiceError(only.code, only.message, { details }));
  }
}

function reject(ticket: Ticket, error: SluiceError): void {
  if (ticket.done) return;
  ticket.done = true;
  ticket.reject(error);
}

function ignore(): void {}

function defer<T>(): Deferred<T> {
  const deferred = {} as Deferred<T>;
  deferred.promise = new Promise<T>((resolve, rejectWith) => {
    deferred.resolve = resolve;
    deferred.reject = rejectWith;
  });
  return deferred;
}

/** The ceiling of a pause that doubles with each failure before it. */
function pauseMs(baseMs: number, maxMs: number, failures: number): number {
  return Math.min(maxMs, baseMs * 2 ** Math.min(failures, 20));
}

function hasCredit({ messages, bytes }: Credit): boolean {
  return messages > 0 && bytes > 0;
}

function ringFullError(): SluiceError {
  return new SluiceError('ring_full', 'The ring is full: the server takes less than is sent');
}

function closedError(unacked: number): SluiceError {
  return new SluiceError(
    'client_closed',
    unacked === 0 ? 'The client was closed' : `The client was closed with ${unacked} messages unacknowledged`,
    { details: { unacked } },
  );
}

/** The server's own sentence, where it sent one. */
function refusalText(code: string, message: string): string {
  if (code === 'dead_letter')
    return `The message is among the dead letters: ${message === '' ? 'Postgres refused it' : message}`;
  return message === '' ? `The server refused the message: ${code}` : message;
}

function fateUnknownError(cause: SluiceError): SluiceError {
  return new SluiceError(
    'fate_unknown',
    `The message was sent and not acknowledged, and may be there or not. ${cause.message}`,
    { details: { ended: cause.code }, cause },
  );
}

/** The error of a close code that is final. The reason begins with a code of its own, where the server names one. */
function closeError(
  { code, message }: { code: ClientErrorCode; message: string },
  closeCode: number,
  reason: string,
): SluiceError {
  const named = /^([a-z0-9_]+):/.exec(reason)?.[1];
  const known = CLIENT_ERROR_CODES.find((clientCode) => clientCode === named) ?? code;
  const text = reason === '' ? message : `${message}: ${reason}`;
  return new SluiceError(known, text, { details: { closeCode, reason } });
}

function closeSocket(socket: WebSocketLike, reason: string): void {
  try {
    socket.close(1000, reason);
  } catch {
    // It was closed, or never open.
  }
}

function openWebSocket(url: string, protocol: string): WebSocketLike {
  return new WebSocket(url, protocol) as WebSocketLike;
}

/** Closes a storage that has failed, as far as that goes. */
async function letGoOf(storage: ClientStorage | undefined): Promise<void> {
  try {
    await storage?.close();
  } catch {
    // It was said that it fails.
  }
}

const platformTimers: ClientTimers = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** The JSON of a value, or why there is none. */
function jsonOf(message: unknown): string | { message: string; cause?: unknown } {
  try {
    const text = JSON.stringify(message);
    if (text !== undefined) return text;
  } catch (cause) {
    return { message: unreadReason(cause), cause };
  }
  const kind = typeof message === 'object' ? 'what its toJSON returns' : `a value of type ${typeof message}`;
  return { message: `There is no JSON for ${kind}: send an object, a text, a number, a boolean or null` };
}

function unreadReason(cause: unknown): string {
  let text = '';
  try {
    text = cause instanceof Error ? cause.message : String(cause);
  } catch {
    // Something that was thrown and has no text.
  }
  if (/bigint/i.test(text))
    return 'The message holds a BigInt, which has no JSON: send it as a text or a number';
  if (/circular|cyclic/i.test(text))
    return 'The message holds itself (a circular reference), so it has no JSON';
  return `JSON.stringify failed: ${text}`;
}

const EMPTY = -1;
const NEWLINE = -2;
const LONE_SURROGATE = -3;
const NO_TEXT = -4;
const LONE_DASH = -5;
const NUL = -6;
const HAS_REPLACEMENT = -7;

/** Why a text cannot be a message, by what `lineBytes` found. */
const LINE_REFUSALS: Readonly<Record<number, [ClientErrorCode, string]>> = {
  [EMPTY]: ['invalid_json', 'The message is an empty text, which is no JSON'],
  [NEWLINE]: [
    'invalid_json',
    'The message has more than one line: write JSON without line breaks, and \\n in its texts',
  ],
  [LONE_SURROGATE]: ['lone_surrogate', 'The message holds half of a surrogate pair, which is no character'],
  [NO_TEXT]: [
    'invalid_json',
    'The message is no text: sendText and sendBatch take JSON texts, send takes values',
  ],
  [LONE_DASH]: ['invalid_json', 'The message is a lone "-", which is no JSON'],
  [NUL]: ['nul_character', 'The message holds a NUL character, which Postgres cannot store'],
  [HAS_REPLACEMENT]: ['invalid_json', 'A backslash before U+FFFD is no escape that JSON has'],
};

/**
 * Bytes that a message takes as a line: in UTF-8, with its newline. Negative for what cannot be one, and for a text with
 * U+FFFD: a server takes that for bytes that were no UTF-8.
 */
function lineBytes(text: string): number {
  if (typeof text !== 'string') return NO_TEXT;
  if (text.length < 2) {
    if (text.length === 0) return EMPTY;
    if (text === DROPPED) return LONE_DASH;
  }
  let bytes = text.length + 1;
  let found = 0;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) {
      if (unit === 10) return NEWLINE;
      if (unit === 0) return NUL;
    } else if (unit < 0x800) bytes += 1;
    else if (unit < 0xd800 || unit > 0xdfff) {
      bytes += 2;
      if (unit === 0xfffd) found = HAS_REPLACEMENT;
    } else {
      // A pair is two units and four bytes.
      if (unit > 0xdbff || (text.charCodeAt(index + 1) & 0xfc00) !== 0xdc00) return LONE_SURROGATE;
      bytes += 2;
      index += 1;
    }
  }
  return found < 0 ? found : bytes;
}

/** Writes U+FFFD as an escape, which JSON allows wherever it allows the character, but not after half an escape. */
function escapeReplacement(json: string): string {
  return json.replaceAll(/(\\*)\ufffd/g, (all, { length }: string) =>
    length % 2 === 0 ? `${all.slice(0, -1)}\\ufffd` : all,
  );
}

/** Bytes of a well-formed text in UTF-8, from `start` to before `end`. */
function utf8Bytes(text: string, start: number, end: number): number {
  let bytes = end - start;
  for (let index = start; index < end; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    // Each half of a pair stands for two of its four bytes.
    bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}

/** How many of a batch's first messages fit into a number of messages and bytes, newlines included. */
function countOfLines({ text, count: most }: Batch, maxMessages: number, maxBytes: number): number {
  if (text === undefined)
    return Math.max(0, Math.min(most, maxMessages, Math.floor(maxBytes / DROPPED_BYTES)));
  let count = 0;
  let bytes = 0;
  for (let start = 0; count < maxMessages && start <= text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    bytes += utf8Bytes(text, start, end) + 1;
    if (bytes > maxBytes) break;
    count += 1;
    start = end + 1;
  }
  return count;
}

/** What of a window goes into its storage next, from the sequence `first` on. */
function nextAppend({ waiting, cut, taken }: SendWindow, first: number): StoredBatch {
  const index = first - cut - 1;
  const most = Math.min(taken - first + 1, MAX_APPEND_MESSAGES);
  let count = 1;
  let bytes = waiting.sizeAt(index);
  while (count < most && bytes + waiting.sizeAt(index + count) <= MAX_APPEND_BYTES) {
    bytes += waiting.sizeAt(index + count);
    count += 1;
  }
  return { first, count, text: waiting.join(index, count) };
}

/** Whether a batch lies in runs that were discarded. */
function isGone(discarded: readonly SequenceRun[], first: number, count: number): boolean {
  return discarded.some((run) => run.first <= first && run.last >= first + count - 1);
}

function isSequence(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}

/** A whole number from 0, or undefined. */
function sequenceOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function runOf(value: unknown): { from: number; to: number } | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { from, to } = value as { from?: unknown; to?: unknown };
  return isSequence(from) && isSequence(to) ? { from, to } : undefined;
}

/** 128 random bits in hexadecimal digits. */
function randomName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A random UUID: `crypto.randomUUID` is missing in pages that came without TLS. */
function randomUuid(): string {
  const name = randomName();
  const variant = '89ab'[Number.parseInt(name[16] as string, 16) & 3];
  return `${name.slice(0, 8)}-${name.slice(8, 12)}-4${name.slice(13, 16)}-${variant}${name.slice(17, 20)}-${name.slice(20)}`;
}

const OPTIONS: readonly (keyof SluiceClientOptions)[] = [
  'url',
  'producer',
  'ack',
  'batchMessages',
  'batchBytes',
  'lingerMs',
  'ringMessages',
  'ringBytes',
  'whenFull',
  'storage',
  'openSocket',
  'timers',
  'random',
  'onEvent',
];

/** An option that is misspelt would be passed over without a word. */
function refuseUnknownOptions(options: SluiceClientOptions): void {
  if (typeof options !== 'object' || options === null)
    throw invalidOption('url', 'The options are missing: name a url');
  for (const name of Object.keys(options)) {
    if ((OPTIONS as readonly string[]).includes(name)) continue;
    const [nearest] = OPTIONS.map((option) => ({ option, distance: editDistance(name, option) })).sort(
      (one, other) => one.distance - other.distance,
    );
    const isNear = nearest !== undefined && nearest.distance <= Math.max(2, name.length / 2);
    const hint = isNear ? `did you mean ${nearest.option}?` : `there are ${OPTIONS.join(', ')}`;
    throw invalidOption(
      name.slice(0, 40),
      `There is no option ${JSON.stringify(name.slice(0, 40))}: ${hint}`,
    );
  }
}

/** How many letters have to be put in, taken away or replaced to make one word of the other, whatever their case. */
function editDistance(one: string, other: string): number {
  const from = one.slice(0, 40).toLowerCase();
  const to = other.toLowerCase();
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let at = 1; at <= from.length; at += 1) {
    const next = [at];
    for (let index = 1; index <= to.length; index += 1) {
      const replaced = (row[index - 1] as number) + (from[at - 1] === to[index - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[index] as number) + 1, (next[index - 1] as number) + 1));
    }
    row = next;
  }
  return row[to.length] as number;
}

/** The address of a socket, with the producer in it, and the producer. */
function addressOf({ url: given, producer: option, storage }: SluiceClientOptions): {
  url: string;
  producer: string;
} {
  let url: URL | undefined;
  try {
    url = new URL(given);
  } catch {
    // Said below.
  }
  if (url?.protocol === 'http:') url.protocol = 'ws:';
  if (url?.protocol === 'https:') url.protocol = 'wss:';
  if (url?.protocol !== 'ws:' && url?.protocol !== 'wss:') {
    throw invalidOption('url', 'url: ws://, wss://, http:// or https:// and the path of a sink');
  }
  url.hash = '';
  const named = url.searchParams.getAll('producer');
  if (option !== undefined) named.push(option);
  const [first] = named;
  if (named.some((name) => name !== first)) {
    throw invalidOption(
      'producer',
      'The producer is given twice, in the url and beside it or twice in the url: give it once',
    );
  }
  if (first === undefined && storage !== undefined) {
    throw invalidOption('producer', 'A storage belongs to one producer: name it');
  }
  const producer = first ?? randomUuid();
  if (typeof producer !== 'string' || !/^[A-Za-z0-9._:@-]{1,128}$/.test(producer)) {
    const shown = JSON.stringify(String(producer).slice(0, 40));
    throw invalidOption(
      'producer',
      `Cannot use ${shown} as a producer: 1 to 128 characters of A-Z a-z 0-9 . _ : @ - are allowed`,
    );
  }
  url.searchParams.set('producer', producer);
  return { url: url.href, producer };
}

function invalidOption(option: string, message: string, details: Record<string, unknown> = {}): SluiceError {
  return new SluiceError('invalid_options', message, { details: { option, ...details } });
}

function whole(option: string, value: number, min: number, max: number): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw invalidOption(option, `${option}: a whole number from ${min} to ${max}`, { min, max });
}

function oneOf<T extends string>(option: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw invalidOption(option, `${option}: one of ${allowed.join(', ')}`, { allowed });
}
