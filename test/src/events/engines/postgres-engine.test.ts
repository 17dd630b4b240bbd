/** What is Postgres's own in the event store: groups in one call, reads by postings, texts of any characters. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Connection } from '../../../../src/database/connection.ts';
import type { ConnectionLender } from '../../../../src/database/connection-pool.ts';
import type { AppendCommand, EventQuery } from '../../../../src/events/engine.ts';
import { PostgresEventEngine } from '../../../../src/events/engines/postgres-engine.ts';
import { rowsOf } from '../../../support/connect.ts';
import { TEST_LIMIT_MS } from '../../../support/patience.ts';
import { storeDatabase } from '../../store/postgres-support.ts';
import { command, EventModel, event, idOf, item, positionsOf, reading, upTo } from '../event-commands.ts';

const postgres = storeDatabase();

async function eventEngine(size?: number): Promise<PostgresEventEngine> {
  return new PostgresEventEngine({ connections: postgres.pool(size), schema: await postgres.namespace() });
}

const withoutTime = <Row extends { timeUs: number }>({ timeUs: _, ...rest }: Row): Omit<Row, 'timeUs'> =>
  rest;

describe('any group', () => {
  const TYPES = ['A', 'B', 'C'];
  const TAGS = ['x', 'y', 'z', 'a "b", {c}\\'];
  const tags = fc.subarray(TAGS);
  const anItem = fc
    .record({ types: fc.subarray(TYPES), tags })
    .filter((one) => one.types.length + one.tags.length > 0);
  const query: fc.Arbitrary<EventQuery> = fc.oneof(
    { weight: 12, arbitrary: fc.array(anItem, { minLength: 1, maxLength: 3 }) },
    { weight: 1, arbitrary: fc.constant<EventQuery>('all') },
  );
  const events = fc.array(fc.record({ type: fc.constantFrom(...TYPES), tags }), {
    minLength: 1,
    maxLength: 4,
  });
  const aCommand = fc
    .record({
      events,
      // Few, so that they meet each other.
      firstId: fc.option(fc.integer({ min: 1, max: 12 }), { freq: 3, nil: undefined }),
      condition: fc.option(fc.record({ query, after: fc.bigInt({ min: 0n, max: 12n }) }), { freq: 3 }),
    })
    .map(
      ({ firstId, condition, ...one }): AppendCommand => ({
        events: one.events.map(({ type, tags }, index) =>
          event(type, tags, {
            id: firstId === undefined ? null : idOf(firstId + index),
            data: `${type} ${index}`,
          }),
        ),
        condition,
      }),
    );
  const groups = fc.array(fc.array(aCommand, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 });
  const reads = fc.array(
    fc.record({
      query,
      after: fc.bigInt({ min: 0n, max: 20n }),
      before: fc.option(fc.bigInt({ min: 0n, max: 20n })),
      backwards: fc.boolean(),
      limit: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constant(Number.POSITIVE_INFINITY)),
    }),
    { minLength: 8, maxLength: 8 },
  );

  test('gives what its commands give one by one in a list, and any read what the list gives', async () => {
    const engine = await eventEngine(1);
    const kinds = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(groups, reads, async (drawn, asked) => {
        await engine.clear();
        const model = new EventModel();
        for (const group of drawn) {
          const verdicts = await engine.append(group);
          expect(verdicts).toEqual(group.map((one) => model.append(one)));
          for (const { kind } of verdicts) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
        }
        expect(await engine.head()).toBe(BigInt(model.events.length));
        expect((await engine.read(reading('all'))).map(withoutTime)).toEqual(model.events);
        for (const one of asked) expect((await engine.read(one)).map(withoutTime)).toEqual(model.read(one));
      }),
      { numRuns: 200 },
    );
    // The control: it saw every verdict.
    expect([...kinds.keys()].sort()).toEqual(['appended', 'conflict', 'duplicate_id']);
  });
});

describe('a group', () => {
  test('of mixed verdicts: each command meets what the ones before it have written, and a refusal is only its own', async () => {
    const engine = await eventEngine();
    await engine.append([command(event('Defined', ['course:1'], { id: idOf(1) }))]);
    const booked = (course: number, student: number) =>
      event('Booked', [`course:${course}`, `student:${student}`]);
    expect(
      await engine.append([
        command(booked(1, 1), [item(['Booked'], ['course:1', 'student:1'])]),
        // Its match came with the group.
        command(booked(1, 1), [item(['Booked'], ['course:1', 'student:1'])]),
        command([booked(1, 2), booked(1, 3)], [item(['Full'])]),
        // Refused, so that its events are no matches for the next.
        command([booked(2, 1), event('Full')], [item(['Defined'])]),
        command(booked(2, 2), [item(['Full']), item([], ['course:2'])]),
        command(booked(2, 3), [item([], ['course:2'])]),
        // Behind all that is there.
        command(booked(2, 4), 'all', 1_000n),
        command(booked(2, 5), 'all', 5n),
        command(event('Defined', [], { id: idOf(1) }), 'all'),
        command([event('Defined', [], { id: idOf(1) }), event('Defined', [], { id: idOf(2) })]),
        command(event('Last')),
      ]),
    ).toEqual([
      { kind: 'appended', position: 2n, isRepeated: false },
      { kind: 'conflict', position: 2n },
      { kind: 'appended', position: 4n, isRepeated: false },
      { kind: 'conflict', position: 1n },
      { kind: 'appended', position: 5n, isRepeated: false },
      { kind: 'conflict', position: 5n },
      { kind: 'appended', position: 6n, isRepeated: false },
      { kind: 'conflict', position: 6n },
      { kind: 'appended', position: 1n, isRepeated: true },
      { kind: 'duplicate_id', id: idOf(1) },
      { kind: 'appended', position: 7n, isRepeated: false },
    ]);
    const stored = await engine.read(reading('all'));
    expect(positionsOf(stored)).toEqual(upTo(7));
    expect(stored.map(({ tags }) => tags.at(-1))).toEqual([
      'course:1',
      'student:1',
      'student:2',
      'student:3',
      'student:2',
      'student:4',
      undefined,
    ]);
    const times = stored.map(({ timeUs }) => timeUs);
    expect(times).toEqual(times.toSorted((left, right) => left - right));
  });

  test('asks for one item from several positions on, each for itself', async () => {
    const engine = await eventEngine();
    const query = [item([], ['x', 'y'])];
    await engine.append([command([event('A', ['x', 'y']), event('B'), event('A', ['y', 'x'])])]);
    const afters = [3n, 0n, 2n, 1n, 5n];
    expect(await engine.append(afters.map((after) => command(event('B'), query, after)))).toEqual([
      { kind: 'appended', position: 4n, isRepeated: false },
      { kind: 'conflict', position: 1n },
      { kind: 'conflict', position: 3n },
      { kind: 'conflict', position: 3n },
      { kind: 'appended', position: 5n, isRepeated: false },
    ]);
  });

  test('of two thousand commands with a condition each goes as one call', async () => {
    const schema = await postgres.namespace();
    const engine = new PostgresEventEngine({ connections: postgres.pool(), schema });
    const commands = upTo(2_000).map((n) =>
      command(event('Claimed', [`name:${n % 1_500}`, 'kind:user']), [
        item(['Claimed'], [`name:${n % 1_500}`, 'kind:user']),
        item(['Closed']),
      ]),
    );
    const verdicts = await engine.append(commands);
    expect(verdicts.map(({ kind }) => kind)).toEqual([
      ...new Array(1_500).fill('appended'),
      ...new Array(500).fill('conflict'),
    ]);
    expect(verdicts[1_999]).toEqual({ kind: 'conflict', position: 500n });
    expect(
      await rowsOf(
        postgres.connection,
        `select count(distinct xmin::text)::int as n from "${schema}".events`,
      ),
    ).toEqual([{ n: 1 }]);
  });

  test('where one command repeats the ids of another, sees what became of that one; all in one transaction', async () => {
    const schema = await postgres.namespace();
    const engine = new PostgresEventEngine({ connections: postgres.pool(), schema });
    const withIds = (...ids: number[]) => ids.map((id) => event('Happened', [], { id: idOf(id) }));
    expect(
      await engine.append([
        command(withIds(1, 2)),
        command(withIds(2, 1)),
        command(withIds(2, 3)),
        command(withIds(3), 'all'),
        // Free again: the one before was refused.
        command(withIds(3)),
        command(withIds(3), 'all'),
      ]),
    ).toEqual([
      { kind: 'appended', position: 2n, isRepeated: false },
      { kind: 'appended', position: 2n, isRepeated: true },
      { kind: 'duplicate_id', id: idOf(2) },
      { kind: 'conflict', position: 1n },
      { kind: 'appended', position: 3n, isRepeated: false },
      { kind: 'appended', position: 3n, isRepeated: true },
    ]);
    expect(
      await rowsOf(
        postgres.connection,
        `select count(distinct xmin::text)::int as n from "${schema}".events`,
      ),
    ).toEqual([{ n: 1 }]);
    // Of such a group nothing is left where a part of it fails: no id of Postgres, which the store would not have let through.
    await expect(
      engine.append([
        command(withIds(4)),
        command(withIds(4)),
        command([event('Happened', [], { id: 'none' })]),
        command([event('Happened', [], { id: 'none' })]),
      ]),
    ).rejects.toMatchObject({ code: 'database_refused', details: { sqlState: '22P02' } });
    expect(await engine.head()).toBe(3n);
    expect(await engine.append([command(withIds(5))])).toMatchObject([{ position: 4n }]);
  });

  test('of nothing asks nobody', async () => {
    const lender: ConnectionLender = {
      use: (work) => work(undefined as unknown as Connection) as Promise<never>,
    };
    expect(await new PostgresEventEngine({ connections: lender, schema: 's' }).append([])).toEqual([]);
  });
});

describe("go-crablet's defects", () => {
  test('a condition of all events is checked: nothing is appended where anything is', async () => {
    const engine = await eventEngine();
    expect(await engine.append([command(event(), 'all')])).toMatchObject([{ kind: 'appended' }]);
    expect(await engine.append([command(event(), 'all')])).toEqual([{ kind: 'conflict', position: 1n }]);
    expect(await engine.append([command([event(), event()], 'all')])).toEqual([
      { kind: 'conflict', position: 1n },
    ]);
    expect(await engine.append([command(event(), 'all', 1n)])).toMatchObject([{ kind: 'appended' }]);
    // An item of all events among others is not dropped.
    expect(await engine.append([command(event(), [item(['None']), item([])])])).toEqual([
      { kind: 'conflict', position: 1n },
    ]);
  });

  test('items are joined by OR, and are not flattened to all types with all tags', async () => {
    const engine = await eventEngine();
    const query = [item(['A'], ['x']), item(['B'], ['y', 'z'])];
    await engine.append([command([event('A', ['y', 'z']), event('B', ['x', 'y']), event('A'), event('B')])]);
    // None of these matches; the flattened query would not either.
    expect(await engine.append([command(event('C'), query)])).toMatchObject([{ kind: 'appended' }]);
    await engine.append([command(event('B', ['y', 'z']))]);
    // The flattened query, A or B with x, y and z, misses this one.
    expect(await engine.append([command(event('C'), query)])).toEqual([{ kind: 'conflict', position: 6n }]);
    expect(positionsOf(await engine.read(reading(query)))).toEqual([6]);
  });

  test('an item of any type is not narrowed by the types of another', async () => {
    const engine = await eventEngine();
    for (const query of [
      [item([], ['x']), item(['A'], ['x'])],
      [item(['A'], ['x']), item([], ['x'])],
    ]) {
      await engine.clear();
      await engine.append([command([event('B', ['x']), event('A', ['x'])])]);
      expect(positionsOf(await engine.read(reading(query)))).toEqual([1, 2]);
      expect(await engine.append([command(event('C'), query)])).toEqual([{ kind: 'conflict', position: 1n }]);
      expect(await engine.append([command(event('C'), query, 2n)])).toMatchObject([{ kind: 'appended' }]);
    }
  });

  test('a read that fails says so, and does not look like the end of the events', async () => {
    const schema = await postgres.namespace();
    const pool = postgres.pool(1);
    const engine = new PostgresEventEngine({ connections: pool, schema });
    await engine.append([command(event())]);
    await rowsOf(postgres.connection, `alter table "${schema}".events rename column data to other`);
    await expect(engine.read(reading('all'))).rejects.toMatchObject({
      code: 'database_refused',
      details: { sqlState: '42703' },
    });
    await rowsOf(postgres.connection, `alter table "${schema}".events rename column other to data`);
    expect(await engine.read(reading('all'))).toHaveLength(1);
  });

  test('tags of any characters are found by exactly themselves, alone, with others and in groups', async () => {
    const engine = await eventEngine();
    const strange = [
      '"',
      '""',
      "'",
      '\\',
      '\\\\',
      '{',
      '}',
      '{}',
      '{"a","b"}',
      ',',
      'a,b',
      'NULL',
      'null',
      ' ',
      ' a',
      'a',
      '\n',
      '\t',
      '\u0001',
      'é',
      'e\u0301',
      '😀',
      ';',
      '$1',
      '%',
      '_',
      '*',
      'key:"va\\lue", {x}',
    ];
    const both = (tag: string, other: string) =>
      event(`Type ${tag}`, [tag, `with ${other}`, other].slice(0, 3));
    await engine.append([
      command(strange.map((tag) => event(`Type ${tag}`, [tag]))),
      ...strange.map((tag) => command(both(tag, 'other'))),
    ]);
    for (const tag of strange) await engine.append([command(both(tag, 'third'))]);
    const count = strange.length;
    for (const [index, tag] of strange.entries()) {
      const positions = [index + 1, count + index + 1, 2 * count + index + 1];
      for (const [query, found] of [
        [[item([], [tag])], positions],
        [[item([`Type ${tag}`])], positions],
        [[item([`Type ${tag}`], [tag])], positions],
        [[item([], [tag, 'other'])], [positions[1]]],
        [[item([`Type ${tag}`], [tag, 'third'])], [positions[2]]],
      ] as const) {
        const records = await engine.read(reading(query));
        expect(positionsOf(records), JSON.stringify(query)).toEqual(found);
        for (const record of records) {
          expect(record.type).toBe(`Type ${tag}`);
          expect(record.tags[0]).toBe(tag);
        }
        const refused = [command(event(), query), command([event(), event()], query)];
        for (const one of refused)
          expect(await engine.append([one])).toEqual([{ kind: 'conflict', position: BigInt(found[0] ?? 0) }]);
      }
    }
  });
});

describe('data', () => {
  test('that hold every separator there might be cost no more than others', async () => {
    const engine = await eventEngine();
    // As one request over HTTP may send it. To look for one candidate after the other took minutes.
    const texts = upTo(4).map((part) =>
      upTo(100_000)
        .map((number) => `\u0001${part * 100_000 + number - 100_001}\u0002`)
        .join(''),
    );
    texts[0] += '\n';
    const events = texts.map((data) => event('A', [], { data }));
    await engine.append([command([...events, event('A', [], { data: 'last' })])]);
    const read = await engine.read(reading('all'));
    expect(read.map(({ data }) => data)).toEqual([...texts, 'last']);
  });

  test('and metadata of any characters come back as they are, whatever stands between them on the way', async () => {
    const engine = await eventEngine();
    const texts = [
      '',
      ' ',
      '\n',
      '\n\n',
      'a\nb',
      '\u0001',
      '\u00010\u0002',
      '\u00010',
      '\u0002',
      '\u00011\u0002',
    ];
    const more = ['\\', '\\n', '"', "'", '{}', 'NULL', 'é😀', '\r\n', '\t', 'x'.repeat(100_000)];
    const all = [...texts, ...more].map((data, index) =>
      event('Happened', [], { data, metadata: index % 2 === 0 ? null : `{"a":\n"${index}"}` }),
    );
    await engine.append([command(all)]);
    await engine.append(all.map((one) => command(one)));
    for (const one of all) await engine.append([command(one)]);
    for (const data of texts) await engine.append([command([event('H', [], { data })]), command(event())]);
    const stored = await engine.read(reading('all'));
    for (let round = 0; round < 3; round += 1)
      for (const [index, one] of all.entries())
        expect(stored[round * all.length + index]).toMatchObject({ data: one.data, metadata: one.metadata });
    expect(stored.slice(3 * all.length).map(({ data }) => data)).toEqual(
      texts.flatMap((data) => [data, '{}']),
    );
  });
});

describe('reading', () => {
  // 1 A x, 2 B x y, 3 A y, 4 C, 5 B x, then a batch: 6 A x y, 7 A x, 8 B y, 9 A x, 10 A z
  async function filled(): Promise<PostgresEventEngine> {
    const engine = await eventEngine();
    const one = (type: string, ...tags: string[]) => event(type, tags);
    for (const single of [one('A', 'x'), one('B', 'x', 'y'), one('A', 'y'), one('C'), one('B', 'x')])
      await engine.append([command(single)]);
    await engine.append([
      command([one('A', 'x', 'y'), one('A', 'x'), one('B', 'y'), one('A', 'x'), one('A', 'z')]),
    ]);
    return engine;
  }

  test.each<[string, EventQuery, number[]]>([
    ['all', 'all', upTo(10)],
    ['one type', [item(['A'])], [1, 3, 6, 7, 9, 10]],
    ['types', [item(['A', 'C'])], [1, 3, 4, 6, 7, 9, 10]],
    ['one tag', [item([], ['x'])], [1, 2, 5, 6, 7, 9]],
    ['a type with a tag', [item(['A'], ['x'])], [1, 6, 7, 9]],
    ['types with a tag', [item(['B', 'A'], ['y'])], [2, 3, 6, 8]],
    ['several tags', [item([], ['x', 'y'])], [2, 6]],
    ['a type with several tags', [item(['B'], ['y', 'x'])], [2]],
    [
      'items that overlap, without doubles',
      [item(['A']), item([], ['x']), item(['A'], ['x', 'y'])],
      [1, 2, 3, 5, 6, 7, 9, 10],
    ],
    ['items that are joined', [item(['C']), item(['A'], ['x', 'y']), item([], ['z'])], [4, 6, 10]],
    ['nothing', [item(['D']), item([], ['w']), item(['A'], ['w', 'x'])], []],
  ])(
    '%s: forwards, backwards, behind and before a position, and as many as asked for',
    async (_, query, found) => {
      const engine = await filled();
      const read = async (changes: Parameters<typeof reading>[1]) =>
        positionsOf(await engine.read(reading(query, changes)));
      expect(await read({})).toEqual(found);
      expect(await read({ backwards: true })).toEqual(found.toReversed());
      for (let after = 0; after <= 12; after += 1) {
        for (let before = 0; before <= 12; before += 1) {
          const within = found.filter((position) => position > after && position < before);
          const bounds = { after: BigInt(after), before: BigInt(before) };
          expect(await read(bounds)).toEqual(within);
          expect(await read({ ...bounds, limit: 2 })).toEqual(within.slice(0, 2));
          expect(await read({ ...bounds, limit: 2, backwards: true })).toEqual(
            within.toReversed().slice(0, 2),
          );
        }
        const rest = found.filter((position) => position > after);
        expect(await read({ after: BigInt(after), limit: 3 })).toEqual(rest.slice(0, 3));
        expect(await read({ after: BigInt(after), limit: 1, backwards: true })).toEqual(rest.slice(-1));
      }
    },
  );

  test('a page that ends before a position is full, wherever that is', async () => {
    const engine = await eventEngine();
    for (let n = 1; n <= 10; n += 1) await engine.append([command(event('A', ['x']))]);
    await engine.append([command(upTo(5).map(() => event('A', ['x'])))]);
    for (const query of [[item([], ['x'])], [item(['A'], ['x']), item(['A'])]])
      for (let before = 1; before <= 17; before += 1)
        for (let limit = 1; limit <= 6; limit += 1)
          expect(
            positionsOf(
              await engine.read(reading(query, { before: BigInt(before), backwards: true, limit })),
            ),
          ).toEqual(
            upTo(Math.min(before - 1, 15))
              .toReversed()
              .slice(0, limit),
          );
  });

  test('a tag with few postings, and one with many, of any type: every page is the same as that of a list', async () => {
    const engine = await eventEngine();
    const model = new EventModel();
    const append = async (one: AppendCommand) => {
      await engine.append([one]);
      model.append(one);
    };
    const query = [item([], ['x'])];
    const check = async () => {
      for (const limit of [1, 127, 128, 200, Number.POSITIVE_INFINITY])
        for (const backwards of [false, true])
          for (const bounds of [{}, { after: 40n }, { before: 200n }, { after: 10n, before: 190n }]) {
            const read = reading(query, { ...bounds, limit, backwards });
            expect(positionsOf(await engine.read(read))).toEqual(positionsOf(model.read(read)));
          }
    };
    const singles = async (count: number) => {
      for (let n = 0; n < count; n += 1) {
        await append(command(event(`T${n % 3}`, ['x'])));
        if (n % 2 === 0) await append(command(event('T0', ['y'])));
      }
    };
    await singles(127);
    await check();
    await singles(1);
    await check();
    await singles(30);
    await append(command(upTo(40).map((n) => event(`T${n % 5}`, n % 2 === 0 ? ['x'] : ['x', 'y']))));
    await check();
  });

  test('positions up to the highest there can be are bounds', async () => {
    const engine = await filled();
    const highest = 9_223_372_036_854_775_807n;
    expect(await engine.read(reading('all', { after: highest }))).toEqual([]);
    expect(await engine.read(reading([item([], ['x'])], { after: highest }))).toEqual([]);
    expect(await engine.read(reading([item([], ['x'])], { before: highest }))).toHaveLength(6);
    expect(await engine.append([command(event('A', ['x']), [item([], ['x'])], highest)])).toMatchObject([
      { kind: 'appended', position: 11n },
    ]);
  });

  test('every field comes back', async () => {
    const engine = await eventEngine();
    const before = Date.now() * 1_000;
    const full = event('Opened', ['b:2', 'a:1'], { id: idOf(7), data: '{"n":1}', metadata: '{"by":"é"}' });
    await engine.append([command(full)]);
    await engine.append([command([full, event('Bare')].map((one) => ({ ...one, id: null })))]);
    const stored = await engine.read(reading('all'));
    expect(stored.map(withoutTime)).toEqual([
      { ...full, position: 1n },
      { ...full, id: null, position: 2n },
      { ...event('Bare'), position: 3n },
    ]);
    for (const { timeUs } of stored) expect(Math.abs(timeUs - before)).toBeLessThan(TEST_LIMIT_MS * 1_000);
  });
});
