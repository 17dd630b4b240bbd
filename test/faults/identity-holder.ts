/**
 * A holder of a producer's identity that speaks `sluice.v1` by itself. A copy of it can be made at any moment, as when a
 * running machine is copied: the copy has the same instance, epoch, session, numbers and unacked messages, and goes on by
 * itself. What the two send from then on are different messages under the same numbers.
 */

import { SLUICE_V1 } from '../../src/protocol/sluice-v1.ts';
import type { ServerFrame } from './bare-producer.ts';
import { BareSender, type Line, textOf } from './bare-sender.ts';
import type { BareSocket, SocketEnd } from './bare-socket.ts';
import type { Entry } from './ledger.ts';
import type { Run } from './run.ts';

/** A place whose message is not sent: the server is told that it was dropped. */
const DROPPED = '-';

/** Close codes after which a client does not come back: somebody else has its identity. */
const OVER_CODES = new Set([4409, 4410]);

/** All that a running program knows, or, without its memory, what its storage has kept. */
export interface Identity {
  readonly instance: string;
  epoch: number | undefined;
  session: string | undefined;
  /** How far it was acked. */
  acked: number;
  /** The sequence of its next message. */
  next: number;
  /** The highest sequence that it ever put into a frame. */
  sent: number;
  /** Sent or not, and neither acked nor refused, by sequence. */
  readonly open: ReadonlyMap<number, Entry>;
}

/** What became of a `hello`. */
export type Reception = 'welcomed' | 'lost' | 'over';

let instances = 0;

export class IdentityHolder extends BareSender {
  #identity: Identity & { open: Map<number, Line> };
  #socket: BareSocket | undefined;
  #isWelcome = false;
  #isOver = false;
  #hasOwnSession = false;
  /** The last that an older instance has left, while that is sent. */
  #lastRecovered: number | undefined;

  private constructor(run: Run, name: string, client: number, identity: Identity) {
    super(run, { name, client });
    this.#identity = { ...identity, open: new Map(identity.open) };
  }

  /** A program that starts without anything. */
  static start(run: Run, name: string, client: number): IdentityHolder {
    instances += 1;
    return new IdentityHolder(run, name, client, {
      instance: `i${process.pid}-${instances}`,
      epoch: undefined,
      session: undefined,
      acked: 0,
      next: 1,
      sent: 0,
      open: new Map(),
    });
  }

  /** Another machine that goes on from this very moment. */
  copy(client: number): IdentityHolder {
    return new IdentityHolder(this.run, this.name, client, this.image());
  }

  /** What a storage has of it at this moment. */
  image(): Identity {
    const { open, ...rest } = this.#identity;
    return {
      ...rest,
      open: new Map([...open].filter((each): each is [number, Entry] => typeof each[1] !== 'string')),
    };
  }

  get socket(): BareSocket {
    return this.#socket as BareSocket;
  }

  /** True while it is welcomed on a socket that lives. */
  get isConnected(): boolean {
    return this.#isWelcome;
  }

  /**
   * False for a copy that was not welcomed since. A number that it has used may stand for another message of the session
   * that it shares with the one it was copied from, and nothing that it can say shows this.
   */
  get hasOwnSession(): boolean {
    return this.#hasOwnSession;
  }

  /** True once it was told that somebody else has its identity: it comes back no more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  get unsettled(): number {
    return this.#identity.open.size;
  }

  /**
   * Connects: begins where it was never welcomed, else resumes. Sends again what is not acked.
   *
   * @param isWelcomeLost the connection ends when the welcome has come, before anybody has read it
   */
  async connect({ isWelcomeLost = false } = {}): Promise<Reception> {
    const { instance, epoch, session, acked } = this.#identity;
    const hello = epoch === undefined ? { instance } : { resume: true, epoch, session, next: acked + 1 };
    const welcome = await this.#hello(hello);
    if (welcome === undefined) return this.#isOver ? 'over' : 'lost';
    if (isWelcomeLost) {
      this.cut();
      return 'lost';
    }
    this.#identity.epoch = Number(welcome.epoch);
    this.#identity.session = String(welcome.session);
    if (welcome.missing !== undefined)
      this.run.fail(`${this.name} was told of missing messages, and none is`);
    this.#hasOwnSession = true;
    if (Number(welcome.stored) > this.#identity.sent) {
      // Somebody else has sent under numbers that are not used here yet.
      this.cut();
      this.#end(this.socket, { code: 4410, reason: 'more is stored than was sent' });
      return 'over';
    }
    this.#isWelcome = true;
    await this.#sendOpen();
    return 'welcomed';
  }

