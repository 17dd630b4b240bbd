/** A producer: a name, and the clients that bear it one after the other. */

import type { AckLevel, ClientEvent } from '../../src/client/sluice-client.ts';
import { LabClient } from './lab-client.ts';
import { LabDisk } from './lab-disk.ts';
import type { Ledger } from './ledger.ts';
import type { Random } from './random.ts';
import type { Wire } from './wire.ts';

export interface ProducerOptions {
  url: string;
  name: string;
  ack: AckLevel;
  ledger: Ledger;
  random: Random;
  /** Its clients have a disk that outlives them. */
  hasDisk: boolean;
  wire?: Wire | undefined;
  speed?: number | undefined;
  isPoison?: (() => boolean) | undefined;
  onEvent?: ((event: ClientEvent) => void) | undefined;
}

export class Producer {
  readonly name: string;
  readonly #options: ProducerOptions;
  readonly #disk: LabDisk | undefined;
  readonly #clients: LabClient[] = [];

  constructor(options: ProducerOptions) {
    this.name = options.name;
    this.#options = options;
    this.#disk = options.hasDisk ? new LabDisk(options.random.fork()) : undefined;
    this.start();
  }

  /** The client that sends at the moment. */
  get client(): LabClient {
    return this.#clients.at(-1) as LabClient;
  }

  get clients(): readonly LabClient[] {
    return this.#clients;
  }

  /** Starts another client of this name, beside those that still live. */
  start(): LabClient {
    const { url, name, ack, ledger, random, wire, speed, onEvent } = this.#options;
    const client = new LabClient({
      url,
      producer: name,
      client: this.#clients.length,
      ack,
      ledger,
      random: random.fork(),
      disk: this.#disk,
      wire,
      speed,
      onEvent,
    });
    this.#clients.push(client);
    return client;
  }

  send(count: number): void {
    const { isPoison } = this.#options;
    this.client.send(count, isPoison === undefined ? {} : { isPoison });
  }

  /** Closes all clients. Returns how many messages living ones could not get acked in time. */
  async close(timeLimitMs: number): Promise<number> {
    const unacked = await Promise.all(this.#clients.map((client) => client.close(timeLimitMs)));
    return unacked.reduce((sum, count) => sum + count, 0);
  }
}
