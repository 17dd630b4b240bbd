import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { AppendCommand, EventEngine, EventQuery, ReadEvents } from '../../../../src/events/engine.ts';
import { RecentAppends } from '../../../../src/events/engines/recent-appends.ts';
import { SqliteEventEngine } from '../../../../src/events/engines/sqlite-engine.ts';
import { NodeSqlite } from '../../../support/node-sqlite.ts';

/** Counts what the database is asked. */
class Counted implements EventEngine {
  readonly inner = new SqliteEventEngine(new NodeSqlite());
  reads = 0;

  append(commands: readonly AppendCommand[]) {
    return this.inner.append(commands);
  }

  read(read: ReadEvents) {
    this.reads += 1;
    return this.inner.read(read);
  }

  head() {
    return this.inner.head();
  }

  clear() {
    return this.inner.clear();
  }
}

let database: Counted;
let engine: RecentAppends;
beforeEach(() => {
  database = new Counted();
  engine = new RecentAppends(database);
});

function command(...tags: string[]): AppendCommand {
  const events = tags.map((tag) => ({ id: null, type: 'T', tags: [tag], data: '', metadata: null }));
  return { events, condition: null };
}

const ofTag = (tag: string): EventQuery => [{ types: [], tags: [tag] }];

/** Positions of what matches between the bounds, and whether the database was asked. */
async function look(query: EventQuery, after: number, before: number | null): Promise<[number[], boolean]> {
  const asked = database.reads;
  const records = await engine.read({
    query,
    after: BigInt(after),
    before: before === null ? null : BigInt(before),
    backwards: false,
    limit: 1_000_000,
  });
  return [records.map(({ position }) => Number(position)), database.reads > asked];
}

describe('what was appended just now', () => {
  it('is not asked for where nothing of it matches', async () => {
    await engine.append([command('a', 'b'), command('a')]);
    expect(await look(ofTag('c'), 0, 4)).toEqual([[], false]);
    expect(await look(ofTag('b'), 2, 4)).toEqual([[], false]);
    expect(await look([{ types: ['U'], tags: [] }], 0, 4)).toEqual([[], false]);
    expect(await look('all', 3, 4)).toEqual([[], false]);
    // The controls: something matches, or not all of it is known.
    expect(await look(ofTag('b'), 1, 4)).toEqual([[2], true]);
    expect(await look('all', 0, 4)).toEqual([[1, 2, 3], true]);
    expect(await look(ofTag('c'), 0, 5)).toEqual([[], true]);
    expect(await look(ofTag('c'), 0, null)).toEqual([[], true]);
  });

  it('is asked for where others have appended in between', async () => {
    await engine.append([command('a')]);
    await database.append([command('x')]);
    expect(await look(ofTag('x'), 0, 3)).toEqual([[2], true]);
    await engine.append([command('a')]);
    expect(await look(ofTag('x'), 0, 4)).toEqual([[2], true]);
    expect(await look(ofTag('x'), 2, 4)).toEqual([[], false]);
  });

  it('is forgotten when all is deleted', async () => {
    await engine.append([command('a', 'a')]);
    await engine.clear();
    await database.append([command('x', 'x')]);
    expect(await look(ofTag('x'), 0, 3)).toEqual([[1, 2], true]);
  });

  it('is forgotten when somebody else has deleted all, which the head tells', async () => {
    await engine.append([command('a', 'a', 'a')]);
    await database.clear();
    await database.append([command('x', 'x')]);
    expect(await engine.head()).toBe(2n);
    expect(await look(ofTag('x'), 0, 3)).toEqual([[1, 2], true]);
    // The control: a head that is where it was tells of nothing.
    await engine.append([command('a')]);
    expect(await engine.head()).toBe(3n);
    expect(await look(ofTag('x'), 2, 4)).toEqual([[], false]);
  });

  it('does not hold what was refused or repeated', async () => {
    const ids = {
      ...command('a'),
      events: command('a').events.map((one) => ({ ...one, id: crypto.randomUUID() })),
    };
    const refused = { ...command('b'), condition: { query: 'all' as const, after: 0n } };
    await engine.append([ids, refused, ids, command('c')]);
    expect(await look(ofTag('b'), 0, 3)).toEqual([[], false]);
    expect(await look(ofTag('c'), 0, 3)).toEqual([[2], true]);
    await engine.append([ids]);
    expect(await look(ofTag('x'), 0, 3)).toEqual([[], false]);
  });

  it('is forgotten where it is too much, the oldest first', async () => {
    await engine.append([command(...Array.from({ length: 5_000 }, () => 'a'))]);
    expect(await look(ofTag('b'), 0, 5_001)).toEqual([[], true]);
    expect(await look(ofTag('b'), 4_500, 5_001)).toEqual([[], false]);
    for (let n = 0; n < 2_000; n += 1) await engine.append([command('t'.repeat(255))]);
    expect(await look(ofTag('b'), 5_900, 7_001)).toEqual([[], true]);
    expect(await look(ofTag('b'), 6_700, 7_001)).toEqual([[], false]);
  });

  it('is never told wrongly', async () => {
    const tag = fc.constantFrom('a', 'b', 'c');
    const step = fc.oneof(
      fc.record({
        kind: fc.constantFrom('here', 'elsewhere'),
        tags: fc.array(tag, { minLength: 1, maxLength: 4 }),
      }),
      fc.record({ kind: fc.constant('read'), tag, after: fc.nat(30), count: fc.nat(10) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        database = new Counted();
        engine = new RecentAppends(database);
        for (const one of steps) {
          if ('count' in one) {
            const [found] = await look(ofTag(one.tag), one.after, one.after + one.count);
            const all = await database.inner.read({
              query: ofTag(one.tag),
              after: BigInt(one.after),
              before: BigInt(one.after + one.count),
              backwards: false,
              limit: 1_000,
            });
            expect(found).toEqual(all.map(({ position }) => Number(position)));
          } else {
            await (one.kind === 'here' ? engine : database).append([command(...one.tags)]);
          }
        }
      }),
    );
  });
});
