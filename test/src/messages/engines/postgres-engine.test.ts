/** What is Postgres's own in the message store: plans, poolers, connections, statements. */

import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Connection } from '../../../../src/database/connection.ts';
import type { ConnectionLender } from '../../../../src/database/connection-pool.ts';
import type { AppendCommand, AppendVerdict, StreamAppend } from '../../../../src/messages/engine.ts';
import { appendOn, PostgresMessageEngine } from '../../../../src/messages/engines/postgres-engine.ts';
import { MessageStore } from '../../../../src/messages/message-store.ts';
import { messageCategory } from '../../../../src/messages/names.ts';
import { readStatements } from '../../../../src/messages/sql/reads.ts';
import { messageSchema } from '../../../../src/messages/sql/schema.ts';
import { createStatements } from '../../../../src/store/store-schema.ts';
import { freshName, rowsOf, testDatabase } from '../../../support/connect.ts';
import { openConnection } from '../../../support/open-connection.ts';
import { command, row, storeDatabase } from '../../store/postgres-support.ts';

const postgres = storeDatabase();

/** A schema with so many messages of each category, one category after the other; statistics as one likes. */
async function filled(counts: Record<string, number>): Promise<string> {
  const schema = await postgres.namespace();
  for (const [name, count] of Object.entries(counts)) {
    await rowsOf(
      postgres.connection,
      `insert into "${schema}".messages (global_position, "position", "time", id, stream_name, category, type, data)
       select (select count(*) from "${schema}".messages) + n, n - 1, now(), gen_random_uuid(), '${name}-1', '${name}', 'Happened', '{}'
       from generate_series(1, ${count}) n`,
    );
  }
  return schema;
}

type Read = keyof ReturnType<typeof readStatements>;

const READS: Record<Read, { parameters: Record<string, string>; index: string }> = {
  stream: {
    parameters: { p_stream: "'late-1'", p_position: '0', p_limit: '100' },
    index: 'messages_stream',
  },
  streamFromGlobal: {
    parameters: { p_stream: "'late-1'", p_global_position: '1', p_limit: '100' },
    index: 'messages_stream',
  },
  category: {
    parameters: {
      p_category: "'late'",
      p_global_position: '1',
      p_limit: '100',
      p_correlation: 'null',
      p_size: 'null',
      p_member: 'null',
    },
    index: 'messages_category',
  },
  all: {
    parameters: {
      p_global_position: '1',
      p_limit: '100',
      p_correlation: 'null',
      p_size: 'null',
      p_member: 'null',
    },
    index: 'messages_global_position',
  },
  last: { parameters: { p_stream: "'late-1'" }, index: 'messages_stream' },
  lastOfType: { parameters: { p_stream: "'late-1'", p_type: "'Happened'" }, index: 'messages_stream' },
  version: { parameters: { p_stream: "'late-1'" }, index: 'messages_stream' },
};

const TYPES: Record<string, string> = {
  p_stream: 'text',
  p_category: 'text',
  p_type: 'text',
  p_correlation: 'text',
  p_member: 'int',
  p_size: 'int',
};

interface Plan {
  'Node Type': string;
  'Index Name'?: string;
  Plans?: Plan[];
}

/** The plan of a read under the settings of the function that it stands in, or under those of the server. */
async function explain(schema: string, read: Read, settings: 'functions' | 'servers'): Promise<Plan[]> {
  const connection = await postgres.database.open();
  if (settings === 'functions') {
    // As the function has them, so that the test does not go by a copy.
    const [found] = await rowsOf<{ settings: string[] }>(
      connection,
      sql`select proconfig as settings from pg_proc p join pg_namespace n on n.oid = p.pronamespace where nspname = ${schema} and proname = 'read_category_v2'`,
    );
    for (const setting of found?.settings ?? []) await connection.db.execute(`set ${setting}`);
  }
  const { parameters } = READS[read];
  const names = Object.keys(parameters);
  const statement = readStatements(schema)[read].replaceAll(
    /\bp_\w+/g,
    (name) => `$${names.indexOf(name) + 1}`,
  );
  await connection.db.execute(
    `prepare read (${names.map((name) => TYPES[name] ?? 'bigint').join(', ')}) as ${statement}`,
  );
  const [plan] = await rowsOf<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
    connection,
    `explain (format json) execute read (${Object.values(parameters).join(', ')})`,
  );
  const nodes: Plan[] = [];
  const walk = (node: Plan): void => {
    nodes.push(node);
    node.Plans?.forEach(walk);
  };
  walk((plan as { 'QUERY PLAN': [{ Plan: Plan }] })['QUERY PLAN'][0].Plan);
  return nodes;
}

