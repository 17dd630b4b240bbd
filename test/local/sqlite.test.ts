import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { NodeSqlite, type NodeSqliteOptions } from '../../local/sqlite.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-sqlite-'));
const opened: NodeSqlite[] = [];
afterAll(() => {
  for (const sqlite of opened) sqlite.close();
  rmSync(folder, { recursive: true, force: true });
});

let files = 0;
const newFile = (): string => {
  files += 1;
  return join(folder, `${files}.db`);
};

function open(path?: string, options?: NodeSqliteOptions): NodeSqlite {
  const sqlite = new NodeSqlite(path, options);
  opened.push(sqlite);
  return sqlite;
}

function withTable(path?: string, options?: NodeSqliteOptions): NodeSqlite {
  const sqlite = open(path, options);
  sqlite.run('create table if not exists t (a integer)');
  return sqlite;
}

const valuesOf = (sqlite: NodeSqlite): number[] => sqlite.rows<[number]>('select a from t').map(([a]) => a);

/** Throws to have a transaction undone. */
class Undo extends Error {}
const undo = (): never => {
  throw new Undo();
};

describe.each(['in memory', 'in a file'])('a database %s', (place) => {
  const table = (): NodeSqlite => withTable(place === 'in memory' ? undefined : newFile());

  test('gives rows as objects and as arrays', () => {
    const sqlite = table();
    sqlite.run('insert into t values (?), (?)', 1, null);
    expect(sqlite.run('select a, 2 as b from t')).toEqual([
      { a: 1, b: 2 },
      { a: null, b: 2 },
    ]);
    expect(sqlite.rows('select a, 2 as b from t')).toEqual([
      [1, 2],
      [null, 2],
    ]);
    expect(sqlite.run('select a from t where a = ?', 1), 'the other form again').toEqual([{ a: 1 }]);
  });

  test('undoes a transaction that throws, and only the inner one where that is caught', () => {
    const sqlite = table();
    expect(() =>
      sqlite.transaction(() => {
        sqlite.run('insert into t values (1)');
        undo();
      }),
    ).toThrow(Undo);
    expect(valuesOf(sqlite)).toEqual([]);
    sqlite.transaction(() => {
      sqlite.run('insert into t values (2)');
      expect(() =>
        sqlite.transaction(() => {
          sqlite.run('insert into t values (3)');
          sqlite.transaction(() => sqlite.run('insert into t values (4)'));
          undo();
        }),
      ).toThrow(Undo);
      sqlite.transaction(() => sqlite.run('insert into t values (5)'));
    });
    expect(valuesOf(sqlite)).toEqual([2, 5]);
    expect(sqlite.transaction(() => 'a result')).toBe('a result');
  });

  test('takes part in a transaction that a statement began', () => {
    const sqlite = table();
    sqlite.run('begin');
    sqlite.transaction(() => sqlite.run('insert into t values (1)'));
    expect(() => sqlite.transaction(undo)).toThrow(Undo);
    sqlite.run('rollback');
    expect(valuesOf(sqlite)).toEqual([]);
  });

  test('counts the rows that were written', () => {
    const sqlite = table();
    const before = sqlite.rowsWritten;
    sqlite.run('insert into t values (1), (2)');
    sqlite.run('update t set a = 3');
    expect(sqlite.rowsWritten - before).toBe(4);
  });

  test('keeps as many prepared statements as it was told, and goes on beyond', () => {
    const sqlite = open(undefined, { maxStatements: 2 });
    for (let round = 0; round < 2; round += 1)
      for (let n = 0; n < 5; n += 1) expect(sqlite.rows(`select ${n}`)).toEqual([[n]]);
  });
});

describe('a file', () => {
  test('is in WAL mode, and waits for the disk unless it is told otherwise', () => {
    const setting = (sqlite: NodeSqlite, name: string): unknown =>
      sqlite.rows<[string | number]>(`pragma ${name}`)[0]?.[0];
    const full = open(newFile());
    expect([setting(full, 'journal_mode'), setting(full, 'synchronous')]).toEqual(['wal', 2]);
    const normal = open(newFile(), { synchronous: 'normal' });
    expect([setting(normal, 'journal_mode'), setting(normal, 'synchronous')]).toEqual(['wal', 1]);
  });

  test('a transaction has the right to write from its beginning: nobody writes between what it reads and what it writes', () => {
    const path = newFile();
    const first = withTable(path);
    const second = withTable(path, { busyTimeoutMs: 0 });
    first.transaction(() => {
      expect(valuesOf(first)).toEqual([]);
      expect(() => second.run('insert into t values (1)')).toThrow(/locked/);
      expect(valuesOf(second), 'readers are not kept out').toEqual([]);
      first.run('insert into t values (2)');
    });
    second.run('insert into t values (3)');
    expect(valuesOf(first)).toEqual([2, 3]);
  });
});
