/** What the event engine does with an SQLite database, whichever it is: run on Node's, and on that of a real Durable Object. */

import { expect } from 'vitest';
import type { Sqlite } from '../../src/database/sqlite.ts';
import { SqliteEventEngine } from '../../src/events/engines/sqlite-engine.ts';
import type { NewEvent, QueryInput, ReadOptions } from '../../src/events/event.ts';
import { EventStore } from '../../src/events/event-store.ts';
import { WatchedSqlite } from './watched-sqlite.ts';

/** 2,000 events: every one has the tag `hot`, and one of a hundred tags; four types. */
async function filled(sqlite: Sqlite): Promise<EventStore> {
  const store = new EventStore(new SqliteEventEngine(sqlite));
  await store.append(
    Array.from(
      { length: 2_000 },
      (_, n): NewEvent => ({
        type: `T${n % 4}`,
        tags: ['hot', `n:${n % 100}`],
      }),
    ),
  );
  return store;
}

const SCAN_OR_SORT = /^SCAN (e|t|own|events|event_tags)\b|TEMP B-TREE/;

const KEY = 'event_tags USING PRIMARY KEY (tag=? AND type=? AND position>? AND position<?)';

class DiskFull extends Error {}

export const SQLITE_EVENT_CASES: { name: string; run: (sqlite: Sqlite) => Promise<void> }[] = [
  {
    name: 'every read and every condition goes through a key, and none sorts or reads the whole table',
    async run(sqlite) {
      const watched = new WatchedSqlite(sqlite);
      const store = await filled(watched);
      const queries: [query: QueryInput, plan: string][] = [
        ['all', 'SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)'],
        [[{ types: ['T1'] }], 'USING PRIMARY KEY (tag=? AND type=? AND position>? AND position<?)'],
        [[{ types: ['T1', 'T2'] }], KEY],
        [
          [{ types: ['T1'], tags: ['n:1'] }],
          'USING PRIMARY KEY (tag=? AND type=? AND position>? AND position<?)',
        ],
        [[{ tags: ['n:1'] }], 'USING PRIMARY KEY (tag=? AND type>?)'],
        [[{ tags: ['hot', 'n:1'] }], KEY],
        [[{ tags: ['n:1'] }, { types: ['T1'], tags: ['n:5', 'hot'] }], KEY],
      ];
      for (const [query, plan] of queries) {
        const optionsOfReads: ReadOptions[] = [
          {},
          { backwards: true },
          { after: 100n, before: 1_500n, limit: 3 },
          { maxBytes: 1_000 },
        ];
        for (const options of optionsOfReads) {
          watched.statements.length = 0;
          await store.read(query, options);
          const plans = watched.plans();
          expect(plans.join('\n'), JSON.stringify(query)).toContain(plan);
          for (const step of plans) expect(step).not.toMatch(SCAN_OR_SORT);
        }
        for (const after of [0n, 1_990n]) {
          watched.statements.length = 0;
          await store.append({ type: 'Other' }, { failIfEventsMatch: query, after }).catch(() => {});
          for (const step of watched.plans()) expect(step).not.toMatch(SCAN_OR_SORT);
        }
      }
      watched.statements.length = 0;
      const id = '00000000-0000-4000-8000-000000000001';
      const other = '00000000-0000-4000-8000-000000000002';
      await store.append({ type: 'A', id });
      await store
        .append([
          { type: 'A', id: other },
          { type: 'A', id },
        ])
        .catch(() => {});
      const plans = watched.plans();
      expect(plans.filter((step) => / events_id \(id=\?\)/.test(step))).toHaveLength(2);
      for (const step of plans) expect(step).not.toMatch(SCAN_OR_SORT);
      // The control: a statement that looks at the tags of each event shows what is excluded above.
      watched.run('select position from events where tags like ? order by type', '%n:1%');
      expect(watched.plans()).toEqual([
        expect.stringMatching(/^SCAN events/),
        expect.stringContaining('TEMP B-TREE'),
      ]);
    },
  },
  {
    name: 'the plans stay the same with statistics',
    async run(sqlite) {
      const watched = new WatchedSqlite(sqlite);
      const store = await filled(watched);
      const plansOf = async (): Promise<string[]> => {
        watched.statements.length = 0;
        for (const query of [[{ types: ['T1'] }], [{ tags: ['hot', 'n:1'] }], [{ tags: ['n:1'] }]] as const)
          await store.read(query);
        return watched.plans();
      };
      const before = await plansOf();
      watched.run('analyze');
      expect(await plansOf()).toEqual(before);
    },
  },
  {
    name: 'a read of many ranges hands over its positions in lists of bounded length',
    async run(sqlite) {
      const watched = new WatchedSqlite(sqlite);
      const store = new EventStore(new SqliteEventEngine(watched));
      const types = Array.from({ length: 100 }, (_, n) => `T${n}`);
      for (let part = 0; part < 2; part += 1)
        await store.append(Array.from({ length: 6_000 }, (_, n) => ({ type: types[n % 100] as string })));
      for (const backwards of [false, true]) {
        watched.statements.length = 0;
        const found = await store.read([{ types }], { limit: 'unlimited', backwards });
        expect(found.map(({ position }) => Number(position))).toEqual(
          Array.from({ length: 12_000 }, (_, n) => (backwards ? 12_000 - n : n + 1)),
        );
        const lengths = watched.statements.flatMap(({ bindings }) =>
          bindings.map((binding) => (typeof binding === 'string' ? binding.length : 0)),
        );
        // A position of the largest kind takes 17 characters.
        expect(Math.max(...lengths)).toBeLessThan(4_096 * 17);
      }
    },
  },
  {
    name: 'a condition takes as many statements on a tag that every event has as on one that few have',
    async run(sqlite) {
      const watched = new WatchedSqlite(sqlite);
      const store = await filled(watched);
      const statementsOf = async (query: QueryInput, after: bigint): Promise<number> => {
        watched.statements.length = 0;
        await store.append({ type: 'Other' }, { failIfEventsMatch: query, after }).catch(() => {});
        return watched.statements.filter(({ text }) => !text.startsWith('insert')).length;
      };
      // The head, and one look.
      expect(await statementsOf([{ types: ['T1'], tags: ['hot'] }], 0n)).toBe(2);
      expect(await statementsOf([{ types: ['T1'], tags: ['n:1'] }], 0n)).toBe(2);
      expect(await statementsOf([{ types: ['T1'] }], 0n)).toBe(2);
      // Nothing is behind its position: one look says so, whatever else the item asks for.
      const head = await store.head();
      expect(await statementsOf([{ types: ['T1'], tags: ['hot', 'n:1'] }], head - 1n)).toBe(2);
      // A condition behind the end needs none, and neither does one on all events.
      expect(await statementsOf([{ tags: ['hot'] }], 1_000_000n)).toBe(1);
      expect(await statementsOf('all', 0n)).toBe(1);
    },
  },
  {
    name: 'tags in common are found by looks, at most as many rounds as the rarest tag has events',
    async run(sqlite) {
      const watched = new WatchedSqlite(sqlite);
      const store = new EventStore(new SqliteEventEngine(watched));
      // Two tags that never meet: one on nearly all events, the other on three.
      const rare = [500, 1_000, 1_500];
      await store.append(
        Array.from(
          { length: 2_000 },
          (_, n): NewEvent => ({
            type: 'A',
            tags: rare.includes(n + 1) ? ['rare'] : ['hot'],
          }),
        ),
      );
      for (const tags of [
        ['hot', 'rare'],
        ['rare', 'hot'],
      ]) {
        watched.statements.length = 0;
        expect(await store.read([{ types: ['A'], tags }])).toEqual([]);
        const recursive = watched.statements.find(({ text }) => text.startsWith('with recursive steps'));
        // How many looks the statement made: the steps of its recursion.
        const { text, bindings } = recursive as { text: string; bindings: (string | number | null)[] };
        const counting = text.replace(/select position from steps where .*$/, 'select count(*) from steps');
        expect(counting).not.toBe(text);
        const [[steps] = [0]] = sqlite.rows<[number]>(`${counting} limit ?4`, ...bindings);
        expect(steps).toBeGreaterThan(3);
        expect(steps).toBeLessThan(12);
      }
    },
  },
  {
    name: 'every read of events has a limit in its statement',
    async run(sqlite) {
      const watched = new WatchedSqlite(sqlite);
      const store = await filled(watched);
      watched.statements.length = 0;
      await store.read('all', { limit: 3 });
      await store.read([{ types: ['T1'] }], { limit: 3 });
      expect(watched.statements).toHaveLength(2);
      for (const { text, bindings } of watched.statements) {
        expect(text).toMatch(/ limit \?$/);
        expect(bindings.at(-1)).toBe(3);
      }
      // Where several ranges are joined, each is read in parts.
      watched.statements.length = 0;
      expect(await store.read([{ types: ['T1', 'T2'] }], { limit: 'unlimited' })).toHaveLength(1_000);
      for (const { text, bindings } of watched.statements.filter(({ text }) =>
        text.includes('from event_tags'),
      )) {
        expect(text).toMatch(/ limit \?$/);
        expect(bindings.at(-1)).toBeLessThanOrEqual(1_024);
      }
    },
  },
  {
    name: 'what others append between two statements of a read is not seen by the later one alone',
    async run(sqlite) {
      const watched = new WatchedSqlite(sqlite);
      const store = await filled(watched);
      const other = new SqliteEventEngine(sqlite);
      const queries: QueryInput[] = [
        [{ types: ['T0', 'T1'] }],
        [{ types: ['T0'], tags: ['n:0'] }, { types: ['T1'] }],
        [{ tags: ['hot'] }],
        [{ types: ['T1', 'T0'], tags: ['hot', 'n:0'] }],
      ];
      for (const query of queries) {
        let appended: Promise<unknown> | undefined;
        let looks = 0;
        const head = await other.head();
        // An engine has written when its call returns: nothing in it waits.
        watched.before = (text) => {
          if (!text.startsWith('select position from event_tags')) return;
          looks += 1;
          // Behind the first range, and before the second.
          if (looks !== 2) return;
          const event = { id: null, tags: ['hot', 'n:0'], data: '', metadata: null };
          appended = other.append([
            {
              events: [
                { ...event, type: 'T0' },
                { ...event, type: 'T1' },
              ],
              condition: null,
            },
          ]);
        };
        const during = await store.readRecords(query, { after: head - 50n });
        watched.before = () => {};
        expect(await appended, 'somebody has appended').toMatchObject([{ position: head + 2n }]);
        const positions = during.map(({ position }) => position);
        expect(positions.includes(head + 2n)).toBe(positions.includes(head + 1n));
        const behind = await store.readRecords(query, { after: head });
        expect(behind.length, 'the control').toBeGreaterThan(0);
      }
    },
  },
  {
    name: 'an event costs, as it is billed, one row for itself, one for its type, and one for each of its tags and its id',
    async run(sqlite) {
      const store = await filled(sqlite);
      const rowsOf = async (event: NewEvent): Promise<number> => {
        const before = sqlite.rowsWritten;
        await store.append(event, { failIfEventsMatch: [{ tags: ['none'] }] });
        return sqlite.rowsWritten - before;
      };
      expect(await rowsOf({ type: 'A' })).toBeLessThanOrEqual(2);
      expect(await rowsOf({ type: 'A', tags: ['a', 'b', 'c'] })).toBeLessThanOrEqual(5);
      expect(
        await rowsOf({ type: 'A', tags: ['a'], id: '00000000-0000-4000-8000-000000000001' }),
      ).toBeLessThanOrEqual(4);
    },
  },
  {
    name: 'a failure of the database rejects every append of its group, and nothing of the group is kept',
    async run(sqlite) {
      const watched = new WatchedSqlite(sqlite);
      const store = new EventStore(new SqliteEventEngine(watched));
      await store.append({ type: 'A', tags: ['a'] });
      let inserts = 0;
      watched.before = (text) => {
        if (!text.startsWith('insert into event_tags')) return;
        inserts += 1;
        if (inserts === 3) throw new DiskFull('no space left');
      };
      const outcomes = await Promise.allSettled(
        [1, 2, 3, 4].map((n) => store.append({ type: 'B', tags: [`b:${n}`] })),
      );
      expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason)).toEqual(
        Array(4).fill(expect.any(DiskFull)),
      );
      expect(await store.head()).toBe(1n);
      expect(await store.read([{ types: ['B'] }, { tags: ['b:1'] }])).toEqual([]);
      watched.before = () => {};
      expect(await store.append({ type: 'B' }, { failIfEventsMatch: [{ types: ['B'] }] })).toMatchObject({
        position: 2n,
      });
    },
  },
  {
    name: 'events outlive the engine; the tables are made once, beside those of the message store',
    async run(sqlite) {
      await filled(sqlite);
      const again = new EventStore(new SqliteEventEngine(sqlite));
      expect(await again.head()).toBe(2_000n);
      expect(await again.read([{ tags: ['n:99', 'hot'] }], { limit: 1 })).toMatchObject([{ position: 100n }]);
    },
  },
  {
    name: 'the clock is an argument; its fractions of a millisecond are kept',
    async run(sqlite) {
      let nowMs = 1_700_000_000_000.25;
      const store = new EventStore(new SqliteEventEngine(sqlite, { now: () => nowMs }));
      await store.append({ type: 'A' });
      nowMs += 0.001;
      await store.append({ type: 'A' });
      expect((await store.read('all')).map(({ timeUs }) => timeUs)).toEqual([
        1_700_000_000_000_250, 1_700_000_000_000_251,
      ]);
    },
  },
];