describe('plans', () => {
  const shapes: [string, () => Promise<string>][] = [
    ['an empty table', () => filled({})],
    ['a table without statistics', () => filled({ early: 2_000, late: 100 })],
    [
      'a small table, vacuumed: it is one page',
      async () => {
        const schema = await filled({ late: 5 });
        await rowsOf(postgres.connection, `vacuum analyze "${schema}".messages`);
        return schema;
      },
    ],
    [
      'a category that is nine tenths of all messages, with statistics',
      async () => {
        const schema = await filled({ early: 500, late: 5_000 });
        await rowsOf(postgres.connection, `analyze "${schema}".messages`);
        return schema;
      },
    ],
    [
      'statistics that are wrong: they know one category only, and it is another',
      async () => {
        const schema = await filled({ early: 5_000 });
        await rowsOf(postgres.connection, `analyze "${schema}".messages`);
        await rowsOf(
          postgres.connection,
          `insert into "${schema}".messages (global_position, "position", "time", id, stream_name, category, type, data)
           select 5000 + n, n, now(), gen_random_uuid(), 'late-1', 'late', 'Happened', '{}' from generate_series(1, 100) n`,
        );
        return schema;
      },
    ],
  ];
  test.each(shapes)('every read goes along its index and nothing else: %s', async (_, prepare) => {
    const schema = await prepare();
    for (const [read, { index }] of Object.entries(READS)) {
      const nodes = await explain(schema, read as Read, 'functions');
      expect(
        nodes.map((node) => `${node['Node Type']} ${node['Index Name'] ?? ''}`.trim()),
        read,
      ).toEqual(['Limit', expect.stringMatching(new RegExp(`^Index (Only )?Scan(?: Backward)? ${index}$`))]);
    }
  });

  test('the control: without the settings of the function, a planner does as its statistics say', async () => {
    const schema = await filled({ late: 5 });
    await rowsOf(postgres.connection, `vacuum analyze "${schema}".messages`);
    const nodes = await explain(schema, 'category', 'servers');
    expect(nodes.map((node) => node['Node Type'])).toContain('Seq Scan');
  });

  /** Scans and what they returned, of the table and its indexes, as a server connection has counted them so far. */
  async function counted(connection: Connection, schema: string) {
    const rows = await rowsOf<{ name: string; scans: number; entries: number }>(
      connection,
      sql`select c.relname as name, pg_stat_get_xact_numscans(c.oid)::int as scans, pg_stat_get_xact_tuples_returned(c.oid)::int as entries from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = ${schema} and (c.relname = 'messages' or c.relkind = 'i') order by 1`,
    );
    return new Map(rows.map((row) => [row.name, row]));
  }

  /** What one statement touches. */
  async function touched(connection: Connection, schema: string, work: () => Promise<unknown>) {
    // The counts of a connection go to the server's between transactions, so that they are compared within one.
    await connection.db.execute('begin');
    const before = await counted(connection, schema);
    await work();
    const after = await counted(connection, schema);
    await connection.db.execute('rollback');
    return [...after.values()]
      .map(({ name, scans, entries }) => ({
        name,
        scans: scans - (before.get(name)?.scans ?? 0),
        entries: entries - (before.get(name)?.entries ?? 0),
      }))
      .filter(({ scans }) => scans > 0);
  }

  test('a category among many other messages costs as many index entries as it returns', async () => {
    const schema = await filled({ early: 20_000, late: 100, later: 20_000 });
    await rowsOf(postgres.connection, `analyze "${schema}".messages`);
    const connection = await postgres.database.open();
    const read = (name: string, limit: number) => async () =>
      expect(
        await rowsOf(
          connection,
          `select * from "${schema}".read_category('${name}', 1, ${limit}, null, null, null)`,
        ),
      ).toHaveLength(Math.min(limit, 100));
    expect(await touched(connection, schema, read('late', 1_000))).toEqual([
      { name: 'messages_category', scans: 1, entries: 100 },
    ]);
    expect(await touched(connection, schema, read('later', 10))).toEqual([
      { name: 'messages_category', scans: 1, entries: 10 },
    ]);
    // The control: it counts what a read without a fitting index costs.
    const nothing = `select * from "${schema}".messages where type = 'Nothing'`;
    expect(await touched(connection, schema, () => rowsOf(connection, nothing))).toEqual([
      { name: 'messages', scans: 1, entries: 40_100 },
    ]);
  });

  test('a plan made while the table was small still holds when it has grown', async () => {
    const schema = await filled({ late: 5 });
    await rowsOf(postgres.connection, `vacuum analyze "${schema}".messages`);
    const connection = await postgres.database.open();
    const read = () =>
      rowsOf(connection, `select * from "${schema}".read_category('late', 1, 10, null, null, null)`);
    // More often than a planner looks at parameters before it settles on a plan.
    for (let n = 0; n < 8; n += 1) {
      await read();
      await appendOn(connection, schema, [command('new-1')]);
      await appendOn(connection, schema, [command('new-1'), command('new-2')]);
    }
    await rowsOf(
      postgres.connection,
      `insert into "${schema}".messages (global_position, "position", "time", id, stream_name, category, type, data)
       select 100 + n, n, now(), gen_random_uuid(), 'other-1', 'other', 'Happened', '{}' from generate_series(1, 20000) n`,
    );
    expect(await touched(connection, schema, read)).toEqual([
      { name: 'messages_category', scans: 1, entries: 5 },
    ]);
    // What is taken back here leaves an entry behind, which the next look-up of the highest position steps over.
    for (const group of [[command('new-1')], [command('new-1'), command('new-2')]]) {
      const looked = await touched(connection, schema, () => appendOn(connection, schema, group));
      expect(looked.map(({ name }) => name)).toEqual([
        'messages_global_position',
        'messages_id',
        'messages_stream',
      ]);
      for (const { name, entries } of looked) expect(entries, name).toBeLessThan(10);
    }
  });
});

