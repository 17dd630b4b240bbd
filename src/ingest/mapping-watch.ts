/**
 * Notices that a sink's mapping or table has changed while messages wait: they were taken under the one before, and are written
 * by the one that is there now.
 */

import type { ShardFacts } from '../outbox/shard-facts.ts';
import type { RouteSink, TableSink } from '../sinks/sink.ts';

/** Columns that a sentence names. */
const MAX_NAMED = 10;

export class MappingWatch {
  readonly #facts: ShardFacts;
  /** What goes into each column, as text. */
  readonly #mapping: string;
  #isNoted: boolean;
  /** What has changed, for people; undefined where nothing has, or where nothing waits that it could matter to. */
  readonly change: string | undefined;

  /** @param waiting messages that were found in the outbox */
  constructor(sink: TableSink | RouteSink, facts: ShardFacts, waiting: number) {
    const { name, mapping } = sink;
    this.#facts = facts;
    // The mapping of routes names their tables itself.
    const table = sink.kind === 'table' ? sink.quotedTable : 'several tables';
    this.#mapping = JSON.stringify({ table, columns: mapping });
    const before = facts.get('mapping');
    this.#isNoted = before === this.#mapping;
    if (before === undefined || this.#isNoted || waiting === 0) return;
    const messages = waiting === 1 ? '1 message waits' : `${waiting} messages wait`;
    this.change = `The sink ${name} was changed while ${messages}: ${changesOf(before, this.#mapping)}. What waits is written as the sink is now`;
  }

  /** Rows were written: the next start compares with this mapping. */
  noteWritten(): void {
    if (this.#isNoted) return;
    this.#facts.set('mapping', this.#mapping);
    this.#isNoted = true;
  }
}

interface Noted {
  table: string;
  columns: Record<string, string>;
}

function changesOf(before: string, now: string): string {
  const [old, current] = [JSON.parse(before) as Noted, JSON.parse(now) as Noted];
  const names = new Set([...Object.keys(old.columns), ...Object.keys(current.columns)]);
  const changed = [...names].filter((name) => old.columns[name] !== current.columns[name]);
  const table = old.table === current.table ? [] : [`the table ${old.table} is ${current.table}`];
  const shown = changed
    .slice(0, MAX_NAMED)
    .map((name) => `${name} (${old.columns[name] ?? 'none'}) is ${current.columns[name] ?? 'none'}`);
  const more = changed.length > MAX_NAMED ? [`${changed.length - MAX_NAMED} more columns`] : [];
  // With the columns in another order, nothing else has changed.
  const all = [...table, ...shown, ...more];
  return all.length === 0 ? 'the order of its columns' : all.join(', ');
}
