/** A producer of `sluice.v1` without the client library: it can do what no client does, and sees every frame. */

import type { AckLevel } from '../../src/client/index.ts';
import { type Credit, SLUICE_V1 } from '../../src/protocol/sluice-v1.ts';
import { BareSender, type BareSenderOptions, type Line, textOf } from './bare-sender.ts';
import type { BareSocket } from './bare-socket.ts';
import type { Run } from './run.ts';

/** A frame of the server, as it came. */
export type ServerFrame = Record<string, unknown> & { t: string };

export interface BareProducerOptions extends BareSenderOptions {
  ack?: Extract<AckLevel, 'stored' | 'committed'>;
  /** Leaves the server's pings unanswered. Default: false. */
  isDeaf?: boolean;
}

export class BareProducer extends BareSender {
  readonly #ack: 'stored' | 'committed';
  readonly #isDeaf: boolean;
  #socket: BareSocket | undefined;
  #welcome: ServerFrame | undefined;
  /** Sent and neither acked nor refused, by sequence. */
  readonly #open = new Map<number, Line>();
  /** Everything but acks and pings, until somebody takes it. */
  #answers: ServerFrame[] = [];
  /** The sequence of the next message. */
  next = 1;
  stored = 0;
  committed = 0;
  acks = 0;
  credit: Credit = { messages: 0, bytes: 0 };

  private constructor(run: Run, options: BareProducerOptions) {
    super(run, options);
    this.#ack = options.ack ?? 'stored';
    this.#isDeaf = options.isDeaf ?? false;
  }

  /** Connects, begins an epoch, and resolves once it is welcome. */
  static async open(run: Run, options: BareProducerOptions): Promise<BareProducer> {
    const producer = new BareProducer(run, options);
    const socket = await run.openSocket({
      producer: options.name,
      protocol: SLUICE_V1,
      onFrame: (frame) => producer.#take(frame),
    });
    producer.#socket = socket;
    void socket.ended.then(() => producer.#giveUp());
    await socket.send(JSON.stringify({ t: 'hello', ack: producer.#ack }));
    await run.until(`${options.name} was welcomed`, () => producer.#welcome !== undefined);
    return producer;
  }

  get socket(): BareSocket {
    return this.#socket as BareSocket;
  }

  get epoch(): number {
    return Number(this.#welcome?.epoch);
  }

  /** What the server says of the first moment. */
  get welcome(): ServerFrame {
    return this.#welcome as ServerFrame;
  }

  /** Messages that were sent and neither acked nor refused. */
  get unsettled(): number {
    return this.#open.size;
  }

  /** What the server sent besides acks and pings since this was last asked. */
  takeAnswers(): ServerFrame[] {
    return this.#answers.splice(0);
  }

  /** Sends a batch. Lines that are no messages of the ledger have to be refused. */
  sendBatch(lines: readonly Line[]): Promise<void> {
    const seq = this.next;
    for (const [index, line] of lines.entries()) this.#open.set(seq + index, line);
    this.next += lines.length;
    return this.sendLines(seq, lines);
  }

  /** Sends a batch in a binary frame. Bytes stand for a message that is not UTF-8, and has to be refused. */
  sendBatchAsBytes(lines: readonly (Line | Uint8Array)[]): Promise<void> {
    const seq = this.next;
    for (const [index, line] of lines.entries())
      this.#open.set(seq + index, line instanceof Uint8Array ? '(no UTF-8)' : line);
    this.next += lines.length;
    const header = Buffer.from(`{"t":"batch","seq":${seq},"n":${lines.length}}`);
    const newline = Buffer.from('\n');
    const bytes = lines.flatMap((line) => [
      newline,
      line instanceof Uint8Array ? line : Buffer.from(textOf(line)),
    ]);
    return this.socket.send(Buffer.concat([header, ...bytes]));
  }

  /** Sends lines under sequences, whatever they were given before. */
  sendLines(seq: number, lines: readonly Line[]): Promise<void> {
    return this.socket.send(
      `{"t":"batch","seq":${seq},"n":${lines.length}}\n${lines.map(textOf).join('\n')}`,
    );
  }

  /** Sends a batch as often as it takes: the server may have no room for it yet. */
  async deliver(lines: readonly Line[]): Promise<void> {
    await this.sendBatch(lines);
    await this.run.until(`${this.name} had its acks`, async () => {
      if (this.#open.size === 0) return true;
      if (this.takeAnswers().some(({ temporary }) => temporary === true)) await this.sendAgain();
      return false;
    });
  }

  /** Sends again what is not settled, in one batch. */
  async sendAgain(): Promise<void> {
    const first = this.#open.keys().next().value;
    if (first !== undefined) await this.sendLines(first, [...this.#open.values()]);
  }

  /** Waits until everything is acked or refused. */
  settled(): Promise<void> {
    return this.run.until(`${this.name} had its acks`, () => this.#open.size === 0);
  }

  #take(text: string): void {
    if (text === 'pong') return;
    const frame = JSON.parse(text) as ServerFrame;
    const credit = frame.credit as Credit | undefined;
    if (credit !== undefined) this.credit = credit;
    switch (frame.t) {
      case 'welcome':
        this.#welcome = frame;
        return;
      case 'ping':
        if (!this.#isDeaf) void this.socket.send(JSON.stringify({ t: 'pong', id: frame.id }));
        return;
      case 'ack':
        this.acks += 1;
        this.stored = Number(frame.stored);
        this.committed = Number(frame.committed);
        this.#settleUpTo(this.#ack === 'stored' ? this.stored : this.committed);
        return;
      case 'nack':
        if (frame.from !== undefined && frame.temporary === false)
          this.#refuse(Number(frame.from), Number(frame.to), String(frame.code));
    }
    this.#answers.push(frame);
  }

  #settleUpTo(acked: number): void {
    // In the order of sequences, since they were added so.
    for (const [sequence, line] of this.#open) {
      if (sequence > acked) break;
      this.#open.delete(sequence);
      if (typeof line === 'string')
        this.run.fail(`An ack covers what is no message, and no nack came: ${line.slice(0, 80)}`);
      else this.run.ledger.acked(line, this.#ack, { epoch: this.epoch, sequence });
    }
  }

  #refuse(from: number, to: number, code: string): void {
    for (let sequence = from; sequence <= to; sequence += 1) {
      const line = this.#open.get(sequence);
      if (line === undefined) continue;
      this.#open.delete(sequence);
      if (typeof line === 'string') continue;
      this.run.ledger.refused(line, code);
      this.run.fail(`A good message was refused: ${code} ${line.text.slice(0, 80)}`);
    }
  }

  #giveUp(): void {
    for (const line of this.#open.values())
      if (typeof line !== 'string') this.run.ledger.unacked(line, 'socket ended');
    this.#open.clear();
  }
}
