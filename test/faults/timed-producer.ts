/** A producer of `sluice.v1` that sends one message after the other, and notes how long each took from the wish to send to its ack. */

import { setTimeout as delay } from 'node:timers/promises';
import { SLUICE_V1 } from '../../src/protocol/sluice-v1.ts';
import { BareSender, type BareSenderOptions } from './bare-sender.ts';
import type { BareSocket } from './bare-socket.ts';
import type { Run } from './run.ts';

interface Frame {
  t: string;
  epoch?: number;
  id?: number;
  stored?: number;
  temporary?: boolean;
  credit?: { messages: number };
}

export class TimedProducer extends BareSender {
  #socket: BareSocket | undefined;
  #epoch = 0;
  #stored = 0;
  #credit = 0;
  #wasDeferred = false;
  /** Tells those who wait for the next frame. */
  #wake: () => void = () => {};
  #isOver = false;
  #loop: Promise<void> = Promise.resolve();
  /** Where the times go, in ms; undefined while nobody measures. */
  times: number[] | undefined;
  /** Since when a message waits for its ack. */
  #sinceMs: number | undefined;

  static async open(run: Run, options: BareSenderOptions, paceMs: number): Promise<TimedProducer> {
    const producer = new TimedProducer(run, options);
    producer.#socket = await run.openSocket({
      producer: options.name,
      protocol: SLUICE_V1,
      onFrame: (frame) => producer.#take(frame),
    });
    await producer.#socket.send('{"t":"hello","ack":"stored"}');
    await run.until(`${options.name} was welcomed`, () => producer.#epoch > 0);
    producer.#loop = producer.#send(paceMs);
    return producer;
  }

  get socket(): BareSocket {
    return this.#socket as BareSocket;
  }

  #take(text: string): void {
    const { t, epoch, stored, credit, id, temporary } = JSON.parse(text) as Frame;
    if (t === 'welcome') this.#epoch = epoch ?? 0;
    if (t === 'ping') void this.socket.send(JSON.stringify({ t: 'pong', id }));
    if (t === 'nack' && temporary === true) this.#wasDeferred = true;
    this.#stored = Math.max(this.#stored, stored ?? 0);
    this.#credit = credit?.messages ?? this.#credit;
    this.#wake();
  }

  #nextFrame(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      void this.socket.ended.then(() => resolve());
    });
  }

  async #send(paceMs: number): Promise<void> {
    for (let sequence = 1; !this.#isOver && this.socket.isOpen; sequence += 1) {
      const { times } = this;
      const entry = this.message();
      const sinceMs = performance.now();
      this.#sinceMs = sinceMs;
      let isSent = false;
      while (this.#stored < sequence && this.socket.isOpen) {
        if (this.#credit > 0 && (!isSent || this.#wasDeferred)) {
          isSent = true;
          this.#wasDeferred = false;
          void this.socket.send(`{"t":"batch","seq":${sequence},"n":1}\n${entry.text}`);
        }
        await this.#nextFrame();
      }
      this.#sinceMs = undefined;
      if (this.#stored >= sequence) {
        this.run.ledger.acked(entry, 'stored', { epoch: this.#epoch, sequence });
        // A measurement that was begun or ended meanwhile has no part in it.
        if (times !== undefined && times === this.times) times.push(performance.now() - sinceMs);
      } else this.run.ledger.unacked(entry, 'socket ended');
      await delay(this.run.random.integer(1, 2 * paceMs));
    }
  }

  /** What still waits counts for as long as it has waited. */
  endMeasurement(): void {
    if (this.#sinceMs !== undefined) this.times?.push(performance.now() - this.#sinceMs);
    this.times = undefined;
  }

  /** Sends no more, once its last message has its ack. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#loop;
    this.socket.kill();
  }
}
