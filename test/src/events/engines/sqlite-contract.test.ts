import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { SqliteEventEngine } from '../../../../src/events/engines/sqlite-engine.ts';
import { eventStoreContract } from '../../../support/event-store-contract.ts';
import { NodeSqlite } from '../../../support/node-sqlite.ts';

eventStoreContract('Node’s SQLite in memory', async () => {
  const sqlite = new NodeSqlite();
  return {
    engine: new SqliteEventEngine(sqlite),
    openSecond: async () => new SqliteEventEngine(sqlite),
    close: async () => sqlite.close(),
  };
});

const folder = mkdtempSync(join(tmpdir(), 'sluice-events-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;

eventStoreContract('Node’s SQLite in a file, through two connections', async () => {
  files += 1;
  const path = join(folder, `${files}.db`);
  const opened: NodeSqlite[] = [];
  const open = (): SqliteEventEngine => {
    const sqlite = new NodeSqlite(path, { synchronous: 'normal' });
    opened.push(sqlite);
    return new SqliteEventEngine(sqlite);
  };
  return {
    engine: open(),
    openSecond: async () => open(),
    close: async () => {
      for (const sqlite of opened) sqlite.close();
    },
  };
});
