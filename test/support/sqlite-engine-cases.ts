/** What the engine does with an SQLite database, whichever it is: run on Node's, and on that of a real Durable Object. */

import { expect } from 'vitest';
import type { Sqlite } from '../../src/database/sqlite.ts';
import { SqliteMessageEngine } from '../../src/messages/engines/sqlite-engine.ts';
import { MessageStore } from '../../src/messages/message-store.ts';
import { WatchedSqlite } from './watched-sqlite.ts';

/** 40 streams of `test` and 10 of `other`, ten messages each. */
async function filled(sqlite: Sqlite): Promise<MessageStore> {
  const store = new MessageStore(new SqliteMessageEngine(sqlite));
  for (let stream = 0; stream < 50; stream += 1) {
    await store.write(
      `${stream < 40 ? 'test' : 'other'}-${stream}`,
      Array.from({ length: 10 }, (_, index) => ({
        type: index % 2 === 0 ? 'Even' : 'Odd',
        metadata: { correlationStreamName: 'workflow-1' },
      })),
    );
  }
  return store;
}

const SCAN = /^SCAN messages\b/;
const SCAN_OR_SORT = /^SCAN messages\b|TEMP B-TREE/;

class DiskFull extends Error {}

export const SQLITE_ENGINE_CASES: { name: string; run: (sqlite: Sqlite) => Promise<void> }[] = [
  {
    name: 'every read goes through an index, and none sorts or reads the whole table',
    async run(sqlite) {
      const watched = new WatchedSqlite(sqlite);
      const store = await filled(watched);
      watched.statements.length = 0;
      const consumer = { member: 0, size: 2 };
      const reads: [read: () => Promise<unknown>, plan: string][] = [
        [
          () => store.readStream('test-1', { position: 5n }),
          'INDEX messages_stream (stream=? AND position>?)',
        ],
        [() => store.readStream('test-1', { globalPosition: 5n }), 'INDEX messages_stream (stream=?)'],
        [
          () => store.readCategory('test', { globalPosition: 5n }),
          'INDEX messages_category (category=? AND rowid>?)',
        ],
        [
          () => store.readCategory('test', { correlation: 'workflow' }),
          'INDEX messages_correlation (category=? AND correlation=? AND rowid>?)',
        ],
        [() => store.readCategory('test', { consumer }), 'INDEX messages_category (category=? AND rowid>?)'],
        [() => store.readCategory('', { globalPosition: 5n }), 'USING INTEGER PRIMARY KEY (rowid>?)'],
        [() => store.last('test-1'), 'INDEX messages_stream (stream=?)'],
        [() => store.last('test-1', { type: 'Odd' }), 'INDEX messages_stream (stream=?)'],
        [() => store.version('test-1'), 'INDEX messages_stream (stream=?)'],
        [() => store.write('test-1', { type: 'A' }), 'INDEX messages_stream (stream=?)'],
        [() => store.listStreams({ prefix: 'te' }), 'INDEX messages_stream (stream>?)'],
        [() => store.listCategories(), 'INDEX messages_category (category>?)'],
      ];
      for (const [read, plan] of reads) {
        await read();
        const plans = watched.plans();
        expect(plans.join('\n')).toContain(plan);
        // A listing sorts the names of its page, at most 1,000; nothing sorts messages.
        const excluded = plan.includes('stream>?') || plan.includes('category>?') ? SCAN : SCAN_OR_SORT;
        for (const step of plans) expect(step).not.toMatch(excluded);
      }
      // The control: with the expression of EventoDB, the plan shows what is excluded above.
      watched.run(
        "select id from messages where substr(stream, 1, instr(stream || '-', '-') - 1) = ? order by time_us",
        'test',
      );
      expect(watched.plans()).toEqual([
        expect.stringMatching(/^SCAN messages/),
        expect.stringContaining('TEMP B-TREE'),
      ]);
    },
  },
  {
    name: 'every read of messages has a LIMIT in its statement',
    async run(sqlite) {
      const watched = new WatchedSqlite(sqlite);
      const store = await filled(watched);
      watched.statements.length = 0;
      await store.readStream('test-1', { batchSize: 3 });
      await store.readCategory('test', { batchSize: 3 });
      await store.readCategory('test', {
        batchSize: 3,
        correlation: 'workflow',
        consumer: { member: 0, size: 2 },
      });
      await store.readCategory('', { batchSize: 3 });
      expect(watched.statements).toHaveLength(4);
      for (const { text, bindings } of watched.statements) {
        expect(text).toMatch(/ limit \?$/);
        expect(bindings.at(-1)).toBe(3);
      }
    },
  },
  {
    name: 'a write of one message is at most four rows as they are billed: the message, and an entry in each of three indexes',
    async run(sqlite) {
      const store = await filled(sqlite);
      const before = sqlite.rowsWritten;
      await store.write('test-1', { type: 'A' });
      expect(sqlite.rowsWritten - before).toBeLessThanOrEqual(4);
    },
  },
  {
    name: 'a failure of the database rejects every write of its group, and nothing of the group is kept',
    async run(sqlite) {
      const watched = new WatchedSqlite(sqlite);
      const store = new MessageStore(new SqliteMessageEngine(watched));
      await store.write('a-1', { type: 'A' });
      let inserts = 0;
      watched.before = (text) => {
        if (!text.startsWith('insert into messages')) return;
        inserts += 1;
        if (inserts === 3) throw new DiskFull('no space left');
      };
      const outcomes = await Promise.allSettled(
        [1, 2, 3, 4].map((index) => store.write(`b-${index}`, { type: 'B' })),
      );
      expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason)).toEqual(
        Array(4).fill(expect.any(DiskFull)),
      );
      expect(await store.info()).toEqual({ messages: 1n, head: 1n });
      watched.before = () => {};
      expect(await store.write('b-1', { type: 'B' })).toEqual({ position: 0n, globalPosition: 2n });
    },
  },
  {
    name: 'messages outlive the engine; the tables are made once',
    async run(sqlite) {
      const store = await filled(sqlite);
      await store.import([
        {
          id: '00000000-0000-4000-8000-000000000001',
          streamName: 'gap-1',
          type: 'A',
          position: 7n,
          globalPosition: 1_000n,
          timeUs: 1,
        },
      ]);
      const again = new MessageStore(new SqliteMessageEngine(sqlite));
      expect(await again.info()).toEqual({ messages: 501n, head: 1_000n });
      expect(await again.write('gap-1', { type: 'A' })).toEqual({ position: 8n, globalPosition: 1_001n });
    },
  },
  {
    name: 'two engines on one database do not get in each other’s way',
    async run(sqlite) {
      const stores = [0, 1].map(() => new MessageStore(new SqliteMessageEngine(sqlite)));
      for (let index = 0; index < 6; index += 1) {
        const store = stores[index % 2] as MessageStore;
        expect(await store.write('a-1', { type: 'A' })).toEqual({
          position: BigInt(index),
          globalPosition: BigInt(index + 1),
        });
      }
      await stores[0]?.clear();
      expect(await stores[1]?.write('a-1', { type: 'A' })).toEqual({ position: 0n, globalPosition: 1n });
    },
  },
  {
    name: 'the clock is an argument; its fractions of a millisecond are kept',
    async run(sqlite) {
      let nowMs = 1_700_000_000_000.25;
      const store = new MessageStore(new SqliteMessageEngine(sqlite, { now: () => nowMs }));
      await store.write('a-1', { type: 'A' });
      nowMs += 0.001;
      await store.write('a-1', { type: 'A' });
      expect((await store.readStream('a-1')).map(({ timeUs }) => timeUs)).toEqual([
        1_700_000_000_000_250, 1_700_000_000_000_251,
      ]);
    },
  },
  {
    name: 'a database of version 1 is upgraded; one that is two versions ahead is refused',
    async run(sqlite) {
      await new MessageStore(new SqliteMessageEngine(sqlite)).write('a-1', { type: 'A' });
      // As the code of version 1 left it, which had the same tables.
      sqlite.run('drop table store_versions');
      const store = new MessageStore(new SqliteMessageEngine(sqlite));
      expect(sqlite.run('select store, version from store_versions')).toEqual([
        { store: 'messages', version: 2 },
      ]);
      expect(await store.write('a-1', { type: 'A' })).toEqual({ position: 1n, globalPosition: 2n });
      sqlite.run('update store_versions set version = 4');
      expect(() => new SqliteMessageEngine(sqlite)).toThrow('deploy a newer one');
    },
  },
];
