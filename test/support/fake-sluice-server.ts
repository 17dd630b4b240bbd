/**
 * The server's side of `sluice.v1` (PROTOCOL.md) in memory, with a knob for every fault that a client has to stand: epochs
 * of instances, sessions, recovery. It judges what a client says by the tables of PROTOCOL.md, "hello".
 * Time is the test's. It notes what a client does against the protocol in `violations`.
 */

import type { WebSocketLike } from '../../src/client/index.ts';
import type { Timers } from '../../src/core/timers.ts';

export interface Credit {
  messages: number;
  bytes: number;
}

export interface Limits {
  frameBytes: number;
  messageBytes: number;
  frameMessages: number;
}

/** A message that the server has for good. */
export interface KeptMessage {
  producer: string;
  epoch: number;
  sequence: number;
  text: string;
}

/** What a client says of who it is. */
export interface Credential {
  token?: string | undefined;
  ticket?: string | undefined;
}

type Level = 'none' | 'stored' | 'committed';
type Listener = (event: { data?: unknown; code?: number; reason?: string }) => void;

interface Message {
  sequence: number;
  text: string;
  bytes: number;
  /** Why it is refused. */
  code: string | undefined;
}

/** What one welcome has begun. */
interface NamedSession {
  id: string;
  /** The session that it went on from. */
  previous: string | undefined;
  /** How far the epoch was when it began, and when it ended. */
  began: number;
  ended: number | undefined;
}

/** One epoch of a producer: the messages of one instance. */
interface Producer {
  name: string;
  epoch: number;
  instance: string | undefined;
  /** The newest last. */
  sessions: NamedSession[];
  /** How far memory, outbox and Postgres reach; the first is lost in a restart. */
  taken: number;
  stored: number;
  committed: number;
  /** Messages beyond `stored`, and beyond `committed`. */
  unstored: Message[];
  uncommitted: Message[];
}

interface Hello {
  ack?: Level;
  epoch?: number;
  instance?: string;
  session?: string;
  next?: number;
  resume?: boolean;
  recover?: boolean;
}

/** What a hello leads to: the epoch that it goes on in, or why it is refused. */
type Verdict =
  | { refusal: string; code: number }
  | { producer: Producer; isKnown: boolean; begins: boolean; next: number; sure?: number | undefined };

interface Session {
  socket: FakeSocket;
  producer: Producer;
  level: Level;
  isGoodbyeAsked: boolean;
  /** The sequence that the next batch on this connection has to begin at, or before. */
  next: number;
  /** The most that was ever granted to this session. */
  granted: Credit;
  /** What came on this connection and was not acked on it. */
  outstanding: { sequence: number; bytes: number }[];
}

export interface FakeServerOptions {
  /** Default: true. Without one, messages wait in memory until they are committed. */
  outbox?: boolean;
  /** One way. Default: 1. */
  latencyMs?: number;
  /** From taking a message to having it in the outbox. Default: 2. */
  storeMs?: number;
  /** From there to Postgres. Default: 10. */
  commitMs?: number;
  credit?: Credit;
  limits?: Partial<Limits>;
}

export class FakeSluiceServer {
  readonly timers: Timers;
  hasOutbox: boolean;
  latencyMs: number;
  storeMs: number;
  commitMs: number;
  credit: Credit;
  limits: Limits;

