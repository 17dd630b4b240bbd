/** What look-ups of the event store cost on Postgres, whatever its statistics say. */

import { sql } from 'drizzle-orm';
import { describe, expect, test } from 'vitest';
import type { Connection } from '../../../../src/database/connection.ts';
import type { AppendCommand, EventQuery } from '../../../../src/events/engine.ts';
import { appendEventsOn, PostgresEventEngine } from '../../../../src/events/engines/postgres-engine.ts';
import { positionStatements } from '../../../../src/events/sql/positions.ts';
import { rowsOf } from '../../../support/connect.ts';
import { storeDatabase } from '../../store/postgres-support.ts';
import { command, event, item, positionsOf, reading, upTo } from '../event-commands.ts';

const postgres = storeDatabase();

/** A schema with so many events of one each, with the type and the tags of its key, such as `A x y`. */
async function filled(counts: Record<string, number>): Promise<string> {
  const schema = await postgres.namespace();
  for (const [key, count] of Object.entries(counts)) {
    const [type, ...tags] = key.split(' ');
    const list = `array[${tags.map((tag) => `'${tag}'`).join(', ')}]::text[]`;
    await rowsOf(
      postgres.connection,
      `with added as (
         insert into "${schema}".events ("position", "time", type, tags, data)
         select (select coalesce(max("position"), 0) from "${schema}".events) + n, now(), '${type}', ${list}, '{}'
         from generate_series(1, ${count}) n returning "position"
       )
       insert into "${schema}".event_postings (tag, type, last_position)
       select tag, '${type}', "position" from added, unnest(${list} || ''::text) tag`,
    );
  }
  return schema;
}

const analyze = async (schema: string, how = 'analyze'): Promise<string> => {
  await rowsOf(postgres.connection, `${how} "${schema}".events`);
  await rowsOf(postgres.connection, `${how} "${schema}".event_postings`);
  return schema;
};

interface Plan {
  'Node Type': string;
  'Index Name'?: string;
  'Relation Name'?: string;
  'Index Cond'?: string;
  Plans?: Plan[];
}

const TYPES: Record<string, string> = {
  v_tag: 'text',
  p_tag: 'text',
  v_type: 'text',
  v_needed: 'text[]',
};
const VALUES: Record<string, string> = {
  v_tag: "'x'",
  p_tag: "'x'",
  v_type: "'A'",
  v_needed: "'{x,y}'",
  v_after: '0',
  v_top: '9223372036854775807',
  v_before: '100000',
  p_limit: '100',
};

/** The plan of a statement under the settings of the functions that it stands in, or under those of the server. */
async function explain(
  schema: string,
  statement: string,
  settingsOf: 'append_event' | 'read_events' | 'none',
): Promise<Plan[]> {
  const connection = await postgres.database.open();
  const [found] = await rowsOf<{ settings: string[] | null }>(
    connection,
    sql`select proconfig as settings from pg_proc p join pg_namespace n on n.oid = p.pronamespace where nspname = ${schema} and proname = ${settingsOf}`,
  );
  if (settingsOf !== 'none') expect(found?.settings?.length).toBeGreaterThan(3);
  for (const setting of found?.settings ?? []) await connection.db.execute(`set ${setting}`);
  const names = [...new Set(statement.match(/\b[vp]_\w+/g))];
  const numbered = statement.replaceAll(/\b[vp]_\w+/g, (name) => `$${names.indexOf(name) + 1}`);
  await connection.db.execute(
    `prepare lookup (${names.map((name) => TYPES[name] ?? 'bigint').join(', ')}) as ${numbered}`,
  );
  const [row] = await rowsOf<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
    connection,
    `explain (format json) execute lookup (${names.map((name) => VALUES[name]).join(', ')})`,
  );
  connection.close();
  const nodes: Plan[] = [];
  const walk = (node: Plan): void => {
    nodes.push(node);
    node.Plans?.forEach(walk);
  };
  walk((row as { 'QUERY PLAN': [{ Plan: Plan }] })['QUERY PLAN'][0].Plan);
  return nodes;
}

const SHAPES: [string, () => Promise<string>][] = [
  ['an empty table', () => filled({})],
  ['an empty table, analyzed', async () => analyze(await filled({}))],
  ['a table without statistics', () => filled({ 'A x': 2_000, 'B x y': 100 })],
  [
    'a small table, vacuumed: it is one page',
    async () => analyze(await filled({ 'A x y': 5 }), 'vacuum analyze'),
  ],
  ['a hot tag, with statistics', async () => analyze(await filled({ 'A x': 5_000, 'B y': 500 }))],
  [
    'statistics that are wrong: they know one tag only, and it is another',
    async () => {
      const schema = await analyze(await filled({ 'B z': 5_000 }));
      await appendEventsOn(postgres.connection, schema, [
        command(upTo(100).map(() => event('A', ['x', 'y']))),
      ]);
      return schema;
    },
  ],
];

