/** A client whose every message and every answer is in the ledger, and that can die at any moment. */

import {
  type AckLevel,
  type ClientEvent,
  type ClientStats,
  SluiceClient,
  SluiceError,
  type StoredInstance,
} from '../../src/client/sluice-client.ts';
import type { LabDisk } from './lab-disk.ts';
import { LabSocket } from './lab-socket.ts';
import { CLIENT_SPEED, LabTimers } from './lab-timers.ts';
import type { Entry, Ledger } from './ledger.ts';
import { messageText, nameOf } from './message.ts';
import type { Random } from './random.ts';
import { plainWire, type Wire } from './wire.ts';

export interface LabClientOptions {
  url: string;
  producer: string;
  /** Counts the clients of this producer. */
  client: number;
  ack: AckLevel;
  ledger: Ledger;
  random: Random;
  /** What outlives the client. Default: nothing. */
  disk?: LabDisk | undefined;
  wire?: Wire | undefined;
  /** How much faster its clock runs. Default: ten times. */
  speed?: number | undefined;
  onEvent?: ((event: ClientEvent) => void) | undefined;
}

/** Messages that a client keeps at most; its load waits beyond that. */
const RING_MESSAGES = 4_000;

export class LabClient {
  readonly #options: LabClientOptions;
  readonly #client: SluiceClient;
  readonly #timers: LabTimers;
  readonly #sockets = new Set<LabSocket>();
  readonly #unmount: (() => void) | undefined;
  /** Entries of this client that are not settled. */
  readonly #open = new Set<Entry>();
  #restored: { entry: Entry; instance: string; sequence: number }[] = [];
  #epoch = 0;
  #next = 0;
  #isDead = false;
  #isOver = false;

  constructor(options: LabClientOptions) {
    this.#options = options;
    this.#timers = new LabTimers(options.speed);
    const { url, producer, ack, random, disk, wire = plainWire, onEvent } = options;
    const mounted = disk?.mount(
      (found) => this.#noteRestored(found),
      (instance, upTo) => this.#ackRestored(instance, upTo),
    );
    this.#unmount = mounted?.unmount;
    const frames = random.fork();
    const client: SluiceClient = new SluiceClient({
      url,
      producer,
      ack,
      lingerMs: 10,
      batchMessages: random.integer(5, 200),
      ringMessages: RING_MESSAGES,
      timers: this.#timers,
      random: frames.next,
      ...(mounted === undefined ? {} : { storage: mounted.storage }),
      openSocket: (address, protocol) => {
        const socket = new LabSocket(address, protocol, wire);
        this.#sockets.add(socket);
        socket.addEventListener('close', () => this.#sockets.delete(socket));
        return socket;
      },
      onEvent: (event) => {
        if (this.#isDead) return;
        if (event.type === 'connected') {
          this.#epoch = event.epoch;
          disk?.epochs.set(client.instance, event.epoch);
        }
        if (event.type === 'closed') this.#isOver = true;
        onEvent?.(event);
      },
    });
    this.#client = client;
  }

  get stats(): ClientStats {
    return this.#client.stats;
  }

  /** True once it was closed, fenced or killed: it takes no more. */
  get isOver(): boolean {
    return this.#isOver || this.#isDead;
  }

  /** Resolves when there is room for more, or when the client is over. */
  ready(): Promise<void> {
    return this.#client.ready().catch(() => {});
  }

  /** Sends messages, and keeps the ledger about them. */
  send(count: number, { isPoison = () => false }: { isPoison?: () => boolean } = {}): void {
    const { ledger, producer, client, random } = this.#options;
    const entries = Array.from({ length: count }, () => {
      const name = { producer, client, n: this.#next };
      this.#next += 1;
      const bytes = random.chance(0.02) ? random.integer(500, 5_000) : random.integer(60, 200);
      return ledger.sent(name, messageText(name, random, { bytes, isPoison: isPoison() }));
    });
    for (const entry of entries) this.#open.add(entry);
    void this.#settle(entries);
  }

  async #settle(entries: readonly Entry[]): Promise<void> {
    const { ledger, ack } = this.#options;
    try {
      const { refused, firstSequence } = await this.#client.sendBatch(entries.map(({ text }) => text));
      const codes = new Map(refused.map(({ index, code }) => [index, code]));
      for (const [index, entry] of entries.entries()) {
        const code = codes.get(index);
        this.#open.delete(entry);
        // Only where nothing was refused is it certain that every message has a sequence.
        const sequence = codes.size === 0 && firstSequence !== undefined ? firstSequence + index : undefined;
        if (code === undefined) ledger.acked(entry, ack, { epoch: this.#epoch, sequence });
        else ledger.refused(entry, code);
      }
    } catch (error) {
      for (const entry of entries) {
        this.#open.delete(entry);
        ledger.unacked(entry, error instanceof SluiceError ? error.code : String(error));
      }
    }
  }

  // What the clients before left on the disk is acked to this one, which has no promise about it.
  #noteRestored(found: readonly StoredInstance[]): void {
    for (const { instance, batches } of found) {
      for (const { first, text } of batches) {
        for (const [index, line] of text.split('\n').entries()) {
          const name = nameOf(line);
          const entry = name === undefined ? undefined : this.#options.ledger.find(name);
          if (entry !== undefined) this.#restored.push({ entry, instance, sequence: first + index });
        }
      }
    }
  }

  #ackRestored(instance: string, upTo: number): void {
    const { ledger, disk } = this.#options;
    const isSettled = (one: { instance: string; sequence: number }) =>
      one.instance === instance && one.sequence <= upTo;
    const epoch = disk?.epochs.get(instance);
    for (const { entry, sequence } of this.#restored.filter(isSettled)) {
      // Recovered up to the outbox, whatever the client asks for otherwise.
      ledger.acked(entry, 'stored', {
        epoch: epoch ?? 0,
        sequence: epoch === undefined ? undefined : sequence,
      });
    }
    this.#restored = this.#restored.filter((one) => !isSettled(one));
  }

  /** Ends without a word to anybody: no socket, no timer and no storage does anything for it from now on. */
  kill(): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.#timers.die();
    this.#unmount?.();
    for (const socket of this.#sockets) socket.die();
    for (const entry of this.#open) this.#options.ledger.unacked(entry, 'killed');
    this.#open.clear();
  }

  /** Waits until all is acked, and closes. Returns how many messages were not acked in time, of a living client. */
  async close(timeLimitMs: number): Promise<number> {
    if (this.isOver) return 0;
    const { unacked, timedOut } = await this.#client.close({
      timeLimitMs: timeLimitMs * (this.#options.speed ?? CLIENT_SPEED),
    });
    return timedOut ? unacked : 0;
  }
}
