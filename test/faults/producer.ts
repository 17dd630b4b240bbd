/** A producer: a name, and the clients that bear it one after the other. */

import type { AckLevel, ClientEvent } from '../../src/client/index.ts';
import { LabClient } from './lab-client.ts';
import { LabDisk, type LabDiskOptions } from './lab-disk.ts';
import type { Ledger } from './ledger.ts';
import type { LabCredentials } from './locks.ts';
import type { Random } from './random.ts';
import type { Wire } from './wire.ts';

/** As good as no limit: who waits for the acks looks whether any come. */
const A_DAY_MS = 86_400_000;

export interface ProducerOptions {
  url: string;
  name: string;
  ack: AckLevel;
  ledger: Ledger;
  random: Random;
  /** Its clients have a disk that outlives them. */
  hasDisk: boolean;
  disk?: LabDiskOptions | undefined;
  wire?: Wire | undefined;
  speed?: number | undefined;
  isPoison?: (() => boolean) | undefined;
  credentials?: LabCredentials | undefined;
  onEvent?: ((event: ClientEvent) => void) | undefined;
}

export class Producer {
  readonly name: string;
  readonly #options: ProducerOptions;
  readonly #disk: LabDisk | undefined;
  readonly #clients: LabClient[] = [];
  #current: LabClient | undefined;

  constructor(options: ProducerOptions) {
    this.name = options.name;
    this.#options = options;
    this.#disk = options.hasDisk ? new LabDisk(options.random.fork(), options.disk) : undefined;
    this.start();
  }

  /** The client that sends at the moment. */
  get client(): LabClient {
    return this.#current as LabClient;
  }

  get clients(): readonly LabClient[] {
    return this.#clients;
  }

  /** What outlives its clients; undefined where nothing does. */
  get disk(): LabDisk | undefined {
    return this.#disk;
  }

  /** Starts another client of this name, beside those that still live, on the producer's disk or another one. */
  start(disk: LabDisk | undefined = this.#disk): LabClient {
    const { url, name, ack, ledger, random, wire, speed, credentials, onEvent } = this.#options;
    const client = new LabClient({
      url,
      producer: name,
      client: this.#clients.length,
      ack,
      ledger,
      random: random.fork(),
      disk,
      wire,
      speed,
      onEvent,
      ...credentials,
    });
    this.#clients.push(client);
    this.#current = client;
    return client;
  }

  /** Sends by an older client again. */
  goOnWith(client: LabClient): void {
    this.#current = client;
  }

  send(count: number): void {
    const { isPoison } = this.#options;
    this.client.send(count, isPoison === undefined ? {} : { isPoison });
  }

  /** Messages of living clients that are not acked. */
  get unacked(): number {
    const living = this.#clients.filter(({ isOver }) => !isOver);
    return living.reduce((sum, { stats }) => sum + stats.unackedMessages, 0);
  }

  /** Closes all clients. Resolves when the living ones have all their acks. */
  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close(A_DAY_MS)));
  }
}