describe('transaction pooling', () => {
  test('every statement may go to another server connection, with nothing of a session left over', async () => {
    const connections = await Promise.all(Array.from({ length: 3 }, () => postgres.database.open()));
    let uses = 0;
    const pooler: ConnectionLender = {
      async use(work) {
        const connection = connections[uses % connections.length] as Connection;
        uses += 1;
        const result = await work(connection);
        // What a session would keep, and a pooler hand to somebody else.
        const left = await rowsOf(
          connection,
          `select
             (select count(*)::int from pg_prepared_statements) as statements,
             (select count(*)::int from pg_locks where pid = pg_backend_pid() and locktype = 'advisory') as locks,
             (select count(*)::int from pg_listening_channels()) as channels,
             (select count(*)::int from pg_settings where source = 'session') as settings`,
        );
        expect(left).toEqual([{ statements: 0, locks: 0, channels: 0, settings: 0 }]);
        await connection.db.execute('discard all');
        return result;
      },
    };
    const store = new MessageStore(
      new PostgresMessageEngine({ connections: pooler, schema: await postgres.namespace() }),
    );
    for (let n = 0; n < 6; n += 1)
      await store.write(`account-${n % 2}`, [{ type: 'A' }, { type: 'B' }], {
        expectedVersion: n < 2 ? 'no-stream' : BigInt(2 * Math.floor(n / 2) - 1),
      });
    expect(await store.readCategory('account')).toHaveLength(12);
    expect(await store.version('account-1')).toBe(5n);
    expect(await store.last('account-0', { type: 'B' })).toMatchObject({ position: 5n });
    expect(await store.listStreams()).toHaveLength(2);
    expect(await store.clear()).toBe(12n);
    expect(uses).toBeGreaterThan(9);
  });
});

