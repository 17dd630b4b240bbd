/**
 * A TCP proxy that makes a network fail on demand, for anything that runs over TCP: Postgres, WebSockets, Neon's tunnel.
 * Without a fault it passes bytes, ends and resets on as they come.
 */

import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { systemTimers, type Timers } from '../../src/core/timers.ts';

/** `upstream` is from the client to the server. */
export type Direction = 'upstream' | 'downstream';

/** A pattern: text is found in any case of its ASCII letters, bytes are found as they are. */
export type Pattern = string | Buffer;

export interface CutAfter {
  pattern: Pattern;
  /** Where the pattern is looked for. Frames of a WebSocket client are masked, so nothing can be found in them. */
  direction: Direction;
  /**
   * - `before`: the last byte of the pattern is never forwarded. What comes before it usually arrives.
   * - `after`, upstream only: the pattern and what follows it are forwarded, the server's answer is awaited and thrown
   *   away. What the pattern asked for has taken effect, and the client does not know.
   */
  when: 'before' | 'after';
  /** For `after`: what in the answer tells that it has taken effect. Default: any byte. */
  answer?: Pattern;
  /** How many occurrences it takes, over all connections; the count then begins again. Default: 1. */
  occurrences?: number;
  /** How many connections are cut before this fault is over. Default: no bound. */
  times?: number;
}

/** A COMMIT as drivers send it, with its answer (PostgreSQL documentation, "Message Formats", Query and CommandComplete). */
export const POSTGRES_COMMIT = { pattern: 'commit\0', answer: 'commit\0' } as const;

/** What goes wrong. Times and rates hold for each connection and each direction. */
export interface Faults {
  /** Every byte arrives this much later. Default: 0. */
  latencyMs: number;
  /** The latency is up to this much more or less, at random. Bytes never overtake each other. Default: 0. */
  jitterMs: number;
  /** Default: no limit. */
  bytesPerSecond: number;
  /**
   * Bytes and ends in this direction are read and thrown away. They are lost for good, which no network does within a
   * connection: `reset()` those that lost some before they are used again.
   */
  dropUpstream: boolean;
  dropDownstream: boolean;
  /** Nothing moves either way, and nobody is told: a half-open connection. Bytes, ends and resets arrive when it is over. */
  stall: boolean;
  /** New connections are reset at once. */
  refuse: boolean;
  /** Resets a connection that has forwarded so many bytes in this direction. */
  resetAfterBytes: { direction: Direction; bytes: number } | undefined;
  /** Resets each connection after a random time between these two. */
  resetEveryMs: readonly [least: number, most: number] | undefined;
  cutAfter: CutAfter | undefined;
}

export const NO_FAULTS: Readonly<Faults> = {
  latencyMs: 0,
  jitterMs: 0,
  bytesPerSecond: Number.POSITIVE_INFINITY,
  dropUpstream: false,
  dropDownstream: false,
  stall: false,
  refuse: false,
  resetAfterBytes: undefined,
  resetEveryMs: undefined,
  cutAfter: undefined,
};

/**
 * - `connection`: a client was accepted; `refuse`: one was reset at once.
 * - `drop`: bytes were thrown away, by `dropUpstream` or `dropDownstream`.
 * - `pattern`: the pattern of `cutAfter` went by. `cut`: a connection was reset, by a fault or by `reset()`.
 */
export type FaultEvent = 'connection' | 'refuse' | 'drop' | 'pattern' | 'cut';

export interface FaultStats {
  /** Connections accepted so far. */
  connections: number;
  /** Those of them that have not ended. */
  open: number;
  refused: number;
  cuts: number;
  /** Bytes forwarded to the server. */
  upstreamBytes: number;
  /** Bytes forwarded to the client. */
  downstreamBytes: number;
  /** Bytes thrown away, either way. */
  droppedBytes: number;
}

export interface FaultProxyOptions {
  /** Where connections lead. */
  target: { host: string; port: number };
  timers?: Timers;
  /** A number from 0 to below 1. */
  random?: () => number;
}

export interface FaultProxy {
  /** The port it listens on, on 127.0.0.1. */
  readonly port: number;
  /** Up to now; a new object each time. */
  readonly stats: FaultStats;
  /** The same URL with the proxy's host and port. */
  url(of: string): string;
  /** Changes faults for all connections, present and future; those that are not named stay. */
  set(faults: Partial<Faults>): void;
  /** No faults any more. What was delayed is forwarded at once. */
  heal(): void;
  /** Resets all present connections on both sides. */
  reset(): void;
  /** Resolves when this happens the next time; rejects when the proxy is closed. To be called before it can happen. */
  next(event: FaultEvent): Promise<void>;
  /** Resets all connections and stops listening. Idempotent. */
  close(): Promise<void>;
}

