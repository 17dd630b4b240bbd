/** The Workers of `examples/workers`, bundled and run in workerd, with a client and a table. */

import { afterEach, expect, test } from 'vitest';
import { migrateDatabase } from '../../local/migrate.ts';
import { type LocalWorker, type ObjectBinding, startWorker } from '../../local/worker.ts';
import { SluiceClient } from '../../src/client/index.ts';
import { rowsOf } from '../support/connect.ts';
import { ownDatabase } from '../support/own-database.ts';

const own = ownDatabase();
let worker: LocalWorker | undefined;
afterEach(async () => worker?.stop());

async function start(main: string, objects?: ObjectBinding[]): Promise<string> {
  await migrateDatabase(own.url);
  worker = await startWorker({
    main,
    ...(objects === undefined ? {} : { objects }),
    bindings: {
      AUTHORIZE: 'open',
      OPERATORS: 'open',
      BENCH: 'open',
      DATABASE_URL: own.url,
      OPEN_NAMESPACE: 'default',
    },
  });
  return worker.url.origin;
}

async function send(url: string, messages: object[]): Promise<void> {
  const client = new SluiceClient({ url, producer: 'kitchen', ack: 'committed' });
  await Promise.all(messages.map((message) => client.send(message)));
  expect(await client.close()).toMatchObject({ unacked: 0 });
}

test('examples/workers/columns.ts writes each member into its column', async () => {
  const origin = await start('examples/workers/columns.ts', ['SHARD']);
  await rowsOf(
    own.connection,
    "create table readings (id bigint generated always as identity primary key, device text not null, celsius double precision, room text not null default 'unknown', received_at timestamptz not null)",
  );
  await send(`${origin}/ws/readings`, [{ celsius: 21.5, room: 'hall' }, { celsius: 'warm' }]);
  expect(
    await rowsOf(own.connection, 'select id::int, device, celsius, room from readings order by id'),
  ).toEqual([
    { id: 1, device: 'kitchen', celsius: 21.5, room: 'hall' },
    { id: 2, device: 'kitchen', celsius: null, room: 'unknown' },
  ]);
});

test('examples/workers/mapping.ts keeps other members, asks the schema, and makes rows by a function', async () => {
  const origin = await start('examples/workers/mapping.ts', ['SHARD']);
  await rowsOf(
    own.connection,
    'create table orders (id bigint primary key, customer text not null, extra jsonb)',
  );
  await rowsOf(
    own.connection,
    'create table measurements (device text not null, celsius double precision, measured_at timestamptz not null)',
  );
  const client = new SluiceClient({ url: `${origin}/ws/orders`, producer: 'kitchen', ack: 'committed' });
  await client.sendText('{"id":9007199254740993,"customer":"a","total":1.10}');
  await client.close();
  await send(`${origin}/ws/measurements`, [{ device: 'A', fahrenheit: 212, at: 0 }]);
  const refused = new SluiceClient({ url: `${origin}/ws/measurements`, producer: 'hall', ack: 'committed' });
  await expect(refused.send({ device: 'B', fahrenheit: 'warm', at: 0 })).rejects.toMatchObject({
    code: 'invalid_message',
    message: expect.stringContaining('fahrenheit'),
  });
  await refused.close();
  expect(await rowsOf(own.connection, 'select id::text, customer, extra::text from orders')).toEqual([
    { id: '9007199254740993', customer: 'a', extra: '{"total": 1.10}' },
  ]);
  expect(
    await rowsOf(
      own.connection,
      'select device, celsius, extract(epoch from measured_at)::int as at from measurements',
    ),
  ).toEqual([{ device: 'a', celsius: 100, at: 0 }]);
});

test('examples/workers/upserts.ts keeps the newest values of each device', async () => {
  const origin = await start('examples/workers/upserts.ts', ['SHARD']);
  await rowsOf(
    own.connection,
    'create table latest (device text, sensor text, celsius double precision, measured_at timestamptz not null, primary key (device, sensor))',
  );
  const at = (minute: number) => `2026-01-01T00:0${minute}:00Z`;
  await send(`${origin}/ws/latest`, [
    { device: 'a', sensor: 'in', celsius: 20, measuredAt: at(1) },
    { device: 'a', sensor: 'out', celsius: 3, measuredAt: at(2) },
    { device: 'a', sensor: 'in', celsius: 22, measuredAt: at(3) },
    { device: 'a', sensor: 'in', celsius: 21, measuredAt: at(2) },
  ]);
  expect(await rowsOf(own.connection, 'select sensor, celsius from latest order by sensor')).toEqual([
    { sensor: 'in', celsius: 22 },
    { sensor: 'out', celsius: 3 },
  ]);
});

test('examples/workers/routes.ts writes a message to each table whose route takes it', async () => {
  const origin = await start('examples/workers/routes.ts', ['SHARD']);
  await rowsOf(
    own.connection,
    `create table trades (symbol text not null, price double precision not null, volume bigint not null);
     create table quotes (symbol text not null, bid double precision, ask double precision);
     create table received (message jsonb not null)`,
  );
  await send(`${origin}/ws/market`, [
    { kind: 'trade', symbol: 'A', price: 1.5, volume: 3 },
    { kind: 'quote', symbol: 'B', bid: 2 },
    { kind: 'halt', symbol: 'C' },
  ]);
  expect(await rowsOf(own.connection, 'select symbol, price, volume::int from trades')).toEqual([
    { symbol: 'A', price: 1.5, volume: 3 },
  ]);
  expect(await rowsOf(own.connection, 'select * from quotes')).toEqual([{ symbol: 'B', bid: 2, ask: null }]);
  expect(
    await rowsOf(own.connection, "select message ->> 'symbol' as symbol from received order by 1"),
  ).toEqual([{ symbol: 'A' }, { symbol: 'B' }, { symbol: 'C' }]);
});

test('examples/workers/hono-app.ts has a socket below its path', async () => {
  const origin = await start('examples/workers/hono-app.ts', ['SHARD']);
  await rowsOf(own.connection, 'create table notes (text text not null)');
  expect(await (await fetch(origin)).text()).toBe('The application');
  await send(`${origin}/sluice/ws/notes`, [{ text: 'milk' }]);
  expect(await rowsOf(own.connection, 'select text from notes')).toEqual([{ text: 'milk' }]);
  // The parts that it does not ask for are not there.
  expect((await fetch(`${origin}/sluice/bench/suites`)).status).toBe(404);
});

test('examples/workers/all-parts.ts has the stores and the bench', async () => {
  const origin = await start('examples/workers/all-parts.ts');
  expect((await fetch(`${origin}/bench/suites`)).status).toBe(200);
  const answer = await fetch(`${origin}/rpc`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '["sys.version"]',
  });
  expect(answer.status).toBe(200);
});
