/** What clients sent, and what they were told about it: one side of every verdict. */

import type { AckLevel } from '../../src/client/sluice-client.ts';
import { keyOf, type MessageName } from './message.ts';

/** The last that a client knows of a message. */
export type Outcome =
  /** It was handed over, and nothing has come back. */
  | { state: 'sent' }
  /** Sluice has promised to keep it. The sequence is missing where the client was not told. */
  | { state: 'acked'; level: AckLevel; atMs: number; epoch: number; sequence: number | undefined }
  /** Sluice, or the client itself, has refused it for good. */
  | { state: 'refused'; code: string }
  /** The client ended without an answer, and said so; or it died. It may be stored, or not. */
  | { state: 'unacked'; code: string };

/** What an operator did with a dead letter: wrote it again, perhaps with another text, or threw it away. */
export type Decision = { act: 'retried'; text: string } | { act: 'dropped' };

export interface Entry extends MessageName {
  readonly text: string;
  outcome: Outcome;
  /** The last one, of a message that was a dead letter. */
  decision?: Decision;
}

export class Ledger {
  readonly #entries = new Map<string, Entry>();

  /** Every message that was ever sent, in the order of sending. */
  get entries(): readonly Entry[] {
    return [...this.#entries.values()];
  }

  get size(): number {
    return this.#entries.size;
  }

  find(name: MessageName): Entry | undefined {
    return this.#entries.get(keyOf(name));
  }

  sent(name: MessageName, text: string): Entry {
    const key = keyOf(name);
    if (this.#entries.has(key)) throw new Error(`${key} was sent before: each message has a name of its own`);
    const entry: Entry = { ...name, text, outcome: { state: 'sent' } };
    this.#entries.set(key, entry);
    return entry;
  }

  acked(entry: Entry, level: AckLevel, place: { epoch: number; sequence: number | undefined }): void {
    entry.outcome = { state: 'acked', level, atMs: Date.now(), ...place };
  }

  refused(entry: Entry, code: string): void {
    this.#settle(entry, { state: 'refused', code });
  }

  unacked(entry: Entry, code: string): void {
    this.#settle(entry, { state: 'unacked', code });
  }

  // A promise that was given is not taken back by what comes later.
  #settle(entry: Entry, outcome: Outcome): void {
    if (entry.outcome.state !== 'acked') entry.outcome = outcome;
  }

  decided(name: MessageName, decision: Decision): void {
    const entry = this.find(name);
    if (entry === undefined) throw new Error(`Nobody sent ${keyOf(name)}`);
    entry.decision = decision;
  }

  count(state: Outcome['state']): number {
    let count = 0;
    for (const { outcome } of this.#entries.values()) if (outcome.state === state) count += 1;
    return count;
  }
}
