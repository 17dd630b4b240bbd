/**
 * A client of `sluice.v1` (PROTOCOL.md): it numbers messages, sends them in batches within the server's credit, keeps
 * them until they are acknowledged, and goes on after a lost connection without losing or doubling one.
 *
 * One file without imports, on Web APIs only: it can be copied into a browser, a Worker or Node 24.
 *
 * ```ts
 * const client = new SluiceClient({ url: 'wss://example.com/ws/messages', producer: 'dev-7f3a' });
 * await client.send({ celsius: 21.5 }); // resolves once the server has it on disk
 * await client.close();
 * ```
 */

/** What the promise of a message waits for (PROTOCOL.md, "Acknowledgement levels"). */
export type AckLevel = 'none' | 'stored' | 'committed';

/** What happens to a message for which the ring has no room. */
export type WhenFull = 'block' | 'reject' | 'drop-oldest' | 'drop-newest';

export interface SluiceClientOptions {
  /** `ws(s)://host/ws/:sink`; `http(s)` is taken as `ws(s)`. The producer is added as `?producer=`. */
  url: string | URL;
  /**
   * The producer's name, 1 to 128 characters of `A-Z a-z 0-9 . _ : @ -`. Two clients at the same time need two names:
   * the newer one replaces the older. Default: a random UUID.
   */
  producer?: string;
  /** Default: `stored`. */
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
  /** Keeps what was sent and not acknowledged, so that a restarted producer goes on where it stood. Needs `producer`. */
  storage?: ClientStorage;
  /** Default: `new WebSocket(url, protocol)`. */
  openSocket?: (url: string, protocol: string) => WebSocketLike;
  /** Default: the platform's. */
  timers?: ClientTimers;
  /** A number from 0 to below 1. Default: `Math.random`. */
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

/** A batch as a storage keeps it: `count` messages, one per line of `text`, the first with the sequence `first`. */
export interface StoredBatch {
  readonly epoch: number;
  readonly first: number;
  readonly count: number;
  readonly text: string;
}

/** What a storage knows of its producer. */
export interface StoredState {
  readonly epoch: number;
  /** The highest sequence given to `trim`; 0 before the first. */
  readonly acked: number;
  /** Every batch that was saved and not trimmed, in the order of their sequences. */
  readonly batches: readonly StoredBatch[];
}

/**
 * Where a producer keeps what it must not forget. The client calls one method at a time, in order, and repeats one
 * that failed (pauses from 250 ms to 30 s), so each has to stand being called twice with the same arguments. A
 * storage belongs to one producer.
 *
 * After a terminal error the storage keeps its batches: a producer that was fenced needs an empty one.
 */
export interface ClientStorage {
  /** Called once, before the first connection. */
  load(): Promise<StoredState | undefined>;
  /** A new epoch began: what belonged to the older one is forgotten. */
  saveEpoch(epoch: number): Promise<void> | void;
  /** Called before a batch is sent for the first time; it is sent once this has resolved. */
  saveBatch(batch: StoredBatch): Promise<void> | void;
  /** Everything up to a sequence was acknowledged. A batch that reaches beyond it is kept whole. */
  trim(epoch: number, upTo: number): Promise<void> | void;
}

export type ClientState = 'connecting' | 'ready' | 'paused' | 'draining' | 'closed';

/** A message that was not taken: its index in the call, and why. */
export interface RefusedMessage {
  index: number;
  code: ClientErrorCode;
}

export interface BatchReceipt {
  /** Messages of the call. */
  messages: number;
  /** Those of them that were refused or dropped, by index; all others have reached the level. */
  refused: RefusedMessage[];
  /** Sequence of the first message that was sent. Missing when none was. */
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

/** Counters since the start, and what there is at the moment. */
export interface ClientStats {
  /** Messages sent for the first time. */
  sent: number;
  /** Messages sent again. The server takes none of them twice. */
  resent: number;
  /** Messages acknowledged at the level (`stored` for `none`), without those refused. */
  acked: number;
  /** Messages refused, by the server or before they were sent. */
  refused: number;
  /** Messages dropped because the ring was full. */
  dropped: number;
  /** Messages that a storage brought back. */
  restored: number;
  /** Batch frames sent. */
  frames: number;
  /** Batches that the server put off (`temporary`). */
  putOff: number;
  gaps: number;
  /** Connections that were welcomed. */
  connections: number;
  /** Connections that were lost or could not be made. */
  reconnects: number;
  /** Messages, and their bytes with newlines, that wait to be sent or acknowledged. */
  unackedMessages: number;
  unackedBytes: number;
  /** Those of them that were not put into a frame yet. */
  waitingMessages: number;
  /** Calls that wait for room. */
  blockedCalls: number;
  creditMessages: number;
  creditBytes: number;
}

export type ClientEvent =
  | { type: 'connected'; epoch: number; resumed: boolean; delivery: string }
  | { type: 'disconnected'; code: number; reason: string; retryMs: number }
  /** The server had no memory of the epoch: messages sent and not acked before may come a second time. */
  | { type: 'unknown'; epoch: number; next: number }
  /** Messages that were acknowledged and that the server does not have: its storage was lost or went back in time. */
  | { type: 'missing'; from: number; to: number }
  /** The server has more of the epoch than the client knows to have sent: its storage went back in time. */
  | { type: 'ahead'; expected: number; stored: number }
  | { type: 'nack'; from?: number; to?: number; code: string; temporary: boolean; message: string }
  | { type: 'gap'; expected: number; got: number }
  | { type: 'drain'; retryMs: number }
  | { type: 'dropped'; messages: number }
  /** A frame from the server that makes no sense, or an answer that a frame from here made none. */
  | { type: 'protocol-error'; message: string }
  /** A storage that failed and is asked again. */
  | { type: 'storage-failed'; operation: 'load' | 'saveEpoch' | 'saveBatch' | 'trim'; error: unknown }
  /** Another client of this producer has taken over: `fenced` by a newer epoch, or `replaced` in the same one. */
  | { type: 'fenced' | 'replaced'; code: ClientErrorCode; message: string }
  /** Something else that connecting again does not repair. */
  | { type: 'failed'; code: ClientErrorCode; message: string }
  | { type: 'closed'; report: CloseReport };

const REFUSAL_CODES = [
  'invalid_json',
  'nul_character',
  'lone_surrogate',
  'number_out_of_range',
  'nesting_too_deep',
  'message_too_large',
  'dead_letter',
] as const;

const FRAME_CODES = ['invalid_frame', 'unknown_type', 'binary_frame', 'frame_too_large'] as const;

/** Codes that this file gives to errors, all of Sluice's one table (src/errors.ts). */
export const CLIENT_ERROR_CODES = [
  ...REFUSAL_CODES,
  ...FRAME_CODES,
  'invalid_options',
  'invalid_hello',
  'hello_required',
  'fenced',
  'replaced',
  'ring_full',
  'client_closed',
  'message_dropped',
  'message_refused',
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

/** A `hello` that was not welcomed by then, of a server that answers within moments. */
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

/** Pauses before a batch that was put off goes out again, unless an ack or a `flow` says sooner that there is room. */
const PUT_OFF_BASE_MS = 20;
const PUT_OFF_MAX_MS = 5_000;

/** What a socket may hold before the client waits, and how soon it looks again: there is no event for it. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
const BUFFERED_RETRY_MS = 10;

const MAX_BLOCKED_CALLS = 1_000;

/** Frames that one side could not read, within the time below, before the client gives up. */
const MAX_PROTOCOL_ERRORS = 3;
const PROTOCOL_ERRORS_FORGIVEN_MS = 300_000;

const CLOSE_LIMIT_MS = 30_000;

/** Close codes after which connecting again changes nothing (PROTOCOL.md, "Close codes"). */
const TERMINAL_CODES: Readonly<Record<number, { code: ClientErrorCode; message: string }>> = {
  4400: { code: 'invalid_frame', message: 'The server could not read what this client sent' },
  4410: { code: 'fenced', message: 'A newer epoch of this producer has begun, or this one was used before' },
  4409: { code: 'replaced', message: 'Another client has taken over this producer' },
};

/** Sent in place of a message that no frame can hold any more: its sequence has to be used up, and this is no JSON. */
const PLACEHOLDER = '?';

/** Messages in a frame, with the sequences `first` to `first + count - 1`; `bytes` counts a newline for each. */
interface Batch {
  first: number;
  count: number;
  bytes: number;
  text: string;
  saved: boolean;
}

/** A call, and how far its messages are. Its sequences are contiguous. */
interface Ticket {
  readonly kind: 'one' | 'batch' | 'flush' | 'restored';
  readonly total: number;
  /** Messages that wait to be put into a frame. */
  uncut: number;
  /** Some messages of the call wait for room. */
  open: boolean;
  /** Sequences; 0 where none was given yet. */
  first: number;
  last: number;
  /** Messages that have a sequence. */
  numbered: number;
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

interface Connection {
  readonly socket: WebSocketLike;
  readonly openedMs: number;
  welcomed: boolean;
  /** Time of the last frame, in either form. */
  heardMs: number;
  /** When the question was asked that is not answered yet. */
  askedMs: number | undefined;
  erroredMs: number | undefined;
  /** The server is about to go: nothing more is sent, and the next connection begins then. */
  drainUntilMs: number | undefined;
  byeSent: boolean;
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

  sizeAt(index: number): number {
    return this.#sizes[this.#head + index] as number;
  }

  /** Takes away the first `count`, which are `bytes` in all, and joins them with newlines. */
  take(count: number, bytes: number): string {
    const text =
      count === 1
        ? (this.#texts[this.#head] as string)
        : this.#texts.slice(this.#head, this.#head + count).join('\n');
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

  /** Takes away those above a size, and calls for each with how many lay before it. */
  dropAbove(maxBytes: number, dropped: (position: number, bytes: number) => void): void {
    const texts: string[] = [];
    const sizes: number[] = [];
    for (let position = 0; position < this.length; position += 1) {
      const bytes = this.sizeAt(position);
      if (bytes > maxBytes) {
        dropped(position, bytes);
        this.bytes -= bytes;
      } else {
        texts.push(this.#texts[this.#head + position] as string);
        sizes.push(bytes);
      }
    }
    this.#texts = texts;
    this.#sizes = sizes;
    this.#head = 0;
  }

  clear(): void {
    this.#texts = [];
    this.#sizes = [];
    this.#head = 0;
    this.bytes = 0;
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

/**
 * A producer's connection to one sink. It connects by itself and keeps at it, whatever the network does, until it is
 * closed or the server says that it makes no sense (`fenced`, `replaced`, `failed` among the events).
 *
 * @throws SluiceError `invalid_options` from the constructor
 */
export class SluiceClient {
  readonly producer: string;
  readonly #url: string;
  readonly #level: AckLevel;
  readonly #batchMessages: number;
  readonly #batchBytes: number;
  readonly #lingerMs: number;
  readonly #maxRingMessages: number;
  readonly #maxRingBytes: number;
  readonly #whenFull: WhenFull;
  readonly #storage: ClientStorage | undefined;
  readonly #openSocket: (url: string, protocol: string) => WebSocketLike;
  readonly #timers: ClientTimers;
  readonly #random: () => number;
  readonly #onEvent: ((event: ClientEvent) => void) | undefined;

  // The ring: what waits for a frame, and the frames until they are acked.
  readonly #waiting = new WaitingMessages();
  readonly #batches = new Line<Batch>();
  #ringMessages = 0;
  #ringBytes = 0;

  // Where the batches stand on this connection: those before #cursor are sent on it, those before #storedIndex were
  // acked on it as stored. What older connections sent counts for nothing (PROTOCOL.md, "Going on after a lost
  // connection").
  #storedIndex = 0;
  #cursor = 0;
  #outMessages = 0;
  #outBytes = 0;

  // Sequences. #stored is what was acked as stored on this connection; the others never go back.
  #epoch: number | undefined;
  #session: string | undefined;
  #numbered = 0;
  #sent = 0;
  #stored = 0;
  #acked = 0;
  /** Refused ones above #acked. */
  readonly #refused = new Set<number>();

  // Calls, in the order of their messages. Those before #cutTicket have all their sequences.
  readonly #tickets = new Line<Ticket>();
  #cutTicket = 0;
  readonly #blocked = new Line<BlockedCall>();
  readonly #flushes = new Line<{ last: number; ticket: Ticket }>();
  #sharedFlush: { ticket: Ticket; promise: Promise<void> } | undefined;
  #room: { promise: Promise<void>; resolve: () => void; reject: (error: SluiceError) => void } | undefined;

  #connection: Connection | undefined;
  #creditMessages = 0;
  #creditBytes = 0;
  #frameMessages = 1;
  #frameBytes = 0;
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
  /** Since when an ack is awaited: one of the level, and one that says stored. */
  #progressMs = 0;
  #outSinceMs = 0;
  #askedForAck = false;
  #protocolErrors = 0;
  #protocolErrorMs = 0;

  #loading = false;
  #storageBusy = false;
  #storageFailures = 0;
  #storageRetry: (() => void) | undefined;
  #epochUnsaved = false;
  #unsaved: Batch | undefined;
  #trimmed = 0;

  #closing: { promise: Promise<CloseReport>; resolve: (report: CloseReport) => void } | undefined;
  #closeLimit: (() => void) | undefined;
  #closed: { report: CloseReport; error: SluiceError } | undefined;

  readonly #counts = {
    sent: 0,
    resent: 0,
    acked: 0,
    refused: 0,
    dropped: 0,
    restored: 0,
    frames: 0,
    putOff: 0,
    gaps: 0,
    connections: 0,
    reconnects: 0,
  };

  constructor(options: SluiceClientOptions) {
    this.producer = producerName(options);
    this.#url = socketUrl(options.url, this.producer);
    this.#level = oneOf('ack', options.ack ?? 'stored', ['none', 'stored', 'committed']);
    this.#batchMessages = whole('batchMessages', options.batchMessages ?? 500, 1, 10_000);
    this.#batchBytes = whole('batchBytes', options.batchBytes ?? 256 * 1024, 1, 32 * 1024 * 1024);
    this.#lingerMs = whole('lingerMs', options.lingerMs ?? 5, 0, 60_000);
    this.#maxRingMessages = whole('ringMessages', options.ringMessages ?? 100_000, 1, 100_000_000);
    this.#maxRingBytes = whole('ringBytes', options.ringBytes ?? 16 * 1024 * 1024, 1, 2 ** 40);
    this.#whenFull = oneOf('whenFull', options.whenFull ?? 'block', [
      'block',
      'reject',
      'drop-oldest',
      'drop-newest',
    ]);
    this.#storage = options.storage;
    if (options.openSocket === undefined && typeof WebSocket === 'undefined') {
      throw new SluiceError('invalid_options', 'There is no WebSocket here: give openSocket');
    }
    this.#openSocket = options.openSocket ?? openWebSocket;
    this.#timers = options.timers ?? platformTimers;
    this.#random = options.random ?? Math.random;
    this.#onEvent = options.onEvent;
    if (this.#storage === undefined) this.#connect();
    else this.#load(this.#storage);
  }

  /** `paused`: connected, and the server wants nothing at the moment. `draining`: `close` was called. */
  get state(): ClientState {
    if (this.#closed !== undefined) return 'closed';
    if (this.#closing !== undefined) return 'draining';
    const connection = this.#connection;
    if (connection?.welcomed !== true) return 'connecting';
    const mayNotSend =
      connection.drainUntilMs !== undefined ||
      this.#hold !== undefined ||
      this.#creditMessages === 0 ||
      this.#creditBytes === 0;
    return mayNotSend ? 'paused' : 'ready';
  }

  /** A copy of the counters. */
  get stats(): ClientStats {
    return {
      ...this.#counts,
      unackedMessages: this.#ringMessages,
      unackedBytes: this.#ringBytes,
      waitingMessages: this.#waiting.length,
      blockedCalls: this.#blocked.length,
      creditMessages: this.#creditMessages,
      creditBytes: this.#creditBytes,
    };
  }

  /**
   * Sends a value as JSON. Resolves when it has reached the client's level (`none`: when it was handed to the socket).
   *
   * The promise rejects with a SluiceError: the refusal's own code (`invalid_json`, `dead_letter`, …),
   * `message_dropped` or `ring_full` as `whenFull` says, `client_closed` after `close`, or what ended the client.
   */
  send(message: unknown): Promise<void> {
    let text: string | undefined;
    try {
      text = JSON.stringify(message);
    } catch (cause) {
      return Promise.reject(refusalError('invalid_json', { cause }));
    }
    if (text === undefined) return Promise.reject(refusalError('invalid_json', {}));
    return this.sendText(text);
  }

  /** Sends a text that is JSON already, in one line; otherwise like `send`. */
  sendText(json: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#enqueue([json], newTicket('one', 1, resolve as () => void, reject));
    });
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
    if (this.#room === undefined) this.#room = Promise.withResolvers<void>();
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
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const ticket = newTicket('flush', 0, () => resolve(), reject);
    this.#due = true;
    this.#enqueue([], ticket);
    this.#sharedFlush = { ticket, promise };
    this.#pump();
    return promise;
  }

  /**
   * Sends what waits, says goodbye and resolves when everything is acked (`none`: committed), or after the time limit.
   * From now on nothing more is taken. Whatever was not acked is counted in the report, and its promises reject with
   * `client_closed`.
   *
   * @param options `timeLimitMs`: 0 ends it at once. Default: 30,000.
   */
  close({ timeLimitMs = CLOSE_LIMIT_MS }: { timeLimitMs?: number } = {}): Promise<CloseReport> {
    if (this.#closing !== undefined) return this.#closing.promise;
    if (this.#closed !== undefined) return Promise.resolve(this.#closed.report);
    this.#closing = Promise.withResolvers<CloseReport>();
    const { promise } = this.#closing;
    if (!(timeLimitMs > 0)) {
      this.#end(undefined, true);
      return promise;
    }
    this.#closeLimit = this.#timers.after(timeLimitMs, () => {
      this.#closeLimit = undefined;
      if (this.#closed === undefined) this.#end(undefined, true);
      // What waits for a storage that does not answer waits no longer.
      else this.#closing?.resolve(this.#closed.report);
    });
    this.#due = true;
    if (this.#connection?.welcomed !== true && this.#isEmpty()) this.#end(undefined, false);
    else this.#pump();
    return promise;
  }

  // Calls and the ring.

  #enqueue(texts: readonly string[], ticket: Ticket): void {
    const over = this.#overError();
    if (over !== undefined) {
      reject(ticket, over);
      return;
    }
    this.#sharedFlush = undefined;
    if (this.#blocked.length > 0) {
      if (this.#blocked.length >= MAX_BLOCKED_CALLS) reject(ticket, ringFullError());
      else this.#blocked.push({ texts, next: 0, ticket });
      return;
    }
    const length = this.#waiting.length;
    const bytes = this.#waiting.bytes;
    const refused = this.#counts.refused;
    const dropped = this.#counts.dropped;
    this.#tickets.push(ticket);
    const next = this.#take(texts, 0, ticket);
    if (next < texts.length) {
      if (this.#whenFull === 'reject') {
        this.#ringMessages -= this.#waiting.length - length;
        this.#ringBytes -= this.#waiting.bytes - bytes;
        this.#waiting.truncate(length, bytes);
        this.#counts.refused = refused;
        this.#tickets.pop();
        reject(ticket, ringFullError());
        return;
      }
      ticket.open = true;
      this.#blocked.push({ texts, next, ticket });
    }
    if (this.#counts.dropped > dropped)
      this.#emit({ type: 'dropped', messages: this.#counts.dropped - dropped });
    this.#finishRefused(ticket);
    this.#passTickets();
    this.#schedule();
  }

  /** Takes messages from `from` on into the ring, and returns the index of the first for which there is no room. */
  #take(texts: readonly string[], from: number, ticket: Ticket): number {
    const maxBytes = Math.min(this.#messageBytes + 1, this.#maxRingBytes);
    for (let index = from; index < texts.length; index += 1) {
      const text = texts[index] as string;
      const bytes = lineBytes(text);
      if (bytes < 0) this.#skip(ticket, index, bytes === LONE_SURROGATE ? 'lone_surrogate' : 'invalid_json');
      else if (bytes > maxBytes) {
        this.#skip(ticket, index, bytes > this.#maxRingBytes ? 'ring_full' : 'message_too_large');
      } else {
        if (!this.#fits(bytes)) {
          if (this.#whenFull === 'block' || this.#whenFull === 'reject') return index;
          if (this.#whenFull === 'drop-oldest') this.#dropOldest(bytes);
          if (!this.#fits(bytes)) {
            this.#skip(ticket, index, 'message_dropped');
            continue;
          }
        }
        this.#waiting.push(text, bytes);
        this.#ringMessages += 1;
        this.#ringBytes += bytes;
        ticket.uncut += 1;
      }
    }
    return texts.length;
  }

  #fits(bytes: number): boolean {
    return this.#ringMessages < this.#maxRingMessages && this.#ringBytes + bytes <= this.#maxRingBytes;
  }

  #hasRoom(): boolean {
    return (
      this.#blocked.length === 0 &&
      this.#ringMessages < this.#maxRingMessages &&
      this.#ringBytes < this.#maxRingBytes
    );
  }

  /** Makes room by dropping what was never sent: it has no sequence yet, so it leaves no hole. */
  #dropOldest(bytes: number): void {
    while (this.#waiting.length > 0 && !this.#fits(bytes)) {
      let ticket = this.#tickets.at(this.#cutTicket) as Ticket;
      // The first one that still has messages; those before it are passed below.
      for (let index = this.#cutTicket; ticket.uncut === 0; index += 1)
        ticket = this.#tickets.at(index) as Ticket;
      const size = this.#waiting.drop();
      this.#ringMessages -= 1;
      this.#ringBytes -= size;
      ticket.uncut -= 1;
      this.#skip(ticket, indexInCall(ticket, ticket.numbered), 'message_dropped');
      this.#finishRefused(ticket);
    }
  }

  /** Settles a message of a call that never gets a sequence. */
  #skip(ticket: Ticket, index: number, code: ClientErrorCode): void {
    ticket.skipped ??= [];
    let at = ticket.skipped.length;
    while (at > 0 && (ticket.skipped[at - 1] as number) > index) at -= 1;
    ticket.skipped.splice(at, 0, index);
    refuse(ticket, index, code);
    if (code === 'message_dropped') this.#counts.dropped += 1;
    else this.#counts.refused += 1;
  }

  /** Settles a call all of whose messages were refused or dropped. */
  #finishRefused(ticket: Ticket): void {
    if (ticket.live === 0 && !ticket.open && ticket.kind !== 'flush') finish(ticket);
  }

  /** Lets blocked calls in as far as there is room, in their order. */
  #admitBlocked(): void {
    for (let call = this.#blocked.at(0); call !== undefined; call = this.#blocked.at(0)) {
      if (!call.ticket.open) {
        call.ticket.open = true;
        this.#tickets.push(call.ticket);
      }
      call.next = this.#take(call.texts, call.next, call.ticket);
      if (call.next < call.texts.length) break;
      call.ticket.open = false;
      this.#finishRefused(call.ticket);
      this.#blocked.shift();
    }
    this.#passTickets();
    if (this.#room !== undefined && this.#hasRoom()) {
      this.#room.resolve();
      this.#room = undefined;
    }
    this.#schedule();
  }

  /** Moves past the calls all of whose messages have a sequence, up to `numbered`, or never get one. */
  #passTickets(numbered = this.#numbered): void {
    // A restored batch comes before everything that was called while it was loaded.
    if (this.#loading) return;
    for (;;) {
      const ticket = this.#tickets.at(this.#cutTicket);
      if (ticket === undefined || ticket.uncut > 0 || ticket.open) break;
      if (ticket.numbered === 0) ticket.last = numbered;
      this.#cutTicket += 1;
      if (ticket.kind === 'flush') {
        this.#flushes.push({ last: numbered, ticket });
        this.#flushDue = true;
      }
    }
    this.#popTickets();
  }

  /** Settles the calls and flushes that have reached their level. */
  #popTickets(): void {
    const reached = this.#level === 'none' ? this.#sent : this.#acked;
    while (this.#cutTicket > 0) {
      const ticket = this.#tickets.at(0) as Ticket;
      if (ticket.last > reached) break;
      if (ticket.kind !== 'flush') finish(ticket);
      this.#tickets.shift();
      this.#cutTicket -= 1;
    }
    for (let flush = this.#flushes.at(0); flush !== undefined; flush = this.#flushes.at(0)) {
      if (flush.last > this.#acked) break;
      finish(flush.ticket);
      this.#flushes.shift();
    }
  }

  // Sending.

  /** Sees to it that what waits goes out, soon or now. */
  #schedule(): void {
    if (this.#waiting.length > 0 && !this.#due && !this.#isFullBatch()) {
      this.#linger();
      return;
    }
    this.#pump();
  }

  #isFullBatch(): boolean {
    return this.#waiting.length >= this.#batchMessages || this.#waiting.bytes >= this.#batchBytes;
  }

  #linger(): void {
    if (this.#lingering !== undefined) return;
    const over = () => {
      this.#lingering = undefined;
      if (this.#waiting.length === 0) return;
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
    if (connection?.welcomed !== true || connection.drainUntilMs !== undefined || this.#hold !== undefined) {
      if (connection?.drainUntilMs !== undefined) this.#sayBye(connection);
      return;
    }
    while (this.#connection === connection) {
      if ((connection.socket.bufferedAmount ?? 0) > MAX_BUFFERED_BYTES) {
        this.#bufferedCheck ??= this.#timers.after(BUFFERED_RETRY_MS, () => {
          this.#bufferedCheck = undefined;
          this.#pump();
        });
        return;
      }
      const batch = this.#batches.at(this.#cursor);
      if (batch !== undefined ? !this.#sendBatchFrame(connection, batch) : !this.#cutBatch()) break;
    }
    if (this.#connection !== connection || this.#cursor < this.#batches.length) return;
    if (this.#flushDue) {
      this.#flushDue = false;
      this.#transmit(connection, '{"t":"flush"}');
    }
    this.#sayBye(connection);
  }

  #sayBye(connection: Connection): void {
    if (this.#closing === undefined || connection.byeSent || !this.#isAllSent()) return;
    if (connection.drainUntilMs !== undefined) {
      // A server that is about to go answers no goodbye, and there is nothing left to wait for.
      if (this.#isEmpty()) this.#end(undefined, false);
      return;
    }
    // What is on its way may still be put off, and after the goodbye nothing can be sent again.
    if (this.#outMessages > 0) return;
    connection.byeSent = true;
    this.#transmit(connection, '{"t":"bye"}');
  }

  #isAllSent(): boolean {
    return this.#cursor === this.#batches.length && this.#waiting.length === 0 && this.#blocked.length === 0;
  }

  #isEmpty(): boolean {
    return !this.#loading && this.#ringMessages === 0 && this.#blocked.length === 0;
  }

  /** Sends the batch at the cursor, or as much of it as may go; false when nothing of it may. */
  #sendBatchFrame(connection: Connection, batch: Batch): boolean {
    if (!batch.saved) return false;
    const roomBytes = this.#frameBytes - HEADER_BYTES;
    const freeMessages = Math.min(this.#frameMessages, this.#creditMessages - this.#outMessages);
    const freeBytes = Math.min(roomBytes, this.#creditBytes - this.#outBytes);
    let sending = batch;
    if (batch.count > freeMessages || batch.bytes > freeBytes) {
      const isFrameTooLarge = batch.count > this.#frameMessages || batch.bytes > roomBytes;
      // A smaller piece would do, but the next ack brings room for all of it.
      if (this.#outMessages > 0 && !isFrameTooLarge) return false;
      let count = countOfLines(batch.text, freeMessages, freeBytes);
      if (count === 0) {
        if (this.#outMessages > 0 || this.#creditMessages === 0 || this.#creditBytes === 0) return false;
        count = 1;
      }
      sending = this.#batchAt(this.#split(this.#cursor, count));
      if (sending.count === 1 && sending.bytes > roomBytes) this.#replaceOversized(sending);
    }
    const last = sending.first + sending.count - 1;
    if (this.#cursor === 0) this.#awaitProgress();
    if (this.#outMessages === 0) this.#outSinceMs = this.#timers.now();
    this.#cursor += 1;
    this.#outMessages += sending.count;
    this.#outBytes += sending.bytes;
    this.#counts.frames += 1;
    const isNew = Math.max(0, last - Math.max(this.#sent, sending.first - 1));
    this.#counts.sent += isNew;
    this.#counts.resent += sending.count - isNew;
    this.#sent = Math.max(this.#sent, last);
    const isHandedOver = this.#transmit(
      connection,
      `{"t":"batch","seq":${sending.first},"n":${sending.count}}\n${sending.text}`,
    );
    if (this.#level === 'none') this.#popTickets();
    return isHandedOver;
  }

  /** The limits have become smaller since this message got its sequence, which has to be used up all the same. */
  #replaceOversized(batch: Batch): void {
    this.#refuseSequence(batch.first, 'message_too_large');
    this.#ringBytes -= batch.bytes - (PLACEHOLDER.length + 1);
    batch.bytes = PLACEHOLDER.length + 1;
    batch.text = PLACEHOLDER;
  }

  /** Makes the next batch of what waits, as large as limits and credit allow; false when it is not time for one. */
  #cutBatch(): boolean {
    const waiting = this.#waiting;
    if (waiting.length === 0) {
      this.#due = false;
      return false;
    }
    if (!this.#due && this.#closing === undefined && !this.#isFullBatch()) {
      this.#linger();
      return false;
    }
    const maxMessages = Math.min(this.#batchMessages, this.#frameMessages, waiting.length);
    const maxBytes = Math.min(this.#batchBytes, this.#frameBytes - HEADER_BYTES);
    const freeMessages = this.#creditMessages - this.#outMessages;
    const freeBytes = this.#creditBytes - this.#outBytes;
    let count = 0;
    let bytes = 0;
    while (count < maxMessages) {
      const size = waiting.sizeAt(count);
      if (count > 0 && bytes + size > maxBytes) break;
      if (count >= freeMessages || bytes + size > freeBytes) {
        // Small pieces as the credit trickles in would make every frame small: rather wait for half of it.
        const isMostTaken = freeMessages * 2 < this.#creditMessages || freeBytes * 2 < this.#creditBytes;
        if (this.#outMessages > 0 && (count === 0 || isMostTaken)) return false;
        break;
      }
      count += 1;
      bytes += size;
    }
    if (count === 0) {
      if (this.#creditMessages === 0 || this.#creditBytes === 0) return false;
      count = 1;
      bytes = waiting.sizeAt(0);
    }
    const batch: Batch = {
      first: this.#numbered + 1,
      count,
      bytes,
      text: waiting.take(count, bytes),
      saved: this.#storage === undefined,
    };
    this.#numbered += count;
    this.#batches.push(batch);
    this.#numberTickets(batch);
    if (waiting.length === 0) this.#due = false;
    if (!batch.saved) {
      this.#unsaved = batch;
      this.#runStorage();
    }
    return true;
  }

  /** Gives a batch's sequences to the calls that its messages came with. */
  #numberTickets({ first, count }: Batch): void {
    for (let next = first; next < first + count; ) {
      const ticket = this.#tickets.at(this.#cutTicket) as Ticket;
      const taken = Math.min(ticket.uncut, first + count - next);
      if (ticket.numbered === 0) ticket.first = next;
      ticket.numbered += taken;
      ticket.uncut -= taken;
      next += taken;
      ticket.last = next - 1;
      this.#passTickets(next - 1);
    }
  }

  #batchAt(index: number): Batch {
    return this.#batches.at(index) as Batch;
  }

  /** Splits a batch behind its first `count` messages where it has more; returns its index. */
  #split(index: number, count: number): number {
    const batch = this.#batchAt(index);
    if (count >= batch.count) return index;
    let end = -1;
    for (let line = 0; line < count; line += 1) end = batch.text.indexOf('\n', end + 1);
    const bytes = utf8Bytes(batch.text, 0, end) + 1;
    this.#batches.insert(index + 1, {
      first: batch.first + count,
      count: batch.count - count,
      bytes: batch.bytes - bytes,
      text: batch.text.slice(end + 1),
      saved: true,
    });
    batch.text = batch.text.slice(0, end);
    batch.count = count;
    batch.bytes = bytes;
    if (this.#cursor > index) this.#cursor += 1;
    if (this.#storedIndex > index) this.#storedIndex += 1;
    return index;
  }

  /** Index of the batch that begins at a sequence, or behind it where there is a hole; splits one that holds it. */
  #batchFrom(sequence: number): number {
    let low = 0;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { first, count } = this.#batchAt(middle);
      if (first + count <= sequence) low = middle + 1;
      else high = middle;
    }
    const batch = this.#batches.at(low);
    if (batch === undefined || batch.first >= sequence) return low;
    this.#split(low, sequence - batch.first);
    return low + 1;
  }

  /** Goes back to a sequence, which is sent again; false when it was not sent on this connection. */
  #rewind(sequence: number): boolean {
    const index = this.#batchFrom(Math.max(sequence, this.#stored + 1));
    if (index >= this.#cursor) return false;
    for (let at = index; at < this.#cursor; at += 1) {
      const { count, bytes } = this.#batchAt(at);
      this.#outMessages -= count;
      this.#outBytes -= bytes;
    }
    this.#cursor = index;
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
    if (!connection.welcomed) {
      if (frame.t === 'welcome') this.#welcome(connection, frame);
      return;
    }
    switch (frame.t) {
      case 'ack':
        this.#takeCredit(frame.credit);
        this.#ack(sequenceOf(frame.stored ?? frame.taken), sequenceOf(frame.committed));
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
        if (this.#closing !== undefined && this.#isEmpty()) this.#end(undefined, false);
        else this.#giveUp(connection, 'The server said goodbye too early');
        break;
    }
  }

  #welcome(connection: Connection, frame: Record<string, unknown>): void {
    const { epoch, limits } = frame;
    const stored = sequenceOf(frame.stored ?? frame.taken);
    const isResumed = this.#epoch !== undefined;
    if (
      stored === undefined ||
      !isSequence(epoch) ||
      (isResumed && epoch !== this.#epoch) ||
      (typeof frame.producer === 'string' && frame.producer !== this.producer) ||
      !this.#takeCredit(frame.credit) ||
      !this.#takeLimits(limits)
    ) {
      this.#protocolError(connection, 'invalid_frame', 'The welcome of the server makes no sense');
      return;
    }
    connection.welcomed = true;
    this.#session = typeof frame.session === 'string' ? frame.session : undefined;
    this.#counts.connections += 1;
    if (!isResumed) {
      this.#epoch = epoch;
      if (this.#storage !== undefined) {
        this.#epochUnsaved = true;
        this.#runStorage();
      }
    }
    this.#emit({ type: 'connected', epoch, resumed: isResumed, delivery: String(frame.delivery) });
    const next = this.#acked + 1;
    if (isResumed && frame.known === false) this.#emit({ type: 'unknown', epoch, next });
    const missing = frame.missing as { from?: unknown; to?: unknown } | undefined | null;
    if (isSequence(missing?.from) && isSequence(missing.to)) {
      this.#emit({ type: 'missing', from: missing.from, to: missing.to });
    }
    if (stored > this.#numbered) {
      // A storage that went back in time: to use these sequences again would make new messages look like old ones.
      this.#emit({ type: 'ahead', expected: this.#numbered, stored });
      this.#numbered = stored;
      this.#sent = Math.max(this.#sent, stored);
    }
    this.#dropHold();
    this.#putOffInARow = 0;
    this.#rewoundTo = 0;
    this.#flushDue = this.#flushes.length > 0;
    // All that was not acked goes out once more, even what the server says it has: the nack of a message that it refused
    // may have been lost with the connection before, and comes again only when the message does.
    this.#stored = this.#acked;
    this.#storedIndex = this.#batchFrom(this.#acked + 1);
    this.#cursor = this.#storedIndex;
    this.#outMessages = 0;
    this.#outBytes = 0;
    this.#shiftAcked();
    this.#awaitProgress();
    this.#pump();
  }

  #takeCredit(credit: unknown): boolean {
    if (typeof credit !== 'object' || credit === null) return false;
    const { messages, bytes } = credit as { messages?: unknown; bytes?: unknown };
    const newMessages = sequenceOf(messages);
    const newBytes = sequenceOf(bytes);
    if (newMessages === undefined || newBytes === undefined) return false;
    this.#creditMessages = newMessages;
    this.#creditBytes = newBytes;
    return true;
  }

  #takeLimits(limits: unknown): boolean {
    if (typeof limits !== 'object' || limits === null) return false;
    const { frameBytes, messageBytes, frameMessages } = limits as Record<string, unknown>;
    if (!isSequence(frameBytes) || !isSequence(messageBytes) || !isSequence(frameMessages)) return false;
    if (frameBytes <= HEADER_BYTES + 1) return false;
    this.#frameBytes = frameBytes;
    this.#frameMessages = frameMessages;
    const most = Math.min(messageBytes, frameBytes - HEADER_BYTES - 1);
    if (most < this.#messageBytes) this.#refuseAbove(most);
    this.#messageBytes = most;
    return true;
  }

  /** Refuses what waits and is larger than the server takes, as it is known now. */
  #refuseAbove(maxBytes: number): void {
    let at = this.#cutTicket;
    // Messages of the tickets before `at`, and those of `at` that were taken away on the way.
    let before = 0;
    let taken = 0;
    const found: Ticket[] = [];
    this.#waiting.dropAbove(maxBytes + 1, (position, bytes) => {
      let ticket = this.#tickets.at(at) as Ticket;
      while (position >= before + ticket.uncut + taken) {
        before += ticket.uncut + taken;
        taken = 0;
        at += 1;
        ticket = this.#tickets.at(at) as Ticket;
      }
      const index = indexInCall(ticket, ticket.numbered + position - before - taken);
      ticket.uncut -= 1;
      taken += 1;
      this.#ringMessages -= 1;
      this.#ringBytes -= bytes;
      this.#skip(ticket, index, 'message_too_large');
      if (found.at(-1) !== ticket) found.push(ticket);
    });
    for (const ticket of found) this.#finishRefused(ticket);
    if (found.length > 0) {
      this.#passTickets();
      this.#admitBlocked();
    }
  }

  /** Takes over how far the server is. */
  #ack(reported: number | undefined, reportedCommitted: number | undefined): void {
    // An ack covers nothing that was not sent on this connection.
    const sent = (this.#batches.at(this.#cursor)?.first ?? this.#numbered + 1) - 1;
    const committed = Math.min(reportedCommitted ?? 0, sent);
    const stored = Math.max(Math.min(reported ?? 0, sent), committed);
    const isProgress = stored > this.#stored;
    if (isProgress) {
      this.#outSinceMs = this.#timers.now();
      const index = this.#batchFrom(stored + 1);
      for (let at = this.#storedIndex; at < index; at += 1) {
        const { count, bytes } = this.#batchAt(at);
        this.#outMessages -= count;
        this.#outBytes -= bytes;
      }
      this.#stored = stored;
      this.#storedIndex = index;
      this.#putOffInARow = 0;
      this.#rewoundTo = 0;
      this.#letGo();
    }
    const acked = this.#level === 'committed' ? committed : stored;
    if (acked > this.#acked) this.#release(acked);
    else if (!isProgress) return;
    this.#failures = 0;
    this.#awaitProgress();
  }

  /** Lets go of everything up to a sequence, which has reached the level. */
  #release(acked: number): void {
    let settled = acked - this.#acked;
    if (this.#refused.size > 0) {
      for (const sequence of this.#refused) {
        if (sequence > acked) continue;
        this.#refused.delete(sequence);
        settled -= 1;
      }
    }
    this.#counts.acked += settled;
    this.#acked = acked;
    this.#shiftAcked();
    this.#popTickets();
    this.#runStorage();
    this.#admitBlocked();
  }

  /** Takes the batches that are acked out of the ring. */
  #shiftAcked(): void {
    let batch = this.#batches.at(0);
    while (batch !== undefined && batch.first + batch.count - 1 <= this.#acked) {
      this.#batches.shift();
      this.#cursor -= 1;
      this.#storedIndex -= 1;
      this.#ringMessages -= batch.count;
      this.#ringBytes -= batch.bytes;
      batch = this.#batches.at(0);
    }
    // Sequences that a server was ahead by are in no batch, and no ack need come for them.
    this.#acked = Math.max(this.#acked, (batch?.first ?? this.#numbered + 1) - 1);
    this.#stored = Math.max(this.#stored, this.#acked);
  }

  #nack(connection: Connection, frame: Record<string, unknown>): void {
    const { from, to } = frame;
    const code = String(frame.code);
    const message = String(frame.message ?? '');
    const isTemporary = frame.temporary === true;
    const event: ClientEvent = { type: 'nack', code, temporary: isTemporary, message };
    if (isSequence(from)) event.from = from;
    if (isSequence(to)) event.to = to;
    if (!isTemporary && isSequence(from) && isSequence(to)) {
      const refusal = REFUSAL_CODES.find((refusalCode) => refusalCode === code) ?? 'message_refused';
      const last = Math.min(to, this.#numbered);
      let isNews = false;
      for (let sequence = Math.max(from, this.#acked + 1); sequence <= last; sequence += 1) {
        if (this.#refuseSequence(sequence, refusal)) isNews = true;
      }
      // What is sent again after a lost connection is refused again.
      if (isNews) this.#emit(event);
      return;
    }
    this.#emit(event);
    if (isTemporary) {
      this.#putOff(isSequence(from) ? from : this.#stored + 1);
      return;
    }
    const known = FRAME_CODES.find((frameCode) => frameCode === code) ?? 'invalid_frame';
    this.#protocolError(
      connection,
      known,
      `The server could not read a frame: ${message === '' ? code : message}`,
    );
  }

  /**
   * Settles one message; false where it was settled so before. It stays in the ring until it is acked, since its sequence
   * may have to be sent again.
   */
  #refuseSequence(sequence: number, code: ClientErrorCode): boolean {
    if (this.#refused.has(sequence)) return false;
    this.#refused.add(sequence);
    this.#counts.refused += 1;
    const ticket = this.#ticketOf(sequence);
    if (ticket === undefined || ticket.done) return true;
    refuse(ticket, indexInCall(ticket, sequence - ticket.first), code);
    this.#finishRefused(ticket);
    return true;
  }

  #ticketOf(sequence: number): Ticket | undefined {
    let low = 0;
    // The ticket at #cutTicket may have some of its sequences.
    let high = Math.min(this.#cutTicket + 1, this.#tickets.length);
    while (low < high) {
      const middle = (low + high) >>> 1;
      const ticket = this.#tickets.at(middle) as Ticket;
      if (middle < this.#cutTicket && ticket.last < sequence) low = middle + 1;
      else high = middle;
    }
    const ticket = this.#tickets.at(low);
    if (ticket === undefined || ticket.numbered === 0) return undefined;
    return sequence >= ticket.first && sequence <= ticket.last ? ticket : undefined;
  }

  /** The server has no room for a batch: it goes out again when there is some, or when it has waited. */
  #putOff(from: number): void {
    this.#counts.putOff += 1;
    // The batches behind this one come as gaps to where the client has gone back already.
    if (this.#rewind(from)) this.#rewoundTo = from;
    else if (this.#hold !== undefined) return;
    const ceiling = Math.min(PUT_OFF_MAX_MS, PUT_OFF_BASE_MS * 2 ** Math.min(this.#putOffInARow, 20));
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
    if (this.#hold !== undefined && this.#creditMessages > 0 && this.#creditBytes > 0) this.#dropHold();
  }

  #gap(connection: Connection, frame: Record<string, unknown>): void {
    const { expected, got } = frame;
    if (!isSequence(expected)) return;
    this.#counts.gaps += 1;
    this.#emit({ type: 'gap', expected, got: sequenceOf(got) ?? 0 });
    // Every batch behind the gap is answered with one: the first of them says it all.
    if (expected === this.#rewoundTo) return;
    const batch = expected > this.#stored ? this.#batches.at(this.#batchFrom(expected)) : undefined;
    if (batch?.first !== expected) {
      // It has forgotten what it acked, or it was ahead and wants what this client never had. The hello of the next
      // connection says where this client stands.
      this.#giveUp(connection, 'The server expects what this client does not have');
      return;
    }
    this.#rewoundTo = expected;
    this.#rewind(expected);
    this.#pump();
  }

  #drain(connection: Connection, retryMs: unknown): void {
    const delayMs = Math.min(sequenceOf(retryMs) ?? 1_000, DRAIN_RETRY_MAX_MS);
    this.#emit({ type: 'drain', retryMs: delayMs });
    if (connection.drainUntilMs !== undefined) return;
    connection.drainUntilMs = this.#timers.now() + delayMs;
    this.#pump();
  }

  // The connection.

  #connect(): void {
    this.#reconnect = undefined;
    let socket: WebSocketLike;
    try {
      socket = this.#openSocket(this.#url, PROTOCOL);
    } catch (error) {
      this.#lost(undefined, 1006, `The socket cannot be opened: ${String(error)}`, 0);
      return;
    }
    const nowMs = this.#timers.now();
    const connection: Connection = {
      socket,
      openedMs: nowMs,
      welcomed: false,
      heardMs: nowMs,
      askedMs: undefined,
      erroredMs: undefined,
      drainUntilMs: undefined,
      byeSent: false,
    };
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
    const { protocol } = connection.socket;
    if (protocol !== undefined && protocol !== PROTOCOL) {
      // In raw mode the server would store the hello as a message.
      this.#giveUp(connection, 'The server does not speak sluice.v1');
      return;
    }
    const hello: Record<string, unknown> = { t: 'hello', ack: this.#level };
    if (this.#epoch !== undefined) {
      hello.epoch = this.#epoch;
      hello.resume = true;
      hello.session = this.#session ?? '0.lost';
      hello.next = this.#acked + 1;
    }
    this.#transmit(connection, JSON.stringify(hello));
  }

  #closedByPeer(connection: Connection, code: number, reason: string): void {
    const terminal = TERMINAL_CODES[code];
    if (terminal !== undefined) {
      // Before the welcome it was the hello that made no sense.
      const errorCode = code === 4400 && !connection.welcomed ? 'invalid_hello' : terminal.code;
      this.#end(
        new SluiceError(errorCode, withReason(terminal.message, reason), { details: { reason } }),
        false,
      );
      return;
    }
    let atLeastMs = 0;
    if (code === 4429) atLeastMs = OVER_CREDIT_RETRY_MS;
    if (connection.drainUntilMs !== undefined) {
      atLeastMs = Math.max(atLeastMs, connection.drainUntilMs - this.#timers.now());
    }
    this.#lost(connection, code, reason, atLeastMs);
  }

  /** Gives up a connection that is of no use any more, and makes a new one. */
  #giveUp(connection: Connection, reason: string): void {
    if (this.#connection !== connection) return;
    closeSocket(connection.socket, 'giving up');
    this.#lost(connection, 1006, reason, 0);
  }

  #lost(connection: Connection | undefined, code: number, reason: string, atLeastMs: number): void {
    this.#connection = undefined;
    this.#stopConnectionTimers();
    if (this.#closed !== undefined) return;
    if (this.#closing !== undefined && this.#isEmpty()) {
      this.#end(undefined, false);
      return;
    }
    this.#counts.reconnects += 1;
    // One that lived for a while was no failure, though nothing may have been sent on it.
    if (connection?.welcomed === true && this.#timers.now() - connection.openedMs > HANDSHAKE_LIMIT_MS) {
      this.#failures = 0;
    }
    const ceiling = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** Math.min(this.#failures, 20));
    this.#failures += 1;
    const retryMs = Math.round(atLeastMs + ceiling * this.#random());
    this.#emit({ type: 'disconnected', code, reason, retryMs });
    this.#reconnect = this.#timers.after(retryMs, () => this.#connect());
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
      if (this.#connection !== undefined) this.#watchLater();
    });
  }

  /** Looks after the connection: is it open, alive, and does it get anywhere. */
  #look(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const nowMs = this.#timers.now();
    if (connection.erroredMs !== undefined && nowMs - connection.erroredMs >= WATCH_INTERVAL_MS) {
      this.#giveUp(connection, 'The connection failed');
    } else if (!connection.welcomed) {
      if (nowMs - connection.openedMs >= HANDSHAKE_LIMIT_MS) this.#giveUp(connection, 'No welcome in time');
    } else if (connection.drainUntilMs !== undefined) {
      // The close that should have followed did not.
      if (nowMs >= connection.drainUntilMs) this.#giveUp(connection, 'The server has drained');
    } else if (connection.askedMs !== undefined) {
      if (nowMs - connection.askedMs >= DEAD_AFTER_MS) this.#giveUp(connection, 'The server is silent');
    } else if (this.#outMessages > 0 && nowMs - this.#outSinceMs >= STALLED_AFTER_MS) {
      this.#giveUp(connection, 'The server stores nothing');
    } else if (this.#cursor > 0 && !this.#askedForAck && nowMs - this.#progressMs >= ACK_PING_AFTER_MS) {
      this.#askedForAck = true;
      this.#ask(connection, '{"t":"ping"}', nowMs);
    } else if (nowMs - connection.heardMs >= HEARTBEAT_AFTER_MS) this.#ask(connection, 'ping', nowMs);
  }

  #ask(connection: Connection, question: string, nowMs: number): void {
    connection.askedMs = nowMs;
    this.#transmit(connection, question);
  }

  /** From now on the next ack is awaited. */
  #awaitProgress(): void {
    this.#progressMs = this.#timers.now();
    this.#askedForAck = false;
  }

  #stopConnectionTimers(): void {
    this.#watch?.();
    this.#watch = undefined;
    this.#bufferedCheck?.();
    this.#bufferedCheck = undefined;
    this.#dropHold();
  }

  // The storage.

  #load(storage: ClientStorage): void {
    this.#loading = true;
    const failed = (error: unknown) => {
      this.#storageFailed('load', error, () => this.#load(storage));
    };
    try {
      storage.load().then((state) => {
        if (this.#closed !== undefined) return;
        this.#storageFailures = 0;
        this.#restore(state);
      }, failed);
    } catch (error) {
      failed(error);
    }
  }

  #restore(state: StoredState | undefined): void {
    if (state !== undefined) {
      this.#epoch = state.epoch;
      this.#acked = Math.max(state.acked, (state.batches[0]?.first ?? 1) - 1);
      this.#trimmed = this.#acked;
      this.#numbered = this.#acked;
      for (const { epoch, first, count, text } of state.batches) {
        const isFirst = this.#batches.length === 0;
        if (epoch !== state.epoch || (isFirst ? first > this.#numbered + 1 : first !== this.#numbered + 1)) {
          this.#loading = false;
          const message = `The stored batches have a hole at sequence ${this.#numbered + 1}`;
          this.#end(new SluiceError('internal', message), false);
          return;
        }
        const last = first + count - 1;
        // A batch whose trim got lost, or that was trimmed in part, is stored whole.
        if (last <= this.#acked) continue;
        this.#numbered = last;
        const bytes = utf8Bytes(text, 0, text.length) + 1;
        this.#batches.push({ first, count, bytes, text, saved: true });
        this.#ringMessages += count;
        this.#ringBytes += bytes;
      }
      // The process before this one may have sent all of it.
      this.#sent = this.#numbered;
      const restored = this.#numbered - this.#acked;
      if (restored > 0) {
        this.#counts.restored = restored;
        const ticket = newTicket('restored', restored, ignore, ignore);
        ticket.numbered = restored;
        ticket.first = this.#acked + 1;
        ticket.last = this.#numbered;
        this.#tickets.insert(0, ticket);
      }
    }
    this.#loading = false;
    this.#passTickets();
    if (this.#closing !== undefined && this.#isEmpty()) this.#end(undefined, false);
    else this.#connect();
  }

  /** Does what the storage has to do next; one thing at a time, in order. */
  #runStorage(): void {
    const storage = this.#storage;
    const epoch = this.#epoch;
    if (storage === undefined || epoch === undefined) return;
    while (!this.#storageBusy && this.#storageRetry === undefined) {
      const batch = this.#unsaved;
      const acked = this.#acked;
      let operation: 'saveEpoch' | 'saveBatch' | 'trim';
      let act: () => Promise<void> | void;
      let done: () => void;
      if (this.#epochUnsaved) {
        operation = 'saveEpoch';
        act = () => storage.saveEpoch(epoch);
        done = () => {
          this.#epochUnsaved = false;
        };
      } else if (batch !== undefined && this.#closed === undefined) {
        const { first, count, text } = batch;
        operation = 'saveBatch';
        act = () => storage.saveBatch({ epoch, first, count, text });
        done = () => {
          batch.saved = true;
          this.#unsaved = undefined;
        };
      } else if (acked > this.#trimmed) {
        operation = 'trim';
        act = () => storage.trim(epoch, acked);
        done = () => {
          this.#trimmed = acked;
        };
      } else break;

      const finished = () => {
        this.#storageBusy = false;
        this.#storageFailures = 0;
        done();
      };
      const failed = (error: unknown) => {
        this.#storageBusy = false;
        this.#storageFailed(operation, error, () => this.#runStorage());
        this.#resolveClose();
      };
      let result: Promise<void> | void;
      this.#storageBusy = true;
      try {
        result = act();
      } catch (error) {
        failed(error);
        return;
      }
      if (
        result instanceof Promise ||
        typeof (result as { then?: unknown } | undefined)?.then === 'function'
      ) {
        (result as Promise<void>).then(() => {
          finished();
          this.#runStorage();
          this.#resolveClose();
          this.#pump();
        }, failed);
        return;
      }
      finished();
    }
  }

  #storageFailed(
    operation: 'load' | 'saveEpoch' | 'saveBatch' | 'trim',
    error: unknown,
    again: () => void,
  ): void {
    this.#emit({ type: 'storage-failed', operation, error });
    if (this.#closed !== undefined) return;
    const ceiling = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** Math.min(this.#storageFailures, 20));
    this.#storageFailures += 1;
    this.#storageRetry = this.#timers.after(ceiling * (0.5 + 0.5 * this.#random()), () => {
      this.#storageRetry = undefined;
      again();
      this.#pump();
    });
  }

  // The end.

  #overError(): SluiceError | undefined {
    if (this.#closed !== undefined) return this.#closed.error;
    return this.#closing === undefined ? undefined : closedError(0);
  }

  /** Ends the client: with an error by itself, without one because it was closed. */
  #end(error: SluiceError | undefined, timedOut: boolean): void {
    if (this.#closed !== undefined) return;
    let unacked = this.#ringMessages;
    // Batches are let go as a whole; what of the first was acked, and what was refused, is settled.
    const first = this.#batches.at(0);
    if (first !== undefined) unacked -= Math.max(0, this.#acked + 1 - first.first);
    unacked -= this.#refused.size;
    for (let index = 0; index < this.#blocked.length; index += 1) {
      const { texts, next } = this.#blocked.at(index) as BlockedCall;
      unacked += texts.length - next;
    }
    const report: CloseReport = {
      unacked,
      acked: this.#counts.acked,
      refused: this.#counts.refused,
      dropped: this.#counts.dropped,
      timedOut,
    };
    if (error !== undefined) report.code = error.code;
    const reason = error ?? closedError(unacked);
    this.#closed = { report, error: reason };

    const connection = this.#connection;
    this.#connection = undefined;
    this.#stopConnectionTimers();
    this.#reconnect?.();
    this.#lingering?.();
    this.#storageRetry?.();
    this.#storageRetry = undefined;
    if (connection !== undefined) closeSocket(connection.socket, 'bye');

    for (let index = 0; index < this.#tickets.length; index += 1) {
      reject(this.#tickets.at(index) as Ticket, reason);
    }
    for (let index = 0; index < this.#flushes.length; index += 1) {
      reject((this.#flushes.at(index) as { ticket: Ticket }).ticket, reason);
    }
    for (let index = 0; index < this.#blocked.length; index += 1) {
      reject((this.#blocked.at(index) as BlockedCall).ticket, reason);
    }
    this.#room?.reject(reason);
    this.#room = undefined;
    this.#tickets.clear();
    this.#flushes.clear();
    this.#blocked.clear();
    this.#batches.clear();
    this.#waiting.clear();
    this.#refused.clear();
    this.#cutTicket = 0;
    this.#cursor = 0;
    this.#storedIndex = 0;

    if (error !== undefined) {
      const { code, message } = error;
      if (code === 'fenced' || code === 'replaced') this.#emit({ type: code, code, message });
      else this.#emit({ type: 'failed', code, message });
    }
    this.#emit({ type: 'closed', report });
    this.#runStorage();
    this.#resolveClose();
  }

  /** Resolves `close` once the storage has done the last it has to do. */
  #resolveClose(): void {
    if (this.#closed === undefined || this.#closing === undefined) return;
    if (this.#storageBusy && !this.#closed.report.timedOut) return;
    this.#closeLimit?.();
    this.#closeLimit = undefined;
    this.#closing.resolve(this.#closed.report);
  }

  #emit(event: ClientEvent): void {
    const onEvent = this.#onEvent;
    // Later, so that a listener may call the client, whatever it is in the middle of.
    if (onEvent !== undefined) queueMicrotask(() => onEvent(event));
  }
}

/**
 * A storage that lasts as long as its object: for tests, and for a producer that makes a new client in the same process.
 */
export function memoryStorage(): ClientStorage {
  let state: { epoch: number; acked: number; batches: StoredBatch[] } | undefined;
  return {
    load: async () => (state === undefined ? undefined : { ...state, batches: [...state.batches] }),
    saveEpoch(epoch) {
      if (state?.epoch !== epoch) state = { epoch, acked: 0, batches: [] };
    },
    saveBatch(batch) {
      if (state === undefined) return;
      const isKnown = state.batches.some(({ first }) => first === batch.first);
      if (!isKnown) state.batches.push(batch);
    },
    trim(epoch, upTo) {
      if (state?.epoch !== epoch) return;
      state.acked = Math.max(state.acked, upTo);
      state.batches = state.batches.filter(({ first, count }) => first + count - 1 > upTo);
    },
  };
}

function newTicket(
  kind: Ticket['kind'],
  total: number,
  resolve: (receipt: BatchReceipt | undefined) => void,
  rejectWith: (error: SluiceError) => void,
): Ticket {
  return {
    kind,
    total,
    uncut: 0,
    open: false,
    first: 0,
    last: 0,
    numbered: 0,
    live: total,
    done: false,
    skipped: undefined,
    refused: undefined,
    resolve,
    reject: rejectWith,
  };
}

/** The index in its call of a message that has, or gets, the sequence `first + offset`. */
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
function refuse(ticket: Ticket, index: number, code: ClientErrorCode): void {
  ticket.refused ??= [];
  ticket.refused.push({ index, code });
  ticket.live -= 1;
}

/** Settles a call whose messages have all been settled. */
function finish(ticket: Ticket): void {
  if (ticket.done) return;
  ticket.done = true;
  const refused = ticket.refused ?? [];
  const [only] = refused;
  if (ticket.kind === 'batch') {
    const receipt: BatchReceipt = {
      messages: ticket.total,
      refused: refused.sort((one, other) => one.index - other.index),
    };
    if (ticket.first > 0) receipt.firstSequence = ticket.first;
    ticket.resolve(receipt);
  } else if (only === undefined || ticket.kind !== 'one') ticket.resolve(undefined);
  else
    ticket.reject(refusalError(only.code, { details: ticket.first > 0 ? { sequence: ticket.first } : {} }));
}

function reject(ticket: Ticket, error: SluiceError): void {
  if (ticket.done) return;
  ticket.done = true;
  ticket.reject(error);
}

function ignore(): void {}

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

const REFUSAL_TEXTS: Partial<Record<ClientErrorCode, string>> = {
  invalid_json: 'The message is not valid JSON in one line',
  lone_surrogate: 'The message holds half of a surrogate pair, which is no character',
  message_too_large: 'The message is larger than the server takes',
  message_dropped: 'The message was dropped: the ring was full',
  ring_full: 'The message is larger than the ring',
  dead_letter: 'Postgres refused the message for its content: it is among the dead letters',
};

function refusalError(
  code: ClientErrorCode,
  options: { details?: Record<string, unknown>; cause?: unknown },
): SluiceError {
  return new SluiceError(code, REFUSAL_TEXTS[code] ?? `The message was refused: ${code}`, options);
}

function withReason(message: string, reason: string): string {
  return reason === '' ? message : `${message}: ${reason}`;
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

const platformTimers: ClientTimers = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

const NEWLINE_OR_NOTHING = -1;
const LONE_SURROGATE = -2;

/**
 * Bytes that a message takes as a line: in UTF-8, with its newline. Negative for what cannot be one: a text that has
 * a newline, is empty or is none, and half of a surrogate pair, which a socket would replace without a word.
 */
function lineBytes(text: string): number {
  if (typeof text !== 'string' || text.length === 0) return NEWLINE_OR_NOTHING;
  let bytes = text.length + 1;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) {
      if (unit === 10) return NEWLINE_OR_NOTHING;
    } else if (unit < 0x800) bytes += 1;
    else if (unit < 0xd800 || unit > 0xdfff) bytes += 2;
    else {
      // A pair is two units and four bytes.
      if (unit > 0xdbff || (text.charCodeAt(index + 1) & 0xfc00) !== 0xdc00) return LONE_SURROGATE;
      bytes += 2;
      index += 1;
    }
  }
  return bytes;
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

/** How many of the first lines fit into a number of messages and bytes, newlines included. */
function countOfLines(text: string, maxMessages: number, maxBytes: number): number {
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

function isSequence(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}

/** A whole number from 0, or undefined. */
function sequenceOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function producerName({ producer, storage }: SluiceClientOptions): string {
  if (producer === undefined) {
    if (storage === undefined) return crypto.randomUUID();
    throw new SluiceError('invalid_options', 'A storage belongs to one producer: name it', {
      details: { option: 'producer' },
    });
  }
  if (typeof producer === 'string' && /^[A-Za-z0-9._:@-]{1,128}$/.test(producer)) return producer;
  throw new SluiceError(
    'invalid_options',
    `Cannot use ${JSON.stringify(String(producer).slice(0, 40))} as a producer: 1 to 128 characters of A-Z a-z 0-9 . _ : @ - are allowed`,
    { details: { option: 'producer' } },
  );
}

function socketUrl(given: string | URL, producer: string): string {
  let url: URL | undefined;
  try {
    url = new URL(given);
  } catch {
    // Said below.
  }
  if (url?.protocol === 'http:') url.protocol = 'ws:';
  if (url?.protocol === 'https:') url.protocol = 'wss:';
  if (url?.protocol !== 'ws:' && url?.protocol !== 'wss:') {
    throw new SluiceError(
      'invalid_options',
      'url: ws://, wss://, http:// or https:// and the path of a sink',
      {
        details: { option: 'url' },
      },
    );
  }
  url.hash = '';
  url.searchParams.set('producer', producer);
  return url.href;
}

function whole(option: string, value: number, min: number, max: number): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw new SluiceError('invalid_options', `${option}: a whole number from ${min} to ${max}`, {
    details: { option, min, max },
  });
}

function oneOf<T extends string>(option: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw new SluiceError('invalid_options', `${option}: one of ${allowed.join(', ')}`, {
    details: { option, allowed },
  });
}
