/**
 * Rows that Postgres has taken, a few of them: what a refused row is compared with. One for each of the last producers, so
 * that a fault of one producer is not looked for among its own rows only.
 */

import { type Message, type MessageBatch, messageAt, rowsOf } from '../sinks/message-batch.ts';

/** Producers of which a row is kept. */
const MAX_GOOD_ROWS = 4;

/** A longer message is not kept. A text is a part of its frame's text and keeps all of it: four frames of 1 MiB at the most. */
const MAX_GOOD_ROW_CHARACTERS = 64 * 1024;

export class GoodRows {
  readonly #recover: () => readonly Message[];
  /** The latest last. */
  #rows: Message[] = [];

  /** @param recover reads some from storage, as after a restart; called where none is known */
  constructor(recover: () => readonly Message[] = () => []) {
    this.#recover = recover;
  }

  /** Remembers the last row of a batch that is committed. */
  note({ columns, to, ...batch }: MessageBatch): void {
    if (rowsOf({ columns, to, ...batch }) === 0) return;
    if ((columns.payloads[to - 1] as string).length > MAX_GOOD_ROW_CHARACTERS) return;
    this.#add(messageAt(columns, to - 1));
  }

  #add(row: Message): void {
    const known = this.#rows.findIndex(({ producer }) => producer === row.producer);
    if (known >= 0) this.#rows.splice(known, 1);
    else if (this.#rows.length >= MAX_GOOD_ROWS) this.#rows.shift();
    this.#rows.push(row);
  }

  /** The latest first, those of other producers before those of `producer`. */
  besides(producer: string): Message[] {
    if (this.#rows.length === 0) for (const row of this.#recover()) this.#add(row);
    const latest = this.#rows.toReversed();
    return [
      ...latest.filter((row) => row.producer !== producer),
      ...latest.filter((row) => row.producer === producer),
    ];
  }
}
