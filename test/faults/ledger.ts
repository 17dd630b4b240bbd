/** What clients sent, and what they were told about it: one side of every verdict. */

import type { AckLevel } from '../../src/client/index.ts';
import { contentHash, keyOf, type MessageName } from './message.ts';

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

/**
 * What somebody decided about a message: an operator wrote a dead letter again, perhaps with another text, or threw it
 * away; or a client was told to send as new what it cannot know the fate of.
 */
export type Decision = { act: 'retried'; text: string } | { act: 'dropped' } | { act: 'sent-as-new' };

export interface Entry extends MessageName {
  readonly text: string;
  readonly hash: string;
  outcome: Outcome;
  /** True once a client's storage said that it has it: from then on it must not vanish without a word. */
  isKept?: boolean;
  /** The last one. */
  decision?: Decision;
}

/** The messages by their content. Two holders of one identity send different messages under the same numbers. */
export class Ledger {
  readonly #entries = new Map<string, Entry>();
  readonly #byName = new Map<string, Entry>();

  /** Every message that was ever sent, in the order of sending. */
  get entries(): readonly Entry[] {
    return [...this.#entries.values()];
  }

  get size(): number {
    return this.#entries.size;
  }

  find(name: MessageName): Entry | undefined {
    return this.#byName.get(keyOf(name));
  }

  findText(text: string): Entry | undefined {
    return this.#entries.get(contentHash(text));
  }

  sent(name: MessageName, text: string): Entry {
    const key = keyOf(name);
    const hash = contentHash(text);
    if (this.#byName.has(key) || this.#entries.has(hash))
      throw new Error(`${key} was sent before: each message has its own name and content`);
    const entry: Entry = { ...name, text, hash, outcome: { state: 'sent' } };
    this.#entries.set(hash, entry);
    this.#byName.set(key, entry);
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