describe('names of statements', () => {
  const named = (connection: Connection) =>
    rowsOf<{ name: string }>(connection, 'select name from pg_prepared_statements');

  test('on its own connection, each statement is parsed once', async () => {
    const connection = await postgres.database.open();
    const connections: ConnectionLender = { use: async (work) => work(connection) };
    const options = { connections, preparesStatements: true };
    const first = new PostgresMessageEngine({ ...options, schema: await postgres.namespace() });
    const second = new PostgresMessageEngine({ ...options, schema: await postgres.namespace() });
    for (let n = 0; n < 8; n += 1) {
      expect(await first.append([command('account-1', [row()], BigInt(n - 1))])).toEqual([
        { kind: 'written', ends: [{ position: BigInt(n), globalPosition: BigInt(n + 1) }] },
      ]);
      expect(await first.append([command('account-1', [row()], 100n)])).toMatchObject([{ kind: 'conflict' }]);
    }
    // The same names in two namespaces would write to the wrong one.
    await second.append([command('account-1')]);
    expect(await second.version('account-1')).toBe(0n);
    expect(await first.version('account-1')).toBe(7n);
    expect(await named(connection)).toHaveLength(4);
  });

  test('a pooler that loses them is noticed: nothing fails, nothing is written twice, and it goes on without', async () => {
    const connections = await Promise.all(Array.from({ length: 2 }, () => postgres.database.open()));
    let uses = 0;
    const pooler: ConnectionLender = {
      async use(work) {
        const connection = connections[uses % 2] as Connection;
        uses += 1;
        const result = await work(connection);
        await connection.db.execute('deallocate all');
        return result;
      },
    };
    const engine = new PostgresMessageEngine({
      connections: pooler,
      schema: await postgres.namespace(),
      preparesStatements: true,
    });
    for (let n = 0; n < 6; n += 1) {
      expect(await engine.append([command('account-1')])).toEqual([
        { kind: 'written', ends: [{ position: BigInt(n), globalPosition: BigInt(n + 1) }] },
      ]);
    }
    expect(await engine.info()).toEqual({ messages: 6n, head: 6n });
    const [left] = await Promise.all(connections.map(named));
    expect(left).toEqual([]);
  });
});

describe("Neon's driver", () => {
  const neon = testDatabase('neon');

  test('writes, refuses and reads as the other one does', async () => {
    const connection = await neon.open();
    const store = new MessageStore(
      new PostgresMessageEngine({
        connections: { use: async (work) => work(connection) },
        schema: await postgres.namespace(),
      }),
    );
    await store.write('account-1', { type: 'Opened', data: { n: 1 }, metadata: { by: 'é' } });
    await store.write('account-1', [{ type: 'Used' }, { type: 'Closed' }], { expectedVersion: 0n });
    await expect(
      store.write('account-1', { type: 'Opened' }, { expectedVersion: 'no-stream' }),
    ).rejects.toMatchObject({ code: 'version_conflict', details: { actualVersion: '2' } });
    expect(await store.readStream('account-1', { position: 0n })).toMatchObject([
      { type: 'Opened', data: { n: 1 }, metadata: { by: 'é' }, position: 0n, globalPosition: 1n },
      { type: 'Used', position: 1n, globalPosition: 2n },
      { type: 'Closed', position: 2n, globalPosition: 3n },
    ]);
    expect(await store.version('account-1')).toBe(2n);
    expect(await store.info()).toEqual({ messages: 3n, head: 3n });
    expect(connection.isOpen).toBe(true);
  });
});