  /** Knobs. */
  /** Upgrades fail. */
  isDown = false;
  /** Nothing gets through in either direction, and nobody is told: a half-open connection. */
  isSilent = false;
  /** Frames to a client that get lost, though the connection lives. */
  loses: (frame: string) => boolean = () => false;
  /** Batches that vanish on their way. */
  vanishing = 0;
  /** Batches that are deferred with `buffer_full`. */
  deferring = 0;
  /** Times that a connection is lost with the nack of a refused message, while the others of its batch are taken. */
  losingNacks = 0;
  /** Why a message is refused. */
  refusal: (text: string) => string | undefined = () => undefined;
  /** The sentence that comes with it. */
  refusalMessage = 'no';
  /** Messages that Postgres refuses. */
  isPoison: (text: string) => boolean = () => false;
  /** What every upgrade is closed with at once, as for a wrong address. */
  refusing: { code: number; reason: string } | undefined;
  /** Welcomes that get lost with their connection. */
  losingWelcomes = 0;
  /** Tells no session apart: what no server may do. */
  knowsNoSessions = false;
  /** The subprotocol that upgrades are answered with. */
  subprotocol = 'sluice.v1';
  /** No hello is answered. */
  isDeafToHello = false;
  /**
   * Asked about every token and ticket: until when it is good, undefined where it is not. Missing: everybody may speak, without
   * end. A ticket is for upgrades only.
   */
  judgeToken: ((credential: Credential) => number | undefined) | undefined;
  /** How long a client has to send a fresh token. */
  authLimitMs = 25_000;
  /** Asks for no fresh token, and ends nobody. */
  asksForNoToken = false;
  /** Takes a message again that it has taken: what no server may do. */
  takesTwice = false;
  /** Acks what it has not stored: what no server may do. */
  acksTooEarly = false;
  /** Acks a duplicate without a look at its messages: what no server may do. */
  judgesOnce = false;
  /** Acks what it has stored, also what did not come on this connection so far: what no server may do. */
  acksUnheard = false;

  /** What happened. */
  /** Every frame that arrived, in order. */
  readonly received: string[] = [];
  /** Every URL that was opened. */
  readonly opened: string[] = [];
  /** What each of them brought. */
  readonly credentials: Credential[] = [];
  readonly sockets: FakeSocket[] = [];
  /** What is in the outbox or was, or in Postgres where there is no outbox. Restarts keep it. */
  readonly kept: KeptMessage[] = [];
  readonly committed: KeptMessage[] = [];
  readonly deadLetters: KeptMessage[] = [];
  readonly violations: string[] = [];
  /** Welcomes that said `known: false` to a client that resumed, whether they arrived or not. */
  unknowns = 0;
  /** Fresh tokens that came within a session and were good. */
  renewals = 0;
  /** The most that a client had outstanding. */
  readonly peak: Credit = { messages: 0, bytes: 0 };

  /** The last epochs of each producer, the newest last. */
  #producers = new Map<string, Producer[]>();
  #sessionNumber = 0;
  /** Instances that were recovered, whether that was forgotten or not. */
  readonly #begun = new Set<string | undefined>();
  readonly #sessions = new Map<FakeSocket, Session>();

  constructor(timers: Timers, options: FakeServerOptions = {}) {
    this.timers = timers;
    this.hasOutbox = options.outbox ?? true;
    this.latencyMs = options.latencyMs ?? 1;
    this.storeMs = options.storeMs ?? 2;
    this.commitMs = options.commitMs ?? 10;
    this.credit = options.credit ?? { messages: 8_192, bytes: 512 * 1024 };
    this.limits = {
      frameBytes: 1024 * 1024,
      messageBytes: 64 * 1024,
      frameMessages: 10_000,
      ...options.limits,
    };
  }

  /** What a client takes as its `openSocket`. */
  readonly open = (url: string, protocols: string | string[]): WebSocketLike => {
    this.opened.push(url);
    const { searchParams } = new URL(url);
    const socket = new FakeSocket(this, searchParams.get('producer') ?? 'assigned');
    const [protocol, carrier, ...others] = [protocols].flat();
    if (protocol !== 'sluice.v1' || others.length > 0) this.violations.push(`subprotocols ${protocols}`);
    const credential: Credential = {
      token: carrier === undefined ? undefined : tokenOf(carrier),
      ticket: searchParams.get('ticket') ?? undefined,
    };
    this.credentials.push(credential);
    this.sockets.push(socket);
    this.timers.after(this.latencyMs, () => {
      if (this.isSilent) return;
      if (this.isDown) socket.end(1006, '');
      else {
        socket.begin(this.subprotocol);
        if (this.judgeToken !== undefined) {
          socket.goodUntilMs = this.judgeToken(credential);
          if (socket.goodUntilMs === undefined) this.#close(socket, 4401, 'unauthorized: no good token');
        }
        if (this.refusing !== undefined) this.#close(socket, this.refusing.code, this.refusing.reason);
      }
    });
    return socket;
  };