/** How much a direction of a connection holds back before its source is read no further. */
const MAX_HELD_BYTES = 256 * 1024;
/** A limited rate is made of pieces of this long, or of this many bytes if that is more. */
const PIECE_MS = 50;
const LEAST_PIECE_BYTES = 64;

/** Starts a proxy on a free port of 127.0.0.1. */
export async function startFaultProxy({
  target,
  timers = systemTimers,
  random = Math.random,
}: FaultProxyOptions): Promise<FaultProxy> {
  const network = new Network(timers, random);
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    client.on('error', () => {});
    if (network.faults.refuse) {
      network.stats.refused += 1;
      client.resetAndDestroy();
      network.emit('refuse');
      return;
    }
    network.add(client, connect({ ...target, allowHalfOpen: true, noDelay: true }));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  return {
    port,
    get stats() {
      return { ...network.stats };
    },
    url: (of) => Object.assign(new URL(of), { hostname: '127.0.0.1', port: String(port) }).href,
    set: (faults) => network.set(faults),
    heal: () => network.set(NO_FAULTS),
    reset() {
      for (const link of network.links) link.cut();
    },
    next: (event) => network.next(event),
    close() {
      closed ??= new Promise((resolve) => {
        // Calls back when all of its connections are gone.
        server.close(() => resolve());
        network.close();
      });
      return closed;
    },
  };
}

/** What all connections share. */
class Network {
  readonly timers: Timers;
  readonly random: () => number;
  readonly stats: FaultStats = {
    connections: 0,
    open: 0,
    refused: 0,
    cuts: 0,
    upstreamBytes: 0,
    downstreamBytes: 0,
    droppedBytes: 0,
  };
  readonly links = new Set<Link>();
  faults: Readonly<Faults> = NO_FAULTS;
  #isClosed = false;
  #seen = 0;
  #cutsLeft = Number.POSITIVE_INFINITY;
  readonly #waiting = new Map<FaultEvent, PromiseWithResolvers<void>>();

  constructor(timers: Timers, random: () => number) {
    this.timers = timers;
    this.random = random;
  }

  add(client: Socket, server: Socket): void {
    this.stats.connections += 1;
    this.stats.open += 1;
    this.links.add(new Link(this, client, server));
    this.emit('connection');
  }

  remove(link: Link): void {
    if (this.links.delete(link)) this.stats.open -= 1;
  }

  set(change: Partial<Faults>): void {
    const faults = { ...this.faults, ...change };
    const isSound =
      faults.latencyMs >= 0 &&
      faults.jitterMs >= 0 &&
      faults.bytesPerSecond > 0 &&
      (faults.cutAfter === undefined ||
        faults.cutAfter.when === 'before' ||
        faults.cutAfter.direction === 'upstream');
    if (!isSound)
      throw new RangeError('Faults that cannot be: a negative time, no rate, or an answer downstream');
    this.faults = faults;
    if ('cutAfter' in change) {
      this.#seen = 0;
      this.#cutsLeft = change.cutAfter?.times ?? Number.POSITIVE_INFINITY;
    }
    for (const link of this.links) link.refresh('resetEveryMs' in change);
  }

