/** The message store on Node's SQLite, in memory and in a file. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { NodeSqlite } from '../../../local/sqlite.ts';
import type { SqliteValue } from '../../../src/database/sqlite.ts';
import type { ImportRow } from '../../../src/messages/engine.ts';
import { SqliteMessageEngine } from '../../../src/messages/engines/sqlite-engine.ts';
import { MessageStore } from '../../../src/messages/message-store.ts';
import { idOf, messageStoreContract } from '../../support/message-store-contract.ts';
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

  test('its figures are of one moment, also where another connection imports meanwhile', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-store-'));
    const path = join(folder, 'store.db');
    const sqlite = new InterruptedSqlite(path);
    const other = new NodeSqlite(path);
    const engine = new SqliteMessageEngine(sqlite);
    const importer = new SqliteMessageEngine(other);
    let globalPosition = 1_000n;
    sqlite.after = () => {
      void importer.import([importedRow(globalPosition)]);
      globalPosition += 1_000n;
    };
    expect(await engine.info()).toEqual({ messages: 0n, head: 0n });
    expect(await engine.info()).toEqual({ messages: 1n, head: 1_000n });
    sqlite.close();
    other.close();
    rmSync(folder, { recursive: true });
  });
});

function importedRow(globalPosition: bigint): ImportRow {
  return {
    id: idOf(Number(globalPosition)),
    stream: `a-${globalPosition}`,
    category: 'a',
    cardinalHash: null,
    type: 'A',
    data: '{}',
    metadata: null,
    correlation: null,
    position: 0n,
    globalPosition,
    timeUs: 1,
  };
}

/** Lets something else happen behind each of its statements. */
class InterruptedSqlite extends NodeSqlite {
  after = (): void => {};

  override run<Row>(statement: string, ...bindings: SqliteValue[]): Row[] {
    const rows = super.run<Row>(statement, ...bindings);
    this.after();
    return rows;
  }

  override rows<Row extends readonly SqliteValue[]>(statement: string, ...bindings: SqliteValue[]): Row[] {
    const rows = super.rows<Row>(statement, ...bindings);
    this.after();
    return rows;
  }
}
