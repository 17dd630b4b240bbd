/** What racers of one condition may expect of the event store on Postgres: exactly one of them wins. */

import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connection } from '../../../../src/database/connection.ts';
import type { AppendVerdict, EventQuery } from '../../../../src/events/engine.ts';
import { appendEventsOn, PostgresEventEngine } from '../../../../src/events/engines/postgres-engine.ts';
import { freshName, rowsOf } from '../../../support/connect.ts';
import { openConnection } from '../../../support/open-connection.ts';
import { eventually } from '../../../support/patience.ts';
import { storeDatabase } from '../../store/postgres-support.ts';
import { command, event, item, positionsOf, reading, upTo } from '../event-commands.ts';

const postgres = storeDatabase();
const ROUNDS = 20;

const kindsOf = (verdicts: readonly AppendVerdict[]): string[] => verdicts.map(({ kind }) => kind).sort();

const MOST = 50;
let connections: readonly Connection[] = [];

// Opened once, so that racers come at once, and so that other files find a place at the server.
beforeAll(async () => {
  connections = await Promise.all(
    Array.from({ length: MOST }, () => openConnection(postgres.database.target)),
  );
});
afterAll(() => {
  for (const connection of connections) connection.close();
});

/** So many engines, each with its own connection. */
function racers(schema: string, count: number): PostgresEventEngine[] {
  return connections
    .slice(0, count)
    .map(
      (connection) =>
        new PostgresEventEngine({ connections: { use: async (work) => work(connection) }, schema }),
    );
}

/** Resolves when so many wait for the lock of an event store. */
async function waitForBlocked(schema: string, count: number): Promise<number[]> {
  return eventually(async () => {
    const rows = await rowsOf<{ pid: number }>(
      postgres.connection,
      sql`select l.pid from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace where n.nspname = ${schema} and c.relname = 'events_lock' and not l.granted`,
    );
    expect(rows).toHaveLength(count);
    return rows.map(({ pid }) => pid);
  });
}

describe('the race of one condition', () => {
  describe.each([2, 16, 50])('%i racers', (count) => {
    test.each<[string, (round: number) => EventQuery]>([
      ['a type and a tag', (round) => [item(['Claimed'], [`name:${round}`])]],
      ['a tag', (round) => [item([], [`name:${round}`])]],
      ['several tags', (round) => [item(['Claimed'], [`name:${round}`, 'kind:user'])]],
    ])('exactly one wins, in each of 20 rounds: %s', async (_, queryOf) => {
      const schema = await postgres.namespace();
      const engines = racers(schema, count);
      const winners: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const claim = event('Claimed', [`name:${round}`, 'kind:user']);
        const verdicts = (
          await Promise.all(engines.map((engine) => engine.append([command(claim, queryOf(round))])))
        ).flat();
        expect(verdicts.filter(({ kind }) => kind === 'appended')).toEqual([
          { kind: 'appended', position: BigInt(round + 1), isRepeated: false },
        ]);
        expect(verdicts.filter(({ kind }) => kind === 'conflict')).toEqual(
          new Array(count - 1).fill({ kind: 'conflict', position: BigInt(round + 1) }),
        );
        winners.push(verdicts.findIndex(({ kind }) => kind === 'appended'));
      }
      expect(positionsOf(await (engines[0] as PostgresEventEngine).read(reading('all')))).toEqual(
        upTo(ROUNDS),
      );
      expect(winners).not.toContain(-1);
    });
  });

  test('a condition that is moved on with each win: whatever the racers saw, one wins each time', async () => {
    const schema = await postgres.namespace();
    const engines = racers(schema, 16);
    const query = [item(['Counted'], ['counter:1'])];
    for (let after = 0n; after < 20n; after += 1n) {
      const verdicts = await Promise.all(
        engines.map((engine) => engine.append([command(event('Counted', ['counter:1']), query, after)])),
      );
      expect(kindsOf(verdicts.flat())).toEqual(['appended', ...new Array(15).fill('conflict')]);
    }
  });

  test('everything at once: "nothing is there yet" has one winner among sixteen', async () => {
    const engines = racers(await postgres.namespace(), 16);
    const verdicts = await Promise.all(
      engines.map((engine, index) => engine.append([command(event('First', [`racer:${index}`]), 'all')])),
    );
    expect(kindsOf(verdicts.flat())).toEqual(['appended', ...new Array(15).fill('conflict')]);
  });

  // The control: the same race with the check that go-crablet and others had lets several win, so that this test can see it.
  test('the control: a check that takes no lock lets several win', async () => {
    const schema = await postgres.namespace();
    await rowsOf(
      postgres.connection,
      `create sequence "${schema}".naive;
       create function "${schema}".naive_append(p_tag text) returns boolean language plpgsql as $naive$
       begin
         if exists (select from "${schema}".events e where e.type = 'Claimed' and e.tags @> array[p_tag]) then
           return false;
         end if;
         insert into "${schema}".events ("position", "time", type, tags, data)
           values (nextval('"${schema}".naive'), now(), 'Claimed', array[p_tag], '{}');
         return true;
       end
       $naive$`,
    );
    let rounds = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const won = await Promise.all(
        connections
          .slice(0, 16)
          .map((connection) =>
            rowsOf<{ won: boolean }>(connection, `select "${schema}".naive_append('name:${round}') as won`),
          ),
      );
      if (won.filter(([row]) => row?.won === true).length > 1) rounds += 1;
    }
    expect(rounds).toBeGreaterThan(0);
  });
});

