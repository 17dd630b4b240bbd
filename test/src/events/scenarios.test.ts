import { PostgresEventEngine } from '../../../src/events/engines/postgres-engine.ts';
import { SqliteEventEngine } from '../../../src/events/engines/sqlite-engine.ts';
import { dcbScenarios } from '../../support/dcb-scenarios.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';
import { storeDatabase } from '../store/postgres-support.ts';

dcbScenarios('Node’s SQLite', async () => new SqliteEventEngine(new NodeSqlite()));

const postgres = storeDatabase();
let engine: PostgresEventEngine | undefined;

dcbScenarios('Postgres', async () => {
  engine ??= new PostgresEventEngine({
    connections: postgres.pool(),
    schema: await postgres.namespace(),
  });
  await engine.clear();
  return engine;
});
