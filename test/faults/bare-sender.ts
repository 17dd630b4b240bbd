/** What the producers of the lab that have no client behind them have in common: their messages' names. */

import type { BareSocket } from './bare-socket.ts';
import type { Entry } from './ledger.ts';
import { messageText } from './message.ts';
import type { Random } from './random.ts';
import type { Run } from './run.ts';

/** A message that names itself and is in the ledger, or a text that no server should take. */
export type Line = Entry | string;

export interface BareSenderOptions {
  name: string;
  /** Counts the senders of this name. Default: 0. */
  client?: number;
}

export abstract class BareSender {
  readonly name: string;
  protected readonly run: Run;
  readonly #client: number;
  readonly #random: Random;
  #next = 0;

  protected constructor(run: Run, { name, client = 0 }: BareSenderOptions) {
    this.run = run;
    this.name = name;
    this.#client = client;
    this.#random = run.random.fork();
  }

  abstract readonly socket: BareSocket;

  /**
   * The next message.
   *
   * @param members further members of its object, as in `"a":1,"b":2`
   */
  message(members = '', bytes = 90): Entry {
    const name = { producer: this.name, client: this.#client, n: this.#next };
    this.#next += 1;
    const text = messageText(name, this.#random, { bytes });
    return this.run.ledger.sent(name, members === '' ? text : `${text.slice(0, -1)},${members}}`);
  }

  messages(count: number): Entry[] {
    return Array.from({ length: count }, () => this.message());
  }
}

export function textOf(line: Line): string {
  return typeof line === 'string' ? line : line.text;
}