describe('conditions that overlap', () => {
  test('that differ, and that each racer violates for the other: one of them wins', async () => {
    const schema = await postgres.namespace();
    const engines = racers(schema, 16);
    // go-crablet's lock was one for each condition's text: these two would not have met.
    const queries: EventQuery[] = [
      [item(['Booked'], ['room:1'])],
      [item([], ['room:1'])],
      [item(['Booked'])],
      [item(['Booked', 'Blocked'], ['room:1', 'day:1'])],
      [item(['Other'], ['none:1']), item(['Booked'], ['day:1'])],
      'all',
    ];
    for (let round = 0; round < ROUNDS; round += 1) {
      const after = BigInt(round);
      const verdicts = await Promise.all(
        engines.map((engine, index) =>
          engine.append([
            command(
              event('Booked', ['room:1', 'day:1']),
              queries[(index + round) % queries.length] as EventQuery,
              after,
            ),
          ]),
        ),
      );
      expect(kindsOf(verdicts.flat())).toEqual(['appended', ...new Array(15).fill('conflict')]);
    }
  });

  test('that only look alike do not hinder each other', async () => {
    const schema = await postgres.namespace();
    const engines = racers(schema, 16);
    const verdicts = await Promise.all(
      engines.map((engine, index) =>
        engine.append([command(event('Booked', [`room:${index}`]), [item(['Booked'], [`room:${index}`])])]),
      ),
    );
    expect(kindsOf(verdicts.flat())).toEqual(new Array(16).fill('appended'));
  });
});