  /**
   * A program that starts on the storage of another one: it sends what that has left, but for what nobody can tell about.
   * Resolves once this is acked, or the connection is lost.
   *
   * @returns true where all of it was acked
   */
  static async recover(run: Run, name: string, client: number, image: Identity): Promise<boolean> {
    const holder = new IdentityHolder(run, name, client, image);
    const { instance, session, acked, open } = holder.#identity;
    const welcome = await holder.#hello({
      recover: true,
      instance,
      ...(session === undefined ? {} : { session }),
      next: acked + 1,
    });
    if (welcome === undefined) return false;
    holder.#identity.epoch = Number(welcome.epoch);
    const stored = Number(welcome.stored);
    const sure = welcome.sure === undefined ? stored : Number(welcome.sure);
    for (const [sequence, line] of open) {
      if (sequence <= sure || sequence > stored) continue;
      if (typeof line !== 'string') run.ledger.unacked(line, 'fate_unknown');
      open.set(sequence, DROPPED);
    }
    const last = Math.max(acked, ...open.keys());
    holder.#lastRecovered = last;
    holder.#isWelcome = true;
    if (last > acked) {
      const lines = Array.from(
        { length: last - acked },
        (_, index) => open.get(acked + 1 + index) ?? DROPPED,
      );
      await holder.#sendLines(acked + 1, lines);
      await run.until('what was left is acked', () => open.size === 0 || !holder.#isWelcome);
    }
    const isDone = holder.#isWelcome;
    holder.cut();
    return isDone;
  }

  /**
   * Takes messages, and sends them where it is connected.
   *
   * @param isIntoNowhere it believes in a connection that is dead: what it sends comes nowhere
   */
  async send(count: number, { isIntoNowhere = false } = {}): Promise<void> {
    const entries = this.messages(count);
    const first = this.#identity.next;
    for (const [index, entry] of entries.entries()) this.#identity.open.set(first + index, entry);
    this.#identity.next += count;
    if (this.#isWelcome) await this.#sendLines(first, entries);
    else if (isIntoNowhere) this.#identity.sent = this.#identity.next - 1;
  }

  /** Its connection is lost, and nobody says goodbye. */
  cut(): void {
    this.#isWelcome = false;
    this.#socket?.kill();
  }

  /** Ends without a word: nobody is told anything about what is not acked. */
  kill(): void {
    this.cut();
    this.#giveUp('killed');
  }

  async settled(): Promise<boolean> {
    await this.run.until(
      'all is acked or the connection is lost',
      () => this.unsettled === 0 || !this.#isWelcome,
    );
    return this.unsettled === 0;
  }

  async #hello(hello: object): Promise<ServerFrame | undefined> {
    let welcome: ServerFrame | undefined;
    this.#socket?.kill();
    const socket = await this.run.openSocket({
      producer: this.name,
      protocol: SLUICE_V1,
      onFrame: (text) => {
        // What comes on a connection that was given up is read by nobody.
        if (this.#socket !== socket) return;
        const frame = JSON.parse(text) as ServerFrame;
        if (frame.t === 'welcome') welcome = frame;
        else this.#take(frame);
      },
    });
    this.#socket = socket;
    void socket.ended.then((end) => this.#end(socket, end));
    await socket.send(JSON.stringify({ t: 'hello', ack: 'stored', producer: this.name, ...hello }));
    await this.run.until(
      `${this.name} was answered`,
      () => welcome !== undefined || socket.end !== undefined,
    );
    return welcome;
  }

  #end(socket: BareSocket, { code, reason }: SocketEnd): void {
    if (socket !== this.#socket) return;
    this.#isWelcome = false;
    if (code === 4400) this.run.fail(`${this.name} was refused: ${reason}`);
    if (!OVER_CODES.has(code)) return;
    this.#isOver = true;
    this.#giveUp('fate_unknown');
  }

  #giveUp(code: string): void {
    for (const line of this.#identity.open.values())
      if (typeof line !== 'string') this.run.ledger.unacked(line, code);
    this.#identity.open.clear();
  }

  async #sendOpen(): Promise<void> {
    const { acked, next, open } = this.#identity;
    if (next === acked + 1) return;
    await this.#sendLines(
      acked + 1,
      Array.from({ length: next - acked - 1 }, (_, index) => open.get(acked + 1 + index) ?? DROPPED),
    );
  }

  #sendLines(seq: number, lines: readonly Line[]): Promise<void> {
    this.#identity.sent = Math.max(this.#identity.sent, seq + lines.length - 1);
    return this.socket.send(
      `{"t":"batch","seq":${seq},"n":${lines.length}}\n${lines.map(textOf).join('\n')}`,
    );
  }

  #take(frame: ServerFrame): void {
    switch (frame.t) {
      case 'ping':
        void this.socket.send(JSON.stringify({ t: 'pong', id: frame.id }));
        return;
      case 'ack':
        this.#settleUpTo(Number(frame.stored));
        return;
      case 'nack':
        this.#refuse(frame);
    }
  }

  #settleUpTo(stored: number): void {
    const identity = this.#identity;
    const last = this.#lastRecovered ?? identity.next - 1;
    if (stored > last) this.run.fail(`${this.name} was acked ${stored}, and has sent only ${last}`);
    for (const [sequence, line] of identity.open) {
      if (sequence > stored) break;
      identity.open.delete(sequence);
      if (typeof line !== 'string')
        this.run.ledger.acked(line, 'stored', { epoch: identity.epoch ?? 0, sequence });
    }
    identity.acked = Math.max(identity.acked, stored);
  }

  #refuse({ from, to, code, temporary }: ServerFrame): void {
    if (temporary === true) {
      // There is no room for the moment: a connection that begins again sends all of it.
      this.cut();
      return;
    }
    for (let sequence = Number(from); sequence <= Number(to); sequence += 1) {
      const line = this.#identity.open.get(sequence);
      if (line === undefined) continue;
      this.#identity.open.delete(sequence);
      if (typeof line === 'string') continue;
      this.run.ledger.refused(line, String(code));
      this.run.fail(`A good message was refused: ${String(code)} ${line.text.slice(0, 80)}`);
    }
  }
}
