/** An engine that tells what is written through it, in the order of global positions. */

import type {
  AppendCommand,
  AppendVerdict,
  ImportRow,
  ImportVerdict,
  ListNames,
  MessageEngine,
  ReadCategory,
  ReadStream,
} from '../engine.ts';

export interface EngineWatcher {
  /** Messages of one stream were written; `last` is the place of the last of them. */
  wrote(stream: string, last: { position: bigint; globalPosition: bigint }, count: number): void;
  /** Messages were written to given places, or may have been. */
  imported(rows: readonly ImportRow[]): void;
  /** Something was written of which no more is known. */
  moved(): void;
  /** All messages were deleted. */
  cleared(): void;
}

export class WatchedEngine implements MessageEngine {
  readonly #engine: MessageEngine;
  readonly #watcher: EngineWatcher;

  constructor(engine: MessageEngine, watcher: EngineWatcher) {
    this.#engine = engine;
    this.#watcher = watcher;
  }

  async append(commands: readonly AppendCommand[]): Promise<readonly AppendVerdict[]> {
    let verdicts: readonly AppendVerdict[];
    try {
      verdicts = await this.#engine.append(commands);
    } catch (error) {
      // A commit whose answer got lost may have happened.
      this.#watcher.moved();
      throw error;
    }
    for (const [index, verdict] of verdicts.entries()) {
      if (verdict.kind !== 'written') continue;
      for (const [at, { stream, messages }] of (commands[index]?.appends ?? []).entries()) {
        const end = verdict.ends[at];
        if (end !== undefined) this.#watcher.wrote(stream, end, messages.length);
      }
    }
    return verdicts;
  }

  async import(rows: readonly ImportRow[]): Promise<ImportVerdict> {
    let verdict: ImportVerdict;
    try {
      verdict = await this.#engine.import(rows);
    } catch (error) {
      // A commit whose answer got lost may have happened.
      this.#watcher.imported(rows);
      throw error;
    }
    if (verdict.kind === 'imported') this.#watcher.imported(rows);
    return verdict;
  }

  async clear(): Promise<bigint> {
    const deleted = await this.#engine.clear();
    this.#watcher.cleared();
    return deleted;
  }

  readStream(read: ReadStream) {
    return this.#engine.readStream(read);
  }

  readCategory(read: ReadCategory) {
    return this.#engine.readCategory(read);
  }

  last(stream: string, type: string | null) {
    return this.#engine.last(stream, type);
  }

  version(stream: string) {
    return this.#engine.version(stream);
  }

  listStreams(list: ListNames) {
    return this.#engine.listStreams(list);
  }

  listCategories(list: ListNames) {
    return this.#engine.listCategories(list);
  }

  info() {
    return this.#engine.info();
  }
}
