/**
 * An engine that remembers the types and tags of what was last appended through it. Each subscriber looks at each append
 * whether it is for it; where it is not, and that is known here, the database is not asked. With ninety subscribers of
 * something else, Postgres took a quarter of the appends that it takes with none; with this, more than half.
 */

import type { AppendCommand, AppendVerdict, EventEngine, EventRecord, ReadEvents } from '../engine.ts';
import { type Matchable, matches } from '../query.ts';

/** Events that are remembered, and the UTF-16 code units of their types and tags; the oldest are forgotten first. */
const MAX_EVENTS = 2_000;
const MAX_UNITS = 256 * 1024;

export class RecentAppends implements EventEngine {
  readonly #engine: EventEngine;
  /** Of positions without a gap, from `#first` on. */
  #events: Matchable[] = [];
  #first = 1n;
  #units = 0;

  constructor(engine: EventEngine) {
    this.#engine = engine;
  }

  async append(commands: readonly AppendCommand[]): Promise<readonly AppendVerdict[]> {
    const verdicts = await this.#engine.append(commands);
    for (const [index, verdict] of verdicts.entries()) {
      const command = commands[index];
      if (command !== undefined && verdict.kind === 'appended' && !verdict.isRepeated)
        this.#remember(command, verdict.position);
    }
    return verdicts;
  }

  async read(read: ReadEvents): Promise<EventRecord[]> {
    return this.#hasNoneOf(read) ? [] : this.#engine.read(read);
  }

  async head(): Promise<bigint> {
    const head = await this.#engine.head();
    // Somebody else has deleted all events: what has these positions now are others.
    if (head + 1n < this.#first + BigInt(this.#events.length)) this.#forget();
    return head;
  }

  async clear(): Promise<bigint> {
    try {
      return await this.#engine.clear();
    } finally {
      // Positions begin again, also where the answer got lost.
      this.#forget();
    }
  }

  #remember({ events }: AppendCommand, last: bigint): void {
    const first = last - BigInt(events.length) + 1n;
    // Others have appended in between, or an append was made whose answer got lost.
    if (first !== this.#first + BigInt(this.#events.length)) {
      this.#forget();
      this.#first = first;
    }
    for (const { type, tags } of events) {
      this.#events.push({ type, tags });
      this.#units += unitsOf({ type, tags });
    }
    if (this.#events.length <= MAX_EVENTS && this.#units <= MAX_UNITS) return;
    // Half of what may be, so that this is not done for each append.
    let dropped = 0;
    for (const event of this.#events) {
      if (this.#events.length - dropped <= MAX_EVENTS / 2 && this.#units <= MAX_UNITS / 2) break;
      this.#units -= unitsOf(event);
      dropped += 1;
    }
    this.#events = this.#events.slice(dropped);
    this.#first += BigInt(dropped);
  }

  #forget(): void {
    this.#events = [];
    this.#units = 0;
  }

  /** True where it is known that no event matches between the bounds. */
  #hasNoneOf({ query, after, before }: ReadEvents): boolean {
    if (before === null || after + 1n < this.#first) return false;
    if (before > this.#first + BigInt(this.#events.length)) return false;
    const end = Number(before - this.#first);
    for (let index = Number(after + 1n - this.#first); index < end; index += 1) {
      if (matches(query, this.#events[index] as Matchable)) return false;
    }
    return true;
  }
}

function unitsOf({ type, tags }: Matchable): number {
  let units = type.length;
  for (const tag of tags) units += tag.length;
  return units;
}