describe('plans', () => {
  test.each(SHAPES)('every look-up goes along its index and nothing else: %s', async (_, prepare) => {
    const schema = await prepare();
    for (const settings of ['append_event', 'read_events'] as const) {
      for (const [name, statement] of Object.entries(positionStatements(schema))) {
        const nodes = await explain(schema, statement, settings);
        const scans = nodes.filter((node) => node['Relation Name'] !== undefined);
        const label = `${name} under ${settings}`;
        expect(
          scans.map((node) => `${node['Node Type'].replace(' Only', '')} ${node['Index Name']}`),
          label,
        ).toEqual(
          name.startsWith('withTags')
            ? ['Index Scan event_postings_key', 'Index Scan events_position']
            : ['Index Scan event_postings_key'],
        );
        // Found by it, not only walked along.
        for (const { 'Index Cond': found } of scans) expect(found, label).toMatch(/\btag = |"position" = /);
        // Sorted is at most within one posting.
        expect(
          nodes.map((node) => node['Node Type']),
          label,
        ).not.toContain('Sort');
      }
    }
  });

  test('the control: without the settings of the functions, a planner does as its statistics say', async () => {
    const schema = await analyze(await filled({ 'A x y': 5 }), 'vacuum analyze');
    const nodes = await explain(schema, positionStatements(schema).withTags, 'none');
    expect(nodes.map((node) => node['Node Type'])).toContain('Seq Scan');
  });
});

interface Count {
  scans: number;
  entries: number;
}

/** Scans and what they returned, of tables and indexes, as a server connection has counted them so far. */
async function counted(connection: Connection, schema: string) {
  const rows = await rowsOf<Count & { name: string }>(
    connection,
    sql`select c.relname as name, pg_stat_get_xact_numscans(c.oid)::int as scans, pg_stat_get_xact_tuples_returned(c.oid)::int as entries from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = ${schema} and (c.relname in ('events', 'event_postings') or c.relkind = 'i') order by 1`,
  );
  return new Map(rows.map((row) => [row.name, row]));
}

/** What one piece of work touches; it is taken back. */
async function touched(
  connection: Connection,
  schema: string,
  work: () => Promise<unknown>,
): Promise<Record<string, Count>> {
  // The counts of a connection go to the server's between transactions, so that they are compared within one.
  await connection.db.execute('begin');
  const before = await counted(connection, schema);
  await work();
  const after = await counted(connection, schema);
  await connection.db.execute('rollback');
  return Object.fromEntries(
    [...after.values()]
      .map(({ name, scans, entries }): [string, Count] => [
        name,
        {
          scans: scans - (before.get(name)?.scans ?? 0),
          entries: entries - (before.get(name)?.entries ?? 0),
        },
      ])
      .filter(([, { scans }]) => scans > 0),
  );
}

const entriesOf = (counts: Record<string, Count>): number =>
  Object.values(counts).reduce((sum, { entries }) => sum + entries, 0);

const SMALL = { 'A x': 20, 'B x y': 20, 'C z': 20 };
const LARGE = { 'A x': 8_000, 'B x y': 100, 'C z': 8_000, 'A x w': 4_000 };

const CONDITIONS: [string, EventQuery][] = [
  ['a type and a tag', [item(['A'], ['x'])]],
  ['types and a tag', [item(['A', 'B', 'C'], ['x'])]],
  ['a tag of any type', [item([], ['x'])]],
  ['types', [item(['A', 'C'])]],
  ['several tags', [item([], ['x', 'y'])]],
  ['several tags and a type', [item(['A'], ['w', 'x'])]],
  ['all', 'all'],
  ['what nothing matches', [item(['D'], ['x']), item([], ['none']), item([], ['x', 'none'])]],
];

