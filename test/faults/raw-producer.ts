/**
 * A raw socket with a ledger. It gets no acks, but it is told of every refusal, and its close is answered behind all
 * that it sent: so in the end it knows of each message whether it was taken.
 */

import { BareSender, type BareSenderOptions, type Line, textOf } from './bare-sender.ts';
import type { BareSocket, SocketEnd } from './bare-socket.ts';
import type { Entry } from './ledger.ts';
import type { Run } from './run.ts';

interface SentFrame {
  good: readonly Entry[];
  /** Numbers of the lines that have to be refused. */
  bad: readonly number[];
}

interface ErrorFrame {
  refused: number;
  errors: { line: number; code: string }[];
}

const SPELLED_OUT = 10;

export class RawProducer extends BareSender {
  #socket: BareSocket | undefined;
  readonly #sent: SentFrame[] = [];
  /** Frames before this one were answered, or needed no answer. */
  #answered = 0;
  /** The frame for which there was no room. */
  #stoppedAt: number | undefined;

  /** Error frames that came, and messages that they refuse. */
  errors = 0;
  refused = 0;

  static async open(run: Run, options: BareSenderOptions): Promise<RawProducer> {
    const producer = new RawProducer(run, options);
    producer.#socket = await run.openSocket({
      producer: options.name,
      onFrame: (frame) => producer.#take(JSON.parse(frame) as ErrorFrame),
    });
    void producer.#socket.ended.then((end) => producer.#settle(end));
    return producer;
  }

  get socket(): BareSocket {
    return this.#socket as BareSocket;
  }

  /** True once a frame was refused because there was no room for it. */
  get isFull(): boolean {
    return this.#stoppedAt !== undefined;
  }

  /**
   * Sends a frame. Lines that are no messages of the ledger have to be refused. Where the shard may have no room, each
   * frame has to have more lines than the one before: an error frame says how many it is about, and not which.
   */
  send(lines: readonly Line[]): Promise<void> {
    const good = lines.filter((line) => typeof line !== 'string');
    const bad = lines.flatMap((line, index) => (typeof line === 'string' ? [index + 1] : []));
    this.#sent.push({ good, bad });
    return this.socket.send(lines.map(textOf).join('\n'));
  }

  /** Sends a frame that has to be refused as a whole. */
  sendBad(frame: string | Uint8Array): Promise<void> {
    this.#sent.push({ good: [], bad: [0] });
    return this.socket.send(frame);
  }

  /** Says goodbye, which is answered behind everything that was sent. */
  async close(): Promise<SocketEnd> {
    const end = await this.socket.close();
    const missing = this.#sent.slice(this.#answered).filter(({ bad }) => bad.length > 0).length;
    if (end.code === 1000 && missing > 0)
      this.run.fail(`${missing} frames of ${this.name} with bad messages were never answered`);
    return end;
  }

  #take({ refused, errors }: ErrorFrame): void {
    this.errors += 1;
    this.refused += refused;
    const code = errors[0]?.code;
    if (code === 'buffer_full') {
      this.#stoppedAt = this.#sent.findIndex(({ good, bad }) => good.length + bad.length === refused);
      if (this.#stoppedAt === -1) this.run.fail(`No frame of ${this.name} has ${refused} lines`);
      return;
    }
    while (this.#sent[this.#answered]?.bad.length === 0) this.#answered += 1;
    const frame = this.#sent[this.#answered];
    this.#answered += 1;
    const said = errors.map(({ line }) => line).join();
    const expected = frame?.bad.slice(0, SPELLED_OUT).join();
    if (frame === undefined || refused !== frame.bad.length || said !== expected)
      this.run.fail(
        `${this.name}: ${refused} refused in the lines ${said} (${code}), and not ${frame?.bad.length} in ${expected}`,
      );
  }

  // What was taken is as safe as if it had been acked.
  #settle({ code }: SocketEnd): void {
    // Behind too many mistakes nothing is taken, and the last answer is about the last frame that was.
    const taken = { 1000: this.#sent.length, 1008: this.#answered, 1013: this.#stoppedAt }[code];
    for (const [index, { good }] of this.#sent.entries()) {
      for (const entry of good) {
        if (taken === undefined) this.run.ledger.unacked(entry, `closed with ${code}`);
        else if (index < taken) this.run.ledger.acked(entry, 'stored', { epoch: 0, sequence: undefined });
        else this.run.ledger.refused(entry, `closed with ${code}`);
      }
    }
  }
}
