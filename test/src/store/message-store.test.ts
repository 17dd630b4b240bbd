/** The message store on Node's SQLite, in memory and in a file. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { NodeSqlite } from '../../../local/sqlite.ts';
import { MessageStore } from '../../../src/store/message-store.ts';
import { SqliteMessageEngine } from '../../../src/store/sqlite-engine.ts';
import { messageStoreContract } from '../../support/message-store-contract.ts';
import { SQLITE_ENGINE_CASES } from '../../support/sqlite-engine-cases.ts';

messageStoreContract('SQLite in memory', async () => {
  const sqlite = new NodeSqlite();
  const engine = new SqliteMessageEngine(sqlite);
  return { store: new MessageStore(engine), engine, close: async () => sqlite.close() };
});

messageStoreContract('SQLite in a file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-store-'));
  const sqlite = new NodeSqlite(join(folder, 'store.db'), { synchronous: 'normal' });
  const engine = new SqliteMessageEngine(sqlite);
  return {
    store: new MessageStore(engine),
    engine,
    async close() {
      sqlite.close();
      rmSync(folder, { recursive: true });
    },
  };
});

describe('the engine in Node’s SQLite', () => {
  test.each(SQLITE_ENGINE_CASES)('$name', async ({ run }) => {
    const sqlite = new NodeSqlite();
    await run(sqlite);
    sqlite.close();
  });
});

describe('a file', () => {
  test('two connections take turns: positions stay sequential, and neither is refused', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-store-'));
    const open = (): NodeSqlite => new NodeSqlite(join(folder, 'store.db'), { synchronous: 'normal' });
    const connections = [open(), open()];
    const stores = connections.map((sqlite) => new MessageStore(new SqliteMessageEngine(sqlite)));
    for (let index = 0; index < 20; index += 1) {
      const store = stores[index % 2] as MessageStore;
      expect(await store.write('a-1', { type: 'A' })).toEqual({
        position: BigInt(index),
        globalPosition: BigInt(index + 1),
      });
      await store.readStream('a-1');
    }
    for (const sqlite of connections) sqlite.close();

    const again = open();
    expect(await new MessageStore(new SqliteMessageEngine(again)).info()).toEqual({
      messages: 20n,
      head: 20n,
    });
    expect(again.run('pragma journal_mode')).toEqual([{ journal_mode: 'wal' }]);
    again.close();
    rmSync(folder, { recursive: true });
  });
});
