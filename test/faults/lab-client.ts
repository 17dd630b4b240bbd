/** A client whose every message and every answer is in the ledger, and that can die at any moment. */

import {
  type AckLevel,
  type ClientEvent,
  type ClientStats,
  type Credential,
  SluiceClient,
  SluiceError,
  type StoredBatch,
  type StoredInstance,
} from '../../src/client/index.ts';
import { HANG_LIMIT_MS } from '../support/patience.ts';
import type { LabDisk } from './lab-disk.ts';
import { LabSocket } from './lab-socket.ts';
import { CLIENT_SPEED, LabTimers } from './lab-timers.ts';
import type { Entry, Ledger } from './ledger.ts';
import { messageText } from './message.ts';
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
  /** How it says who it is. Default: not at all. */
  token?: Credential | undefined;
  ticket?: (() => string | Promise<string>) | undefined;
}

/** Messages that a client keeps at most; its load waits beyond that. */
const SEND_BUFFER_MESSAGES = 4_000;

export class LabClient {
  readonly #options: LabClientOptions;
  readonly #client: SluiceClient;
  readonly #timers: LabTimers;
  readonly #sockets = new Set<LabSocket>();
  readonly #unmount: (() => void) | undefined;
  /** Entries of this client that are not settled. */
  readonly #open = new Set<Entry>();
  /** What the clients before have left, and where it stands: it is acked to this one, which has no promise about it. */
  readonly #restored = new Map<Entry, { instance: string; sequence: number }>();
  readonly #found = new Map<string, readonly Entry[]>();
  #epoch = 0;
  #next = 0;
  #isPaused = false;
  #isDead = false;
  #isOver = false;
  #code: string | undefined;