  /** The sockets that are open. */
  get openSockets(): FakeSocket[] {
    return this.sockets.filter(({ isOpen }) => isOpen);
  }

  /** The frames of a type that arrived; batches with their messages. */
  framesOf(type: string): string[] {
    return this.received.filter((frame) => frame.startsWith(`{"t":"${type}"`));
  }

  /** Cuts every connection, in the middle of whatever is on its way. */
  cut(code = 1006, reason = ''): void {
    for (const socket of this.openSockets) socket.end(code, reason);
    this.#sessions.clear();
  }

  /** A crash. What was not stored is lost; with `forget`, so is the memory of every producer. */
  restart({ forget = false } = {}): void {
    this.cut();
    if (forget || !this.hasOutbox) this.#producers.clear();
    for (const producer of this.#epochs()) {
      producer.taken = producer.stored;
      producer.unstored = [];
    }
  }

  /** A storage that went back in time: the last messages that were stored are gone. */
  rollBack(messages: number): void {
    this.cut();
    for (const producer of this.#epochs()) {
      const stored = producer.stored - messages;
      producer.taken = stored;
      producer.stored = stored;
      producer.committed = Math.min(producer.committed, stored);
      producer.unstored = [];
      producer.uncommitted = producer.uncommitted.filter(({ sequence }) => sequence <= stored);
      for (const list of [this.kept, this.committed]) {
        list.splice(0, list.length, ...list.filter(({ sequence }) => sequence <= stored));
      }
    }
  }

