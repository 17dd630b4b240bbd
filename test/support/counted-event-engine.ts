/** An engine that tells what it was asked for. */

import type {
  AppendCommand,
  AppendVerdict,
  EventEngine,
  EventRecord,
  ReadEvents,
} from '../../src/events/engine.ts';

export class CountedEventEngine implements EventEngine {
  readonly reads: ReadEvents[] = [];
  readonly commands: AppendCommand[] = [];
  /** Is awaited before each append. */
  beforeAppend: () => Promise<void> = async () => {};
  readonly #engine: EventEngine;

  constructor(engine: EventEngine) {
    this.#engine = engine;
  }

  async append(commands: readonly AppendCommand[]): Promise<readonly AppendVerdict[]> {
    await this.beforeAppend();
    this.commands.push(...commands);
    return this.#engine.append(commands);
  }

  read(read: ReadEvents): Promise<EventRecord[]> {
    this.reads.push({ ...read });
    return this.#engine.read(read);
  }

  head(): Promise<bigint> {
    return this.#engine.head();
  }

  clear(): Promise<bigint> {
    return this.#engine.clear();
  }
}
