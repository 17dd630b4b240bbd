/** A database of a test file's own: the bench's tables have fixed names, and files run at the same time. */

import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, inject } from 'vitest';
import type { Connection } from '../../src/database/connection.ts';
import type { DatabaseTarget } from '../../src/database/target.ts';
import { freshName, rowsOf } from './connect.ts';
import { openConnection } from './open-connection.ts';

export interface OwnDatabase {
  readonly url: string;
  readonly target: DatabaseTarget;
  /** A connection that lasts until the end of the file. */
  readonly connection: Connection;
  /** The names of all tables, sorted. */
  tables(): Promise<string[]>;
}

/** To be called where tests are collected: makes the database before the first test, and drops it after the last. */
export function ownDatabase(): OwnDatabase {
  const server: DatabaseTarget = { url: inject('databaseUrl'), driver: 'tcp' };
  const name = freshName('own');
  const target: DatabaseTarget = {
    url: Object.assign(new URL(server.url), { pathname: `/${name}` }).href,
    driver: 'tcp',
  };
  let connection: Connection | undefined;
  async function onServer(statement: string): Promise<void> {
    const admin = await openConnection(server);
    try {
      await rowsOf(admin, statement);
    } finally {
      admin.close();
    }
  }
  beforeAll(async () => {
    await onServer(`create database ${name}`);
    connection = await openConnection(target);
  });
  afterAll(async () => {
    connection?.close();
    await onServer(`drop database ${name} with (force)`);
  });
  return {
    url: target.url,
    target,
    get connection() {
      if (connection === undefined) throw new Error('the database is there once the tests run');
      return connection;
    },
    async tables() {
      const rows = await rowsOf<{ name: string }>(
        this.connection,
        sql`select table_name as name from information_schema.tables where table_schema = 'public' order by 1`,
      );
      return rows.map((row) => row.name);
    },
  };
}