describe('refusals', () => {
  test('are answers: the connection stays, and so does the transaction of a caller', async () => {
    const schema = await postgres.namespace();
    const pool = postgres.pool(1);
    const engine = new PostgresMessageEngine({ connections: pool, schema });
    const pidOf = () =>
      pool.use(async (connection) => {
        const [own] = await rowsOf<{ pid: number }>(connection, 'select pg_backend_pid() as pid');
        return own?.pid;
      });
    const pid = await pidOf();
    const taken = row();
    await engine.append([command('account-1', [taken])]);
    const refused = [
      command('account-1', [row()], 5n),
      command('account-2', [taken]),
      command('account-3', [row(), row()], 0n),
      command('account-4', [row(), taken]),
    ];
    const expected: AppendVerdict[] = [
      { kind: 'conflict', stream: 'account-1', expectedVersion: 5n, actualVersion: 0n },
      { kind: 'duplicate_id', id: taken.id },
      { kind: 'conflict', stream: 'account-3', expectedVersion: 0n, actualVersion: -1n },
      { kind: 'duplicate_id', id: taken.id },
    ];
    for (const [index, one] of refused.entries())
      expect(await engine.append([one])).toEqual([expected[index]]);
    expect(await engine.append(refused)).toEqual(expected);
    expect(await pidOf()).toBe(pid);

    const connection = await postgres.database.open();
    await connection.db.execute('begin');
    expect(await appendOn(connection, schema, refused)).toEqual(expected);
    expect(await appendOn(connection, schema, [command('account-5')])).toEqual([
      { kind: 'written', ends: [{ position: 0n, globalPosition: 2n }] },
    ]);
    await connection.db.execute('commit');
    expect(await engine.info()).toEqual({ messages: 2n, head: 2n });
  });

  test('a group of nothing asks nobody', async () => {
    const lender: ConnectionLender = {
      use: (work) => work(undefined as unknown as Connection) as Promise<never>,
    };
    expect(await new PostgresMessageEngine({ connections: lender, schema: 's' }).append([])).toEqual([]);
  });

  test('what the server refuses says so without the content of messages', async () => {
    const engine = await postgres.engine(1);
    // Checked by the store before it comes here; an engine alone takes what it is given.
    const error = await engine
      .append([command('account-1', [row({ data: '{"secret":"do not log' })])])
      .catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject({ code: 'database_refused', details: { sqlState: '22P02' } });
    expect((error as Error).message).not.toContain('do not log');
    expect(await engine.append([command('account-1')])).toMatchObject([{ kind: 'written' }]);
  });

  test('a namespace that is not there, and one that goes while it is used', async () => {
    const missing = new PostgresMessageEngine({ connections: postgres.pool(), schema: 'sluice_not there' });
    const use = [
      () => missing.append([command('account-1')]),
      () => missing.append([command('account-1'), command('account-1')]),
      () => missing.readStream({ stream: 'account-1', position: 0n, globalPosition: null, limit: 1 }),
      () => missing.version('account-1'),
      () => missing.info(),
      () => missing.clear(),
    ];
    for (const attempt of use)
      await expect(attempt()).rejects.toMatchObject({
        code: 'unknown_namespace',
        message: 'The namespace of the schema sluice_not there does not exist',
      });
    const schema = await postgres.namespace();
    const engine = new PostgresMessageEngine({ connections: postgres.pool(), schema });
    await engine.append([command('account-1')]);
    await rowsOf(postgres.connection, `drop schema "${schema}" cascade`);
    await expect(engine.append([command('account-1')])).rejects.toMatchObject({ code: 'unknown_namespace' });
  });
});