  /** Counts an occurrence of the pattern; true where it is the one to cut at. */
  isToCut({ occurrences = 1 }: CutAfter): boolean {
    this.emit('pattern');
    this.#seen += 1;
    if (this.#seen < occurrences) return false;
    this.#seen = 0;
    this.#cutsLeft -= 1;
    if (this.#cutsLeft <= 0) this.faults = { ...this.faults, cutAfter: undefined };
    return true;
  }

  next(event: FaultEvent): Promise<void> {
    if (this.#isClosed) return Promise.reject(closedBefore(event));
    let waiting = this.#waiting.get(event);
    if (waiting === undefined) {
      waiting = Promise.withResolvers();
      // Who waits may have failed before the proxy is closed.
      waiting.promise.catch(() => {});
      this.#waiting.set(event, waiting);
    }
    return waiting.promise;
  }

  emit(event: FaultEvent): void {
    this.#waiting.get(event)?.resolve();
    this.#waiting.delete(event);
  }

  close(): void {
    this.#isClosed = true;
    for (const link of this.links) link.end();
    for (const [event, { reject }] of this.#waiting) reject(closedBefore(event));
    this.#waiting.clear();
  }
}

function closedBefore(event: FaultEvent): Error {
  return new Error(`The proxy was closed before the next ${event}`);
}

/** A client's connection and the one to the server. */
class Link {
  readonly network: Network;
  readonly #sockets: readonly [client: Socket, server: Socket];
  readonly #pipes: readonly Pipe[];
  /** What the awaited answer is recognised by, once the pattern before it was forwarded. */
  #answer: PatternFinder | undefined;
  #isAwaitingAnswer = false;
  #cancelReset: (() => void) | undefined;
  /** One side was lost, which the other does not hear of during a stall. */
  #isBroken = false;
  #hasEnded = false;
  /** Nothing is forwarded any more: it has ended, or is about to. */
  isOver = false;

  constructor(network: Network, client: Socket, server: Socket) {
    this.network = network;
    this.#sockets = [client, server];
    this.#pipes = [new Pipe(this, 'upstream', client, server), new Pipe(this, 'downstream', server, client)];
    let open = 2;
    for (const socket of this.#sockets) {
      socket.on('error', () => {});
      socket.on('close', (hadError) => {
        open -= 1;
        // A connection that one side resets, or that cannot be opened, is reset on the other side too.
        this.#isBroken ||= hadError;
        if (open === 0 || (hadError && !network.faults.stall)) this.end();
      });
    }
    this.refresh(true);
  }

  /** To be called when the faults have changed. */
  refresh(resetsAnew: boolean): void {
    if (resetsAnew) {
      this.#cancelReset?.();
      const range = this.network.faults.resetEveryMs;
      const { timers, random } = this.network;
      this.#cancelReset =
        range && timers.after(Math.round(range[0] + (range[1] - range[0]) * random()), () => this.cut());
    }
    if (this.#isBroken && !this.network.faults.stall) this.end();
    else for (const pipe of this.#pipes) pipe.refresh();
  }

  awaitAnswer(answer: Pattern | undefined): void {
    this.#isAwaitingAnswer = true;
    this.#answer = answer === undefined ? undefined : new PatternFinder(answer);
  }

  /** Takes what the server sent while its answer is awaited; true where it is not to be forwarded. */
  takesAnswer(data: Buffer): boolean {
    if (!this.#isAwaitingAnswer) return false;
    this.network.stats.droppedBytes += data.length;
    if (this.#answer === undefined || this.#answer.feed(data).length > 0) this.cut();
    return true;
  }

  /** Ends both connections by RST, as a fault. */
  cut(): void {
    if (this.#hasEnded) return;
    this.end();
    this.network.stats.cuts += 1;
    this.network.emit('cut');
  }

  /** Ends both connections by RST. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.isOver = true;
    this.#cancelReset?.();
    for (const pipe of this.#pipes) pipe.close();
    for (const socket of this.#sockets) {
      // A socket that is still connecting would wait for its end.
      if (socket.connecting) socket.destroy();
      else socket.resetAndDestroy();
    }
    this.network.remove(this);
  }
}

/** One direction of a connection. */
class Pipe {
  readonly #link: Link;
  readonly #network: Network;
  readonly #direction: Direction;
  readonly #source: Socket;
  readonly #target: Socket;
  /** What is under way. Without data: the end. It is forwarded in this order, even where one is due before another. */
  #held: { data: Buffer | undefined; dueAtMs: number }[] = [];
  #heldBytes = 0;
  #cancelTimer: (() => void) | undefined;
  /** When the last byte that was taken leaves a line of the limited rate. */
  #sentAtMs = 0;
  #forwardedBytes = 0;
  #hasSwallowedEnd = false;
  #finder: { of: CutAfter; finder: PatternFinder } | undefined;

  constructor(link: Link, direction: Direction, source: Socket, target: Socket) {
    this.#link = link;
    this.#network = link.network;
    this.#direction = direction;
    this.#source = source;
    this.#target = target;
    source.on('data', (data: Buffer) => this.#take(data));
    source.on('end', () => this.#take(undefined));
    target.on('drain', () => this.#flow());
  }

  get #isDropping(): boolean {
    const { dropUpstream, dropDownstream } = this.#network.faults;
    return this.#direction === 'upstream' ? dropUpstream : dropDownstream;
  }

  #take(data: Buffer | undefined): void {
    if (this.#link.isOver) return;
    if (data !== undefined && this.#direction === 'downstream' && this.#link.takesAnswer(data)) return;
    if (this.#isDropping) {
      if (data === undefined) this.#hasSwallowedEnd = true;
      else {
        this.#network.stats.droppedBytes += data.length;
        this.#network.emit('drop');
      }
      return;
    }
    this.#hold(data);
    this.#pump();
  }

  /** Puts data among what is under way, in pieces where the rate is limited. */
  #hold(data: Buffer | undefined): void {
    const { latencyMs, jitterMs, bytesPerSecond } = this.#network.faults;
    const nowMs = this.#network.timers.now();
    const pieceBytes = Math.max(LEAST_PIECE_BYTES, Math.floor((bytesPerSecond * PIECE_MS) / 1_000));
    const total = data?.length ?? 0;
    let from = 0;
    do {
      const to = Math.min(total, from + pieceBytes);
      this.#sentAtMs = Math.max(this.#sentAtMs, nowMs) + ((to - from) * 1_000) / bytesPerSecond;
      const jitter = jitterMs === 0 ? 0 : jitterMs * (2 * this.#network.random() - 1);
      const dueAtMs = Math.ceil(this.#sentAtMs + Math.max(0, latencyMs + jitter));
      this.#held.push({ data: data?.subarray(from, to), dueAtMs });
      from = to;
    } while (from < total);
    this.#heldBytes += total;
  }

  /** Forwards what is due, and sets the timer for what is not. */
  #pump(): void {
    const { faults, timers } = this.#network;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    while (!faults.stall && !this.#link.isOver) {
      const first = this.#held[0];
      if (first === undefined) break;
      const waitMs = first.dueAtMs - timers.now();
      if (waitMs > 0) {
        this.#cancelTimer = timers.after(waitMs, () => this.#pump());
        break;
      }
      this.#held.shift();
      this.#heldBytes -= first.data?.length ?? 0;
      if (first.data === undefined) this.#target.end();
      else this.#forward(first.data);
    }
    this.#flow();
  }

  #forward(data: Buffer): void {
    const { resetAfterBytes, cutAfter } = this.#network.faults;
    if (resetAfterBytes?.direction === this.#direction) {
      const room = Math.max(0, resetAfterBytes.bytes - this.#forwardedBytes);
      if (data.length >= room) {
        this.#writeLast(data.subarray(0, room));
        return;
      }
    }
    if (cutAfter?.direction === this.#direction) {
      if (this.#finder?.of !== cutAfter)
        this.#finder = { of: cutAfter, finder: new PatternFinder(cutAfter.pattern) };
      const found = this.#finder.finder.feed(data).find(() => this.#network.isToCut(cutAfter));
      if (found !== undefined && cutAfter.when === 'before') {
        this.#writeLast(data.subarray(0, found - 1));
        return;
      }
      if (found !== undefined) this.#link.awaitAnswer(cutAfter.answer);
    }
    this.#write(data);
  }

  #write(data: Buffer, onWritten?: () => void): void {
    this.#forwardedBytes += data.length;
    this.#network.stats[this.#direction === 'upstream' ? 'upstreamBytes' : 'downstreamBytes'] += data.length;
    this.#target.write(data, onWritten);
  }

  /** Writes data and then cuts the connection, in which nothing else moves until then. */
  #writeLast(data: Buffer): void {
    this.#link.isOver = true;
    if (data.length === 0) this.#link.cut();
    else this.#write(data, () => this.#link.cut());
  }

  /** Reads the source only as far as there is room for it. */
  #flow(): void {
    const { stall } = this.#network.faults;
    if (stall || this.#heldBytes >= MAX_HELD_BYTES || this.#target.writableNeedDrain) this.#source.pause();
    else this.#source.resume();
  }

  /** Decides again about what is under way. */
  refresh(): void {
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    this.#sentAtMs = 0;
    for (const { data } of held) this.#hold(data);
    if (this.#hasSwallowedEnd && !this.#isDropping) {
      this.#hasSwallowedEnd = false;
      this.#hold(undefined);
    }
    this.#pump();
  }

  close(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#held = [];
  }
}

/** Finds a pattern in a stream, however it is cut into chunks. */
export class PatternFinder {
  readonly #pattern: Buffer;
  readonly #ignoresCase: boolean;
  /** The end of what was fed so far, as far as a pattern may have begun in it. */
  #tail: Buffer = Buffer.alloc(0);

  /** @param pattern text, which is found in any case of its ASCII letters, or bytes; not empty */
  constructor(pattern: Pattern) {
    if (pattern.length === 0) throw new RangeError('an empty pattern is everywhere');
    this.#ignoresCase = typeof pattern === 'string';
    this.#pattern = typeof pattern === 'string' ? lowerCase(Buffer.from(pattern)) : pattern;
  }

  /** Where occurrences end in this chunk, as indexes behind their last bytes. Occurrences do not overlap. */
  feed(chunk: Buffer): number[] {
    const text = Buffer.concat([this.#tail, this.#ignoresCase ? lowerCase(chunk) : chunk]);
    const ends: number[] = [];
    let from = 0;
    for (let at = text.indexOf(this.#pattern); at !== -1; at = text.indexOf(this.#pattern, from)) {
      from = at + this.#pattern.length;
      ends.push(from - this.#tail.length);
    }
    // What belongs to an occurrence begins no other one.
    this.#tail = text.subarray(Math.max(from, text.length - this.#pattern.length + 1));
    return ends;
  }
}

function lowerCase(bytes: Buffer): Buffer {
  return Buffer.from(bytes.map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte)));
}