  /** Sets how far an epoch of a producer is, as if more or less had come: the epoch that there is, or a newer one. */
  setProducer(
    name: string,
    epoch: number,
    stored: number,
    { instance, session }: { instance?: string; session?: string } = {},
  ): void {
    const known = this.#epochsOf(name).find((one) => one.epoch === epoch);
    this.#put({
      name,
      epoch,
      instance: instance ?? known?.instance,
      sessions:
        session === undefined
          ? (known?.sessions ?? [])
          : [{ id: session, previous: undefined, began: 0, ended: undefined }],
      taken: stored,
      stored,
      committed: stored,
      unstored: [],
      uncommitted: [],
    });
  }

  /** The newest epoch of a producer. */
  epochOf(name: string): number {
    return this.#epochsOf(name).at(-1)?.epoch ?? 0;
  }

  /** How far the newest epoch of a producer is stored. */
  storedOf(name: string): number {
    return this.#epochsOf(name).at(-1)?.stored ?? 0;
  }

  /** A copy of a client, with all its state, has gone on: a new session began in its epoch, and sent these. */
  copySends(name: string, texts: readonly string[]): void {
    const producer = this.#epochsOf(name).at(-1) as Producer;
    this.#beginSession(producer);
    const first = producer.taken + 1;
    const messages = texts.map((text, index) => ({
      sequence: first + index,
      text,
      bytes: 0,
      code: undefined,
    }));
    producer.taken += texts.length;
    producer.stored = producer.taken;
    this.#note(this.kept, producer, messages);
    producer.uncommitted.push(...messages);
    this.timers.after(this.commitMs, () => this.#commit(producer));
  }

  /** Sends a frame to every client. */
  send(frame: Record<string, unknown>): void {
    for (const { socket } of this.#sessions.values()) this.#say(socket, frame);
  }

  /** Changes the credit and says so. */
  flow(credit: Credit, reason: 'outbox_full' | 'memory_full' | 'room'): void {
    this.#setCredit(credit);
    this.send({ t: 'flow', credit, reason });
  }

  /** Changes the credit without a word; the next ack carries it. */
  changeCredit(credit: Credit): void {
    this.#setCredit(credit);
  }

  drain(retryMs: number): void {
    this.send({ t: 'drain', retryMs });
    this.timers.after(this.storeMs + 1, () => this.cut(4503));
  }

  /** A frame has arrived. */
  hear(socket: FakeSocket, data: string | Uint8Array): void {
    // Binary frames hold the same characters; what is not UTF-8 is no client's of ours.
    const frame = typeof data === 'string' ? data : new TextDecoder('utf-8', { fatal: true }).decode(data);
    this.received.push(frame);
    // A hello comes before the limits are said.
    if (this.#sessions.has(socket) && Buffer.byteLength(frame) > this.limits.frameBytes) {
      this.violations.push(`a frame of ${Buffer.byteLength(frame)} bytes`);
    }
    if (frame === 'ping') {
      this.#tell(socket, 'pong');
      return;
    }
    const newline = frame.indexOf('\n');
    const header = JSON.parse(newline === -1 ? frame : frame.slice(0, newline)) as Record<string, unknown>;
    const session = this.#sessions.get(socket);
    if (session === undefined) {
      // Frames that were on their way when the server closed.
      if (socket.isClosing) return;
      if (header.t !== 'hello') this.violations.push(`${String(header.t)} before the hello`);
      else if (!this.isDeafToHello) this.#hello(socket, header as Hello);
      return;
    }
    if (!this.#maySpeak(socket)) return;
    if (session.isGoodbyeAsked && header.t !== 'pong' && header.t !== 'ping' && header.t !== 'auth') {
      this.violations.push(`${String(header.t)} after the goodbye`);
    }
    switch (header.t) {
      case 'batch':
        this.#batch(
          session,
          header as { seq: number; n: number },
          newline === -1 ? '' : frame.slice(newline + 1),
        );
        break;
      case 'ping':
        this.#ack(session);
        break;
      case 'pong':
        break;
      case 'auth':
        this.#renew(socket, String(header.token));
        break;
      case 'flush':
        this.timers.after(this.storeMs, () => this.#commit(session.producer));
        break;
      case 'bye':
        session.isGoodbyeAsked = true;
        this.#commit(session.producer);
        this.#sayBye(session);
        break;
      default:
        this.violations.push(`a frame of type ${String(header.t)}`);
    }
  }

  /** False where the time is over in which a fresh token had to come. */
  #maySpeak(socket: FakeSocket): boolean {
    const nowMs = this.timers.now();
    if (socket.goodUntilMs === undefined || nowMs < socket.goodUntilMs || this.asksForNoToken) return true;
    if (socket.askedAtMs === undefined) {
      socket.askedAtMs = nowMs;
      this.#say(socket, { t: 'auth', withinMs: this.authLimitMs });
    }
    if (nowMs < socket.askedAtMs + this.authLimitMs) return true;
    this.#close(socket, 4401, 'unauthorized: no fresh token came in time');
    this.#sessions.delete(socket);
    return false;
  }

  #renew(socket: FakeSocket, token: string): void {
    const untilMs = this.judgeToken?.({ token });
    if (this.judgeToken !== undefined && untilMs === undefined) {
      this.#close(socket, 4401, 'unauthorized: no good token');
      this.#sessions.delete(socket);
      return;
    }
    this.renewals += 1;
    socket.goodUntilMs = untilMs;
    socket.askedAtMs = undefined;
  }

  /** The client has closed. */
  forgetSocket(socket: FakeSocket): void {
    this.#sessions.delete(socket);
  }

  #setCredit(credit: Credit): void {
    this.credit = credit;
    for (const { granted } of this.#sessions.values()) {
      granted.messages = Math.max(granted.messages, credit.messages);
      granted.bytes = Math.max(granted.bytes, credit.bytes);
    }
  }

  #hello(socket: FakeSocket, hello: Hello): void {
    const name = socket.producer;
    const verdict = this.#judge(name, hello);
    if ('refusal' in verdict) {
      this.#close(socket, verdict.code, verdict.refusal);
      return;
    }
    const { producer, isKnown, begins, next, sure } = verdict;
    const level = hello.ack === 'stored' && !this.hasOutbox ? 'committed' : (hello.ack ?? 'stored');
    let missing: { from: number; to: number } | undefined;
    const reached = this.hasOutbox ? producer.stored : producer.taken;
    if (next > reached + 1) {
      missing = { from: reached + 1, to: next - 1 };
      producer.taken = next - 1;
      producer.stored = next - 1;
      producer.committed = Math.max(producer.committed, next - 1);
      producer.unstored = [];
    }
    for (const older of [...this.#sessions.values()]) {
      if (older.producer.name !== name) continue;
      if (older.producer === producer)
        this.#close(older.socket, 4409, 'replaced: another session was welcomed');
      else if (begins && older.producer.epoch < producer.epoch) {
        this.#close(older.socket, 4410, `fenced: the current epoch is ${producer.epoch}`);
      }
    }
    // Where an outbox stands, the session is stored before the welcome goes out.
    const session =
      hello.recover !== true
        ? this.#beginSession(producer, hello.session)
        : sure === undefined
          ? undefined
          : this.#beginSession(producer);
    if (this.losingWelcomes > 0) {
      this.losingWelcomes -= 1;
      socket.end(1006, '');
      return;
    }
    this.#sessions.set(socket, {
      socket,
      producer,
      level,
      isGoodbyeAsked: false,
      next,
      granted: { ...this.credit },
      outstanding: [],
    });
    this.#say(socket, {
      t: 'welcome',
      producer: name,
      epoch: producer.epoch,
      session,
      known: isKnown,
      ack: level,
      ...this.#reached(producer),
      missing,
      sure,
      credit: this.credit,
      limits: this.limits,
      delivery: this.hasOutbox ? 'exactly-once' : 'at-least-once',
    });
  }

  #judge(name: string, hello: Hello): Verdict {
    const { epoch, instance, session, next = 1 } = hello;
    if (instance !== undefined && !/^[A-Za-z0-9_-]{1,64}$/.test(instance)) {
      this.violations.push(`an instance ${instance}`);
    }
    const epochs = this.#epochsOf(name);
    const newest = epochs.at(-1);
    const fenced = { code: 4410, refusal: `fenced: the current epoch is ${newest?.epoch}` };
    if (hello.recover === true) {
      const known = epochs.findLast((one) => one.instance === instance);
      if (known === undefined) {
        const fresh = this.#begin(name, this.#nextEpoch(newest), next - 1, instance);
        if (session !== undefined || this.#begun.has(instance)) this.unknowns += 1;
        this.#begun.add(instance);
        return { producer: fresh, isKnown: false, begins: true, next };
      }
      // From now on messages may come under it, and be forgotten.
      this.#begun.add(instance);
      const index = known.sessions.findIndex(({ id }) => id === session);
      // A storage without a session was left before the first welcome: nothing tells of a copy.
      const isNewest =
        this.knowsNoSessions ||
        session === undefined ||
        known.sessions.length === 0 ||
        (index !== -1 && index === known.sessions.length - 1);
      const sure = isNewest ? undefined : index === -1 ? 0 : known.sessions[index]?.ended;
      return { producer: known, isKnown: true, begins: false, next, sure };
    }
    if (hello.resume === true) {
      if (session === undefined || epoch === undefined) {
        return { code: 4400, refusal: 'invalid_hello: to resume, name epoch, session and next' };
      }
      if (newest === undefined || newest.epoch < epoch) {
        this.unknowns += 1;
        const fresh = this.#begin(name, epoch, next - 1, instance);
        // The session that the client has, in case that the next welcome gets lost.
        fresh.sessions.push({ id: session, previous: undefined, began: 0, ended: undefined });
        return { producer: fresh, isKnown: false, begins: true, next };
      }
      if (newest.epoch > epoch) return fenced;
      return this.#mayResume(newest, session)
        ? { producer: newest, isKnown: true, begins: false, next }
        : fenced;
    }
    const own = instance === undefined ? undefined : epochs.find((one) => one.instance === instance);
    if (own !== undefined) {
      if (own !== newest || own.taken > 0) return fenced;
      return { producer: own, isKnown: false, begins: false, next: 1 };
    }
    if (epoch !== undefined && newest !== undefined && newest.epoch >= epoch) return fenced;
    const fresh = this.#begin(name, epoch ?? this.#nextEpoch(newest), 0, instance);
    return { producer: fresh, isKnown: false, begins: true, next: 1 };
  }

  /** The newest session, or the one that it went on from while nothing came in it: its welcome was lost. */
  #mayResume({ sessions, taken }: Producer, session: string): boolean {
    if (this.knowsNoSessions) return true;
    const newest = sessions.at(-1);
    if (newest === undefined || newest.id === session) return true;
    return newest.previous === session && taken <= newest.began;
  }

  #beginSession(producer: Producer, previous?: string): string {
    const last = producer.sessions.at(-1);
    if (last !== undefined) last.ended ??= producer.taken;
    this.#sessionNumber += 1;
    const id = `${this.#sessionNumber}.fake`;
    producer.sessions.push({ id, previous, began: producer.taken, ended: undefined });
    return id;
  }

  #nextEpoch(newest: Producer | undefined): number {
    return Math.max(Math.floor(this.timers.now()), (newest?.epoch ?? 0) + 1);
  }

  #begin(name: string, epoch: number, reached: number, instance: string | undefined): Producer {
    const fresh: Producer = {
      name,
      epoch,
      instance,
      sessions: [],
      taken: reached,
      stored: reached,
      committed: reached,
      unstored: [],
      uncommitted: [],
    };
    this.#put(fresh);
    return fresh;
  }

  #put(producer: Producer): void {
    const others = this.#epochsOf(producer.name).filter(({ epoch }) => epoch !== producer.epoch);
    const epochs = [...others, producer].sort((one, other) => one.epoch - other.epoch);
    this.#producers.set(producer.name, epochs.slice(-4));
  }

  #epochsOf(name: string): readonly Producer[] {
    return this.#producers.get(name) ?? [];
  }

  #epochs(): Producer[] {
    return [...this.#producers.values()].flat();
  }

  #reached({ taken, stored, committed }: Producer, heard = Number.MAX_SAFE_INTEGER): Record<string, number> {
    const reached = Math.min(this.hasOutbox && !this.acksTooEarly ? stored : taken, heard);
    return { [this.hasOutbox ? 'stored' : 'taken']: reached, committed: Math.min(committed, heard) };
  }

  #batch(session: Session, { seq, n }: { seq: number; n: number }, body: string): void {
    const { producer, socket } = session;
    const lines = body.split('\n');
    if (lines.length === n + 1 && lines.at(-1) === '') lines.pop();
    if (lines.length !== n) {
      this.violations.push(`a batch of ${lines.length} lines that says ${n}`);
      return;
    }
    if (n > this.limits.frameMessages) this.violations.push(`a batch of ${n} messages`);
    if (this.vanishing > 0) {
      this.vanishing -= 1;
      return;
    }
    if (seq > session.next) {
      this.#say(socket, { t: 'gap', expected: session.next, got: seq });
      return;
    }
    if (this.takesTwice && seq <= producer.taken) this.#keep(producer, lines, seq);
    const messages = lines.map((text, index): Message => {
      const bytes = Buffer.byteLength(text) + 1;
      return { sequence: seq + index, text, bytes, code: this.#refusalOf(text, bytes) };
    });
    const isDeferred = seq + n - 1 > producer.taken && this.deferring > 0;
    const skipped = messages.filter(({ sequence }) => sequence <= producer.taken);
    const fresh = isDeferred ? [] : messages.slice(skipped.length);
    this.#noteHeard(session, [...skipped, ...fresh]);
    // The nacks before the ack that covers them.
    this.#nackRefused(session, this.judgesOnce ? fresh : [...skipped, ...fresh]);
    if (isDeferred) {
      this.deferring -= 1;
      this.#say(socket, {
        t: 'nack',
        from: producer.taken + 1,
        to: seq + n - 1,
        code: 'buffer_full',
        temporary: true,
        message: '',
      });
      return;
    }
    if (fresh.length === 0) {
      this.#ack(session);
      return;
    }
    producer.taken = seq + n - 1;
    producer.unstored.push(...fresh);
    if (this.acksTooEarly) this.#ackAll(producer);
    this.timers.after(this.storeMs, () => this.#store(producer));
  }

  #refusalOf(text: string, bytes: number): string | undefined {
    if (text === '-') return 'message_dropped';
    if (bytes - 1 > this.limits.messageBytes) return 'message_too_large';
    // In a text frame it may stand for bytes that were not UTF-8.
    return text.includes('\ufffd') ? 'invalid_utf8' : this.refusal(text);
  }

  /** Notes what came on a connection, and whether the credit allowed it. */
  #noteHeard(session: Session, messages: readonly Message[]): void {
    const { granted, outstanding } = session;
    const heard = messages.filter(({ sequence }) => sequence >= session.next);
    outstanding.push(...heard);
    session.next += heard.length;
    const bytes = outstanding.reduce((sum, message) => sum + message.bytes, 0);
    this.peak.messages = Math.max(this.peak.messages, outstanding.length);
    this.peak.bytes = Math.max(this.peak.bytes, bytes);
    if (outstanding.length <= granted.messages && bytes <= granted.bytes) return;
    if (outstanding.length <= 1) return;
    this.violations.push(`${outstanding.length} messages of ${bytes} bytes beyond the credit`);
  }

  /** One nack for messages that follow each other and are refused for the same reason. */
  #nackRefused({ socket }: Session, messages: readonly Message[]): void {
    let index = 0;
    while (index < messages.length) {
      const { sequence: from, code } = messages[index] as Message;
      let to = from;
      for (index += 1; messages[index]?.code === code && index < messages.length; index += 1) to += 1;
      if (code === undefined) continue;
      if (this.losingNacks > 0) {
        this.losingNacks -= 1;
        this.cut();
      }
      this.#say(socket, { t: 'nack', from, to, code, temporary: false, message: this.refusalMessage });
    }
  }

  #keep(producer: Producer, lines: readonly string[], seq: number): void {
    for (const [index, text] of lines.entries()) {
      this.kept.push({ producer: producer.name, epoch: producer.epoch, sequence: seq + index, text });
    }
  }

  /** Whether a producer's state was replaced or forgotten meanwhile. */
  #isGone(producer: Producer): boolean {
    return !this.#epochsOf(producer.name).includes(producer);
  }

  #store(producer: Producer): void {
    if (this.#isGone(producer) || producer.unstored.length === 0) return;
    const messages = producer.unstored;
    producer.unstored = [];
    producer.stored = producer.taken;
    const good = messages.filter(({ code }) => code === undefined);
    if (this.hasOutbox) this.#note(this.kept, producer, good);
    producer.uncommitted.push(...good);
    this.#ackAll(producer);
    this.timers.after(this.commitMs, () => this.#commit(producer));
  }

  #commit(producer: Producer): void {
    if (this.#isGone(producer) || producer.committed === producer.stored) return;
    const messages = producer.uncommitted;
    producer.uncommitted = [];
    producer.committed = producer.stored;
    const poison = messages.filter(({ text }) => this.isPoison(text));
    const good = messages.filter(({ text }) => !this.isPoison(text));
    if (!this.hasOutbox) this.#note(this.kept, producer, good);
    this.#note(this.committed, producer, good);
    this.#note(this.deadLetters, producer, poison);
    for (const session of this.#sessionsOf(producer)) {
      if (session.level !== 'committed') continue;
      for (const { sequence } of poison) {
        this.#say(session.socket, {
          t: 'nack',
          from: sequence,
          to: sequence,
          code: 'dead_letter',
          temporary: false,
          message: 'no',
        });
      }
      this.#ack(session);
    }
    for (const session of this.#sessionsOf(producer)) this.#sayBye(session);
  }

  #note(list: KeptMessage[], { name, epoch }: Producer, messages: readonly Message[]): void {
    for (const { sequence, text } of messages) list.push({ producer: name, epoch, sequence, text });
  }

  #sessionsOf(producer: Producer): Session[] {
    return [...this.#sessions.values()].filter((session) => session.producer === producer);
  }

  #ackAll(producer: Producer): void {
    for (const session of this.#sessionsOf(producer)) {
      this.#ack(session);
      this.#sayBye(session);
    }
  }

  #ack(session: Session): void {
    const { socket, producer, next } = session;
    // Nothing that has not come on this connection: its nacks are still to be told.
    const heard = this.acksUnheard ? undefined : next - 1;
    const reached = Math.min(this.hasOutbox ? producer.stored : producer.taken, next - 1);
    session.outstanding = session.outstanding.filter(({ sequence }) => sequence > reached);
    this.#say(socket, { t: 'ack', ...this.#reached(producer, heard), credit: this.credit });
    this.#maySpeak(socket);
  }

  #sayBye(session: Session): void {
    const { producer, level, socket, isGoodbyeAsked } = session;
    if (!isGoodbyeAsked) return;
    const reached = level === 'stored' ? producer.stored : producer.committed;
    if (reached < producer.taken) {
      this.timers.after(this.storeMs, () => this.#commit(producer));
      return;
    }
    this.#ack(session);
    this.#say(socket, { t: 'bye' });
    this.#close(socket, 1000, '');
  }

  #close(socket: FakeSocket, code: number, reason: string): void {
    this.#sessions.delete(socket);
    socket.isClosing = true;
    socket.endLater(code, reason);
  }

  #say(socket: FakeSocket, frame: Record<string, unknown>): void {
    this.#tell(socket, JSON.stringify(frame));
  }

  #tell(socket: FakeSocket, frame: string): void {
    if (!this.loses(frame)) socket.deliver(frame);
  }
}