describe('transactions that are open', () => {
  test('matches that are not committed yet are waited for, and found', async () => {
    const schema = await postgres.namespace();
    const engine = new PostgresEventEngine({ connections: postgres.pool(), schema });
    const slow = await postgres.database.open();
    await slow.db.execute('begin');
    await appendEventsOn(slow, schema, [command(event('Claimed', ['name:1']))]);
    // Nobody sees it.
    expect(await engine.read(reading('all'))).toEqual([]);
    expect(await engine.head()).toBe(0n);
    const racing = engine.append([command(event('Claimed', ['name:1']), [item(['Claimed'], ['name:1'])])]);
    await waitForBlocked(schema, 1);
    await slow.db.execute('commit');
    expect(await racing).toEqual([{ kind: 'conflict', position: 1n }]);
  });

  test('matches that are taken back do not count', async () => {
    const schema = await postgres.namespace();
    const engine = new PostgresEventEngine({ connections: postgres.pool(), schema });
    const slow = await postgres.database.open();
    await slow.db.execute('begin');
    await appendEventsOn(slow, schema, [command(event('Claimed', ['name:1']))]);
    const racing = engine.append([command(event('Claimed', ['name:1']), [item(['Claimed'], ['name:1'])])]);
    await waitForBlocked(schema, 1);
    await slow.db.execute('rollback');
    expect(await racing).toEqual([{ kind: 'appended', position: 1n, isRepeated: false }]);
  });

  test('a write transaction of somebody else, open for long, hides nothing from a check and holds up nobody', async () => {
    const schema = await postgres.namespace();
    const engine = new PostgresEventEngine({ connections: postgres.pool(), schema });
    const table = freshName('foreign');
    await rowsOf(postgres.connection, `create table ${table} (n int)`);
    const foreign = await postgres.database.open();
    await foreign.db.execute('begin isolation level repeatable read');
    await foreign.db.execute(`insert into ${table} values (1)`);
    const claim = command(event('Claimed', ['name:1']), [item(['Claimed'], ['name:1'])]);
    // go-crablet's check looked only at what was older than the oldest open transaction, so that all of these won.
    expect(await engine.append([claim])).toMatchObject([{ kind: 'appended' }]);
    expect(await engine.append([claim])).toEqual([{ kind: 'conflict', position: 1n }]);
    expect(await engine.append([claim, claim])).toEqual([
      { kind: 'conflict', position: 1n },
      { kind: 'conflict', position: 1n },
    ]);
    expect(positionsOf(await engine.read(reading('all')))).toEqual([1]);
    // The control: such a check would have hidden it. It was open all the while.
    const [hidden] = await rowsOf<{ count: number }>(
      postgres.connection,
      `select count(*)::int as count from "${schema}".events where xmin::text::bigint >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint`,
    );
    expect(hidden?.count).toBe(1);
    expect(await rowsOf(foreign, `select n from ${table}`)).toEqual([{ n: 1 }]);
    await foreign.db.execute('rollback');
    await rowsOf(postgres.connection, `drop table ${table}`);
  });

  test('a transaction that could not see what was committed before the lock is refused', async () => {
    const schema = await postgres.namespace();
    const connection = await postgres.database.open();
    for (const level of ['repeatable read', 'serializable']) {
      await connection.db.execute(`begin isolation level ${level}`);
      await expect(appendEventsOn(connection, schema, [command(event())])).rejects.toMatchObject({
        cause: { message: `An event store is written at READ COMMITTED, not at ${level}` },
      });
      await connection.db.execute('rollback');
    }
    await connection.db.execute('begin isolation level read committed');
    expect(await appendEventsOn(connection, schema, [command(event())])).toMatchObject([
      { kind: 'appended' },
    ]);
    await connection.db.execute('commit');
  });

  test('an event that commits late is not skipped by a reader, and leaves no gap when it is taken back', async () => {
    const schema = await postgres.namespace();
    const engine = new PostgresEventEngine({ connections: postgres.pool(), schema });
    const slow = await postgres.database.open();
    for (const end of ['commit', 'rollback']) {
      const head = await engine.head();
      await slow.db.execute('begin');
      await appendEventsOn(slow, schema, [command(event('Slow'))]);
      const fast = engine.append([command(event('Fast'))]);
      await waitForBlocked(schema, 1);
      expect(await engine.read(reading('all', { after: head }))).toEqual([]);
      await slow.db.execute(end);
      const position = head + (end === 'commit' ? 2n : 1n);
      expect(await fast).toEqual([{ kind: 'appended', position, isRepeated: false }]);
      expect((await engine.read(reading('all', { after: head }))).map(({ type }) => type)).toEqual(
        end === 'commit' ? ['Slow', 'Fast'] : ['Fast'],
      );
    }
  });

  test('the message store beside it is not held up, nor does it hold up', async () => {
    const schema = await postgres.namespace();
    const slow = await postgres.database.open();
    await slow.db.execute('begin');
    await appendEventsOn(slow, schema, [command(event())]);
    await rowsOf(
      postgres.connection,
      `begin; lock table "${schema}".append_lock in share update exclusive mode nowait; commit`,
    );
    // The control: the lock of the events is taken.
    await expect(
      rowsOf(
        postgres.connection,
        `begin; lock table "${schema}".events_lock in share update exclusive mode nowait; commit`,
      ),
    ).rejects.toMatchObject({ cause: { code: '55P03' } });
    await rowsOf(postgres.connection, 'rollback');
    await slow.db.execute('rollback');
  });
});
