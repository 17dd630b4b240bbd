/** A Postgres with TLS, and the test certificate that a test wants. */

import { chown, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../local/postgres/embedded.ts';
import { parseAddress } from '../../src/database/address.ts';
import { SETTINGS, temporaryData } from '../local/postgres/support.ts';
import { rowsOf } from './connect.ts';
import { openConnection } from './open-connection.ts';
import { eventually } from './patience.ts';

export const CERTIFICATES = join(import.meta.dirname, 'certificates');
/** What has to be in NODE_EXTRA_CA_CERTS for the test certificates to be trusted. */
export const CA_FILE = join(CERTIFICATES, 'ca.pem');

export type Certificate = 'server' | 'other-host' | 'expired';

export interface TlsPostgres {
  /** Its address with `localhost` as the host, for which the certificates `server` and `expired` are. */
  url(parameters: string): string;
  /** Gives it another certificate; new connections see it. */
  use(certificate: Certificate): Promise<void>;
}

/** To be called where tests are collected. It begins without TLS. */
export function tlsPostgres(): TlsPostgres {
  let data: Awaited<ReturnType<typeof temporaryData>>;
  let postgres: EmbeddedPostgres;
  beforeAll(async () => {
    data = await temporaryData();
    postgres = await startEmbeddedPostgres({
      dataDirectory: data.dataDirectory,
      port: 0,
      settings: SETTINGS,
    });
  });
  afterAll(async () => {
    await postgres.stop();
    await data.remove();
  });
  return {
    url(parameters) {
      const { user, password, port, database } = parseAddress(postgres.url);
      return `postgres://${user}:${password}@localhost:${port}/${database}${parameters}`;
    },
    async use(certificate) {
      const { uid, gid } = await stat(postgres.dataDirectory);
      for (const [from, to] of [
        [`${certificate}.pem`, 'server.crt'],
        [`${certificate}-key.pem`, 'server.key'],
      ] as const) {
        const file = join(postgres.dataDirectory, to);
        await rm(file, { force: true });
        await writeFile(file, await readFile(join(CERTIFICATES, from)), { mode: 0o600 });
        await chown(file, uid, gid);
      }
      const admin = await openConnection({ url: postgres.url, driver: 'tcp' });
      const [before] = await rowsOf<{ at: string }>(admin, 'select pg_conf_load_time()::text as at');
      await rowsOf(admin, 'alter system set ssl = on');
      await rowsOf(admin, 'select pg_reload_conf()');
      admin.close();
      // The server's first process reads the files, and a session of before does not tell when it has.
      await eventually(async () => {
        const look = await openConnection({ url: postgres.url, driver: 'tcp' });
        const [now] = await rowsOf<{ at: string }>(look, 'select pg_conf_load_time()::text as at');
        look.close();
        if (now?.at === before?.at) throw new Error('the server has not read its settings yet');
      });
    },
  };
}