/** The client's end of a connection to the fake server. Frames keep their order, whatever the latency does. */
/** The token of a subprotocol. */
function tokenOf(protocol: string): string | undefined {
  const [, encoded] = /^sluice\.token\.([\w-]+)$/.exec(protocol) ?? [];
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64url').toString();
}

export class FakeSocket implements WebSocketLike {
  readonly producer: string;
  protocol = '';
  bufferedAmount = 0;
  isOpen = false;
  /** The server has closed it. */
  isClosing = false;
  /** Why `send` throws. */
  failure: Error | undefined;
  readonly closedWith: (number | undefined)[] = [];
  /** Until when its token is good, and when a fresh one was asked for. */
  goodUntilMs: number | undefined;
  askedAtMs: number | undefined;

  readonly #server: FakeSluiceServer;
  readonly #listeners = new Map<string, Listener[]>();
  #isOver = false;
  /** The client has closed it. */
  #isLeft = false;
  #toServerMs = 0;
  #toClientMs = 0;

  constructor(server: FakeSluiceServer, producer: string) {
    this.#server = server;
    this.producer = producer;
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  send(text: string | Uint8Array): void {
    if (this.failure !== undefined) throw this.failure;
    if (!this.isOpen || this.#isLeft) return;
    this.#toServerMs = this.#later(this.#toServerMs, () => {
      if (this.isOpen && !this.#server.isSilent) this.#server.hear(this, text);
    });
  }

  close(code?: number, reason = ''): void {
    this.closedWith.push(code);
    if (this.#isOver || this.#isLeft) return;
    this.#isLeft = true;
    // Behind the frames that are on their way.
    this.#toServerMs = this.#later(this.#toServerMs, () => {
      if (this.#server.isSilent) return;
      this.#server.forgetSocket(this);
      this.endLater(code ?? 1005, reason);
    });
  }

  /** The upgrade was answered. */
  begin(protocol: string): void {
    if (this.#isOver) return;
    this.protocol = protocol;
    this.isOpen = true;
    this.#fire('open', {});
  }

  /** A frame from the server. */
  deliver(frame: string): void {
    this.#toClientMs = this.#later(this.#toClientMs, () => {
      if (this.isOpen && !this.#server.isSilent) this.#fire('message', { data: frame });
    });
  }

  end(code: number, reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.isOpen = false;
    if (code === 1006) this.fail();
    this.#fire('close', { code, reason });
  }

  /** Ends behind the frames that are on their way. */
  endLater(code: number, reason: string): void {
    this.#toClientMs = this.#later(this.#toClientMs, () => this.end(code, reason));
  }

  /** An error event, as before a close that was not clean. */
  fail(): void {
    this.#fire('error', {});
  }

  #later(notBeforeMs: number, act: () => void): number {
    const { timers, latencyMs } = this.#server;
    const atMs = Math.max(timers.now() + latencyMs, notBeforeMs);
    timers.after(atMs - timers.now(), act);
    return atMs;
  }

  #fire(type: string, event: { data?: unknown; code?: number; reason?: string }): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }
}