describe('cost', () => {
  const shapes: [string, Record<string, number>, string][] = [
    ['small, without statistics', SMALL, ''],
    ['small, analyzed', SMALL, 'vacuum analyze'],
    ['large, without statistics', LARGE, ''],
    ['large, analyzed', LARGE, 'vacuum analyze'],
  ];
  test.each(shapes)(
    'a condition behind the last events touches a few entries, violated or not: %s',
    async (_, counts, how) => {
      const schema = await filled(counts);
      if (how !== '') await analyze(schema, how);
      const head = BigInt(Object.values(counts).reduce((sum, count) => sum + count, 0));
      for (const [name, query] of CONDITIONS) {
        const connection = await postgres.database.open();
        const violated = command(event('A', ['x', 'y', 'w', 'z']), query, head);
        const groups: [string, AppendCommand[]][] = [
          ['one', [command(event('New'), query, head)]],
          // Within the group, all but the first meet it.
          ['group', [violated, violated, command(event('New'), query, head)]],
        ];
        for (const [kind, group] of groups) {
          const cost = await touched(connection, schema, () => appendEventsOn(connection, schema, group));
          // Of several tags, the postings of one are gone along: those of y are a hundred and begin nowhere near the end.
          expect(entriesOf(cost), `${name}, ${kind}`).toBeLessThan(60);
          for (const [table, { scans }] of Object.entries(cost))
            expect(scans, `${name}, ${kind}, ${table}`).toBeLessThan(40);
        }
        connection.close();
      }
    },
  );

  test('a condition from the beginning on costs as little: the last match is the end of a range, however many there are', async () => {
    const schema = await filled(LARGE);
    const connection = await postgres.database.open();
    for (const [name, query] of CONDITIONS.filter(([one]) => !one.startsWith('several'))) {
      const cost = await touched(connection, schema, () =>
        appendEventsOn(connection, schema, [command(event('New'), query)]),
      );
      expect(entriesOf(cost), name).toBeLessThan(20);
    }
    // Of several tags, it is the rarest that is gone along, from its end.
    const rare = await touched(connection, schema, () =>
      appendEventsOn(connection, schema, [command(event('New'), [item([], ['y', 'x'])])]),
    );
    expect(entriesOf(rare)).toBeLessThan(2_500);
    // The control: it counts what a check without a fitting index costs.
    const naive = await touched(connection, schema, () =>
      rowsOf(connection, `select count(*) from "${schema}".events where tags @> array['x', 'y']`),
    );
    expect(entriesOf(naive)).toBe(20_100);
  });

  test('a read costs what it returns, wherever in a large table that lies', async () => {
    const schema = await analyze(await filled(LARGE));
    const connection = await postgres.database.open();
    const engine = new PostgresEventEngine({
      connections: { use: async (work) => work(connection) },
      schema,
    });
    const reads: [string, EventQuery, Parameters<typeof reading>[1], number, number][] = [
      ['a type and a tag', [item(['B'], ['x'])], {}, 100, 210],
      ['a type and a tag, a page', [item(['A'], ['x'])], { limit: 10 }, 10, 25],
      ['a type and a tag, the last', [item(['A'], ['x'])], { limit: 1, backwards: true }, 1, 5],
      ['a tag, a page behind a position', [item([], ['x'])], { after: 6_000n, limit: 10 }, 10, 60],
      [
        'types, the last page before a position',
        [item(['A', 'B', 'C'])],
        { before: 12_000n, limit: 10, backwards: true },
        10,
        80,
      ],
      ['several tags', [item([], ['x', 'y'])], {}, 100, 1_500],
      ['several tags, a page', [item([], ['x', 'w'])], { limit: 10 }, 10, 4_000],
      ['all, a page', 'all', { after: 12_000n, limit: 10 }, 10, 15],
      // Looked at twice: for their sizes, and for what they are.
      ['all, a page that fits', 'all', { after: 12_000n, limit: 10, maxBytes: 10_000 }, 10, 30],
      ['all, a page that does not', 'all', { after: 12_000n, limit: 10, maxBytes: 1 }, 1, 30],
      ['a type and a tag, cut', [item(['A'], ['x'])], { limit: 10, maxBytes: 1, backwards: true }, 1, 50],
    ];
    for (const [name, query, changes, count, most] of reads) {
      const cost = await touched(connection, schema, async () =>
        expect(await engine.read(reading(query, changes)), name).toHaveLength(count),
      );
      expect(entriesOf(cost), name).toBeLessThanOrEqual(most);
    }
  });

  test('of several tags that all have many events, a page is found without counting them all', async () => {
    const schema = await filled({ 'A p q': 10_000, 'A p': 10_000, 'A p q r': 20_000 });
    const connection = await postgres.database.open();
    const engine = new PostgresEventEngine({
      connections: { use: async (work) => work(connection) },
      schema,
    });
    for (const backwards of [false, true]) {
      const cost = await touched(connection, schema, async () => {
        const page = await engine.read(reading([item([], ['p', 'q'])], { limit: 20, backwards }));
        expect(positionsOf(page)).toEqual(backwards ? upTo(40_000, 39_981).toReversed() : upTo(20));
      });
      expect(entriesOf(cost)).toBeLessThan(15_000);
    }
  });

  test('a plan made while the table was small still holds when it has grown', async () => {
    const schema = await analyze(await filled({ 'A x y': 5 }), 'vacuum analyze');
    const connection = await postgres.database.open();
    const engine = new PostgresEventEngine({
      connections: { use: async (work) => work(connection) },
      schema,
    });
    const query = [item(['B'], ['x']), item([], ['x', 'y'])];
    // More often than a planner looks at parameters before it settles on a plan.
    for (let n = 0; n < 8; n += 1) {
      await engine.read(reading(query));
      await engine.append([command(event('New'), [item(['B'], ['x'])])]);
      await engine.append([command(event('New'), query, 5n), command(event('New'))]);
    }
    await rowsOf(
      postgres.connection,
      `with added as (
         insert into "${schema}".events ("position", "time", type, tags, data)
         select 100 + n, now(), 'C', '{z}', '{}' from generate_series(1, 20000) n returning "position"
       )
       insert into "${schema}".event_postings (tag, type, last_position)
       select tag, 'C', "position" from added, unnest('{z,""}'::text[]) tag`,
    );
    const read = await touched(connection, schema, () => engine.read(reading(query)));
    expect(entriesOf(read)).toBeLessThan(80);
    for (const group of [
      [command(event('New'), [item(['C'], ['x'])])],
      [command(event('New'), query, 5n), command(event('New'))],
    ]) {
      const cost = await touched(connection, schema, () => appendEventsOn(connection, schema, group));
      expect(entriesOf(cost)).toBeLessThan(80);
    }
  });
});
