/** A shard over a real Postgres whose table refuses rows, for the tests of what becomes of them. */

import { customType, integer, pgTable, text } from 'drizzle-orm/pg-core';
import type { Connection } from '../../../src/database/connection.ts';
import type { DatabaseTarget } from '../../../src/database/target.ts';
import { Pipeline } from '../../../src/ingest/pipeline.ts';
import type { DeadLetterExcerpt } from '../../../src/outbox/dead-letter.ts';
import { DeadLetters } from '../../../src/outbox/dead-letters.ts';
import { startProducer } from '../../../src/outbox/producer.ts';
import { fromMessage, fromProducer, fromSequence } from '../../../src/sinks/column-sources.ts';
import type { SinkOptions } from '../../../src/sinks/sink-options.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { freshName, rowsOf } from '../../support/connect.ts';
import { FakeTimers, settled } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';
import { openConnection } from '../../support/open-connection.ts';

const anyType = customType<{ data: string; config: { type: string } }>({
  dataType: (config) => config?.type ?? 'text',
});

export interface ShardOptions {
  target: DatabaseTarget;
  /** The table. It has the columns `producer`, `number` and `value`. */
  table: string;
  /** The type of `value`. */
  type?: string;
  options: Partial<SinkOptions>;
}

/** One shard, over several lives. A message is the text of its value. */
export class Shard {
  readonly #given: ShardOptions;
  readonly #sqlite = new NodeSqlite();
  readonly #name = freshName('shard');
  readonly timers = new FakeTimers();
  #lastProducer = 0;
  readonly #producers = new Map<string, ReturnType<typeof startProducer>>();
  readonly #connections: Connection[] = [];
  deadLetters!: DeadLetters;
  pipeline!: Pipeline;

  constructor(given: ShardOptions) {
    this.#given = given;
    this.restart();
  }

  /** The shard's next life: what was in memory is gone. */
  restart(): void {
    const { target, table, type = 'text', options } = this.#given;
    const rows = pgTable(table, {
      producer: text(),
      number: integer(),
      value: anyType('value', { type }),
    });
    const sink = defineSink(table, {
      table: rows,
      columns: {
        producer: fromProducer,
        number: fromSequence,
        value: fromMessage(({ payload }) => {
          if (payload === '"throws"') throw new Error('this value is not for me');
          return JSON.parse(payload) as string | null;
        }),
      },
      options: { shards: 1, lingerMs: 60_000, groupMs: 0, ...options },
    });
    this.#producers.clear();
    this.deadLetters = new DeadLetters({ sqlite: this.#sqlite, maxRows: 20_000, maxBytes: 1e9 });
    this.pipeline = new Pipeline({
      sink,
      shard: this.#name,
      openConnection: async () => {
        const connection = await openConnection(target);
        this.#connections.push(connection);
        return connection;
      },
      timers: this.timers,
      random: () => 0.5,
      sqlite: this.#sqlite,
      deadLetters: this.deadLetters,
    });
  }

  /** Takes messages of a producer, and writes nothing yet where the writer waits for more. */
  send(producer: string, ...values: (string | null)[]): void {
    let sender = this.#producers.get(producer);
    if (sender === undefined) {
      this.#lastProducer += 1;
      sender = startProducer(producer, this.#lastProducer);
      this.#producers.set(producer, sender);
    }
    this.pipeline.admission.takeRawFrame(
      sender,
      values.map((value) => JSON.stringify(value)).join('\n'),
      this.timers.now(),
    );
  }

  /** One try to write all that waits. */
  async flush(): Promise<void> {
    this.pipeline.flush();
    await settled();
    while (this.pipeline.isWriting) await this.pipeline.nextAttempt();
  }

  get state(): string {
    return this.pipeline.state;
  }

  get committed(): number {
    return this.pipeline.stats().committed;
  }

  get buffered(): number {
    return this.pipeline.stats().buffered;
  }

  get lastError(): string {
    return this.pipeline.stats().lastError ?? '';
  }

  get dead(): DeadLetterExcerpt[] {
    return this.deadLetters.list().letters;
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}

/** The values in a table, in the order in which they were written. */
export async function valuesOf(connection: Connection, table: string): Promise<string[]> {
  const rows = await rowsOf<{ value: string }>(connection, `select value::text from ${table} order by id`);
  return rows.map(({ value }) => value);
}