describe('statements', () => {
  test('a schema of any name is quoted', async () => {
    const schema = freshName(`we"ird'; drop schema public; -- `);
    const connection = await openConnection(postgres.database.target);
    await connection.db.execute(createStatements(schema, [messageSchema]).join(';\n'));
    const engine = new PostgresMessageEngine({ connections: postgres.pool(), schema });
    await engine.append([command('account-1'), command('account-1', [row(), row()])]);
    expect(
      await engine.readCategory({
        category: 'account',
        globalPosition: 1n,
        limit: 10,
        correlation: null,
        consumer: null,
      }),
    ).toHaveLength(3);
    expect(await engine.version('account-1')).toBe(2n);
    expect(await engine.clear()).toBe(3n);
    await connection.db.execute(`drop schema "${schema.replaceAll('"', '""')}" cascade`);
    connection.close();
    expect(() => createStatements('', [messageSchema])).toThrow(
      expect.objectContaining({ code: 'invalid_namespace' }),
    );
  });

  test('names, types and JSON of any characters, in groups as alone', async () => {
    const engine = await postgres.engine();
    const strange = ['"', '\\', '{', '}', ',', 'NULL', 'null', ' ', "'", '\n', '\t', 'é', '😀', ';'];
    const rows = strange.map((type) =>
      row({ type, data: `{\n"t":\r\n${JSON.stringify(type)}\n}`, metadata: `[\n${JSON.stringify(type)}]` }),
    );
    await engine.append(rows.map((message, index) => command(`a-${strange[index]}`, [message])));
    for (const [index, text] of strange.entries()) {
      for (const stream of [`a-${text}`, `b-${text}`]) {
        if (stream.startsWith('b'))
          await engine.append([command(stream, [row({ ...rows[index], id: row().id })])]);
        const last = await engine.last(stream, text);
        expect(JSON.parse(last?.data ?? '')).toEqual({ t: text });
        expect(JSON.parse(last?.metadata ?? '')).toEqual([text]);
      }
    }
  });

  test('any group gives what its commands give one by one', async () => {
    const pool = postgres.pool(1);
    const schema = await postgres.namespace();
    const engine = new PostgresMessageEngine({ connections: pool, schema });
    const append = fc.record({
      stream: fc.constantFrom('a-1', 'a-2', 'b-1'),
      expectedVersion: fc.option(fc.integer({ min: -1, max: 4 }), { freq: 2 }),
      // Few ids, so that they meet each other.
      ids: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 3 }),
    });
    const groups = fc.array(
      fc.array(fc.array(append, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 5 }),
      { minLength: 1, maxLength: 4 },
    );
    await fc.assert(
      fc.asyncProperty(groups, async (drawn) => {
        await engine.clear();
        const model = new Model();
        for (const group of drawn) {
          const commands = group.map(
            (appends): AppendCommand => ({
              appends: appends.map(({ stream, expectedVersion, ids }) => ({
                stream,
                category: messageCategory(stream),
                cardinalHash: null,
                expectedVersion: expectedVersion === null ? null : BigInt(expectedVersion),
                messages: ids.map((id) =>
                  row({ id: `00000000-0000-4000-9000-${String(id).padStart(12, '0')}` }),
                ),
              })),
            }),
          );
          expect(await engine.append(commands)).toEqual(commands.map((one) => model.append(one)));
        }
        const stored = await engine.readCategory({
          category: '',
          globalPosition: 0n,
          limit: 1_000,
          correlation: null,
          consumer: null,
        });
        expect(
          stored.map(({ stream, position, globalPosition, id }) => ({
            stream,
            position,
            globalPosition,
            id,
          })),
        ).toEqual(model.messages);
      }),
      { numRuns: 60 },
    );
  });
});

/** What an append means, in as few words as possible. */
class Model {
  messages: { stream: string; position: bigint; globalPosition: bigint; id: string }[] = [];

  append(command: AppendCommand): AppendVerdict {
    const before = this.messages;
    this.messages = [...before];
    const refused = this.#conflict(command.appends) ?? this.#duplicate(command.appends);
    if (refused !== undefined) {
      this.messages = before;
      return refused;
    }
    const ends = command.appends.map((append) => {
      this.#add(append);
      const { position, globalPosition } = this.messages.at(-1) as Model['messages'][number];
      return { position, globalPosition };
    });
    return { kind: 'written', ends };
  }

  #conflict(appends: readonly StreamAppend[]): AppendVerdict | undefined {
    const before = this.messages;
    this.messages = [...before];
    try {
      for (const append of appends) {
        const { stream, expectedVersion } = append;
        const actualVersion = this.#version(stream);
        if (expectedVersion !== null && expectedVersion !== actualVersion)
          return { kind: 'conflict', stream, expectedVersion, actualVersion };
        this.#add(append);
      }
    } finally {
      this.messages = before;
    }
    return undefined;
  }

  #duplicate(appends: readonly StreamAppend[]): AppendVerdict | undefined {
    const ids = new Set(this.messages.map(({ id }) => id));
    for (const { id } of appends.flatMap(({ messages }) => messages)) {
      if (ids.has(id)) return { kind: 'duplicate_id', id };
      ids.add(id);
    }
    return undefined;
  }

  #version(stream: string): bigint {
    return BigInt(this.messages.filter((message) => message.stream === stream).length) - 1n;
  }

  #add({ stream, messages }: StreamAppend): void {
    for (const { id } of messages)
      this.messages.push({
        stream,
        position: this.#version(stream) + 1n,
        globalPosition: BigInt(this.messages.length) + 1n,
        id,
      });
  }
}