  constructor(options: LabClientOptions) {
    this.#options = options;
    this.#timers = new LabTimers(options.speed);
    const { url, producer, ack, random, disk, wire = plainWire, onEvent } = options;
    const mounted = disk?.mount({
      onLoad: (found) => this.#noteRestored(found),
      onKept: (instance, batch) => this.#noteKept(instance, batch),
      onSetAside: (_, { text }) => this.#noteInDoubt(text),
      onSettled: (instance, upTo) => this.#ackRestored(instance, upTo),
    });
    this.#unmount = mounted?.unmount;
    const frames = random.fork();
    const client: SluiceClient = new SluiceClient({
      url,
      producer,
      ack,
      lingerMs: 10,
      batchMessages: random.integer(5, 200),
      sendBufferMessages: SEND_BUFFER_MESSAGES,
      timers: this.#timers,
      random: frames.next,
      ...(mounted === undefined ? {} : { storage: mounted.storage }),
      ...(options.token === undefined ? {} : { token: options.token }),
      ...(options.ticket === undefined ? {} : { ticket: options.ticket }),
      openSocket: (address, protocols) => {
        const socket = new LabSocket(address, protocols, wire);
        this.#sockets.add(socket);
        if (this.#isPaused) socket.pause();
        socket.addEventListener('close', () => this.#sockets.delete(socket));
        return socket;
      },
      onEvent: (event) => {
        if (this.#isDead) return;
        if (event.type === 'connected') {
          this.#epoch = event.epoch;
          disk?.epochs.set(client.instance, event.epoch);
        }
        if (event.type === 'recovered' && !event.known) this.#noteUnknown(event.instance);
        if (event.type === 'closed') {
          this.#isOver = true;
          this.#code = event.report.code;
        }
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

  /** What ended it; undefined where nothing has, or it was closed. */
  get code(): string | undefined {
    return this.#code;
  }

  /** What outlives it. */
  get disk(): LabDisk | undefined {
    return this.#options.disk;
  }

  /** True once it was welcomed in its own epoch: what older ones have left is settled. */
  get isWelcome(): boolean {
    return this.#epoch > 0;
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
    const { ledger, ack, disk } = this.#options;
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
        // Another program may clear away what it finds on a disk without a lock: then this was the word about it.
        if (disk?.isLocked === false) entry.isKept = false;
      }
    }
  }

  #noteRestored(found: readonly StoredInstance[]): void {
    for (const { instance, batches, inDoubt } of found) {
      for (const { first, text } of batches) this.#place(instance, first, text);
      this.#found.set(
        instance,
        batches.flatMap(({ text }) => this.#entriesOf(text)),
      );
      for (const { text } of inDoubt) this.#noteInDoubt(text);
    }
  }

  /** What an older instance has taken may be given to a newer one. */
  #noteKept(instance: string, { first, text }: StoredBatch): void {
    const isLocked = this.#options.disk?.isLocked !== false;
    for (const entry of this.#entriesOf(text)) entry.isKept = isLocked || entry.outcome.state === 'sent';
    if (this.#entriesOf(text).some((entry) => this.#restored.has(entry))) this.#place(instance, first, text);
  }

  #place(instance: string, first: number, text: string): void {
    for (const [index, line] of text.split('\n').entries()) {
      const entry = this.#options.ledger.findText(line);
      if (entry !== undefined) this.#restored.set(entry, { instance, sequence: first + index });
    }
  }

  // It was said that these may come a second time. That is taken only where the shard may have forgotten them.
  #noteUnknown(instance: string): void {
    if (this.#options.disk?.isForgotten(instance) !== true) return;
    for (const entry of this.#found.get(instance) ?? [])
      this.#options.ledger.decided(entry, { act: 'sent-as-new' });
  }

  #noteInDoubt(text: string): void {
    for (const entry of this.#entriesOf(text)) {
      this.#restored.delete(entry);
      this.#options.ledger.unacked(entry, 'fate_unknown');
    }
  }

  #entriesOf(text: string): Entry[] {
    return text.split('\n').flatMap((line) => this.#options.ledger.findText(line) ?? []);
  }

  #ackRestored(instance: string, upTo: number): void {
    const { ledger, disk } = this.#options;
    const epoch = disk?.epochs.get(instance);
    for (const [entry, place] of this.#restored) {
      if (place.instance !== instance || place.sequence > upTo) continue;
      this.#restored.delete(entry);
      // Recovered up to the outbox, whatever the client asks for otherwise.
      const sequence = epoch === undefined ? undefined : place.sequence;
      ledger.acked(entry, 'stored', { epoch: epoch ?? 0, sequence });
    }
  }

  /**
   * Sends what it cannot know the fate of as new.
   *
   * @returns how many messages these were
   */
  async sendInDoubt(): Promise<number> {
    const { ledger } = this.#options;
    const entries = this.#client.inDoubt.flatMap(({ texts }) =>
      texts.flatMap((text) => this.#entriesOf(text)),
    );
    if (entries.length === 0) return 0;
    for (const entry of entries) ledger.decided(entry, { act: 'sent-as-new' });
    await this.#client.sendInDoubt();
    for (const entry of entries)
      ledger.acked(entry, this.#options.ack, { epoch: this.#epoch, sequence: undefined });
    return entries.length;
  }

  /** Its machine stands still: it hears of nothing and does nothing, and its connection stays. */
  pause(): void {
    this.#isPaused = true;
    this.#timers.pause();
    for (const socket of this.#sockets) socket.pause();
  }

  /** Its machine goes on. Its clock shows `skippedMs` more than has really gone by. */
  wake(skippedMs = 0): void {
    this.#isPaused = false;
    this.#timers.wake(skippedMs);
    for (const socket of this.#sockets) socket.wake();
  }

  /** Its connections are lost, and nobody says goodbye. */
  cut(): void {
    for (const socket of this.#sockets) socket.cut();
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
  async close(timeLimitMs = HANG_LIMIT_MS): Promise<number> {
    if (this.isOver) return 0;
    const { unacked, timedOut } = await this.#client.close({
      timeLimitMs: timeLimitMs * (this.#options.speed ?? CLIENT_SPEED),
    });
    return timedOut ? unacked : 0;
  }
}
