/** The database of the pages, `postgres://user:password@db.example.com/app`, on the Postgres of the tests. One at a time. */

import { inject } from 'vitest';
import { PgClient } from '../../src/database/client.ts';

export interface AppDatabase {
  /** Its address on this machine. */
  readonly url: string;
  /** Host and port of its server. */
  readonly place: string;
  query(text: string): Promise<unknown[]>;
  close(): Promise<void>;
}

export async function openAppDatabase(): Promise<AppDatabase> {
  const server = new URL(inject('databaseUrl'));
  await on(server.href, async (admin) => {
    await admin.query('drop database if exists app with (force)');
    await admin.query('drop role if exists "user"');
    await admin.query(`create role "user" login password 'password'`);
    await admin.query('create database app owner "user"');
  });
  const url = `postgres://user:password@127.0.0.1:${server.port}/app`;
  const client = new PgClient(url);
  await client.connect();
  return {
    url,
    place: `127.0.0.1:${server.port}`,
    async query(text) {
      return (await client.query(text)).rows;
    },
    async close() {
      await client.end();
      await on(server.href, async (admin) => {
        await admin.query('drop database app with (force)');
        await admin.query('drop role "user"');
      });
    },
  };
}

async function on(url: string, work: (client: PgClient) => Promise<void>): Promise<void> {
  const client = new PgClient(url);
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
