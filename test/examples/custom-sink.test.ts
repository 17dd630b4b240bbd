import { expect, test } from 'vitest';
import { readings, readingsSink } from '../../examples/custom-sink.ts';
import { migrateDatabase } from '../../local/migrate.ts';
import { openConnection } from '../../src/database/connection.ts';
import { Pipeline } from '../../src/ingest/pipeline.ts';
import { rowsOf } from '../support/connect.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { NodeSqlite } from '../support/node-sqlite.ts';
import { ownDatabase } from '../support/own-database.ts';

const own = ownDatabase();

test('the sink of the page writes each member into its column', async () => {
  await migrateDatabase(own.url);
  await rowsOf(
    own.connection,
    'create table readings (id bigint generated always as identity primary key, device text not null, celsius double precision, received_at timestamptz not null)',
  );
  const timers = new FakeTimers(Date.UTC(2026, 0, 2));
  const pipeline = new Pipeline({
    sink: readingsSink,
    openConnection: () => openConnection(own.target),
    timers,
    random: Math.random,
    sqlite: new NodeSqlite(),
    randomId: () => 'one',
  });
  const session = pipeline.openSession(
    { send() {}, close() {} },
    { producer: 'kitchen', protocol: 'raw', nowMs: timers.now() },
  );
  session.receive('{"celsius":21.5}\n{"celsius":"warm"}', timers.now());
  timers.advance(2);
  pipeline.flush();
  await pipeline.drained();
  const rows = await own.connection.db.select().from(readings);
  expect(rows).toMatchObject([
    { device: 'kitchen', celsius: 21.5, receivedAt: new Date(Date.UTC(2026, 0, 2)) },
    { device: 'kitchen', celsius: null },
  ]);
});
