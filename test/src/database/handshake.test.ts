import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { migrateDatabase } from '../../../local/migrate.ts';
import { REPOSITORY } from '../../../local/repository.ts';
import { openConnection } from '../../../src/database/connection.ts';
import { Handshake } from '../../../src/database/handshake.ts';
import { CA_FILE, type Certificate, tlsPostgres } from '../../support/tls-postgres.ts';

const postgres = tlsPostgres();

/** Opens a connection in a separate process, which trusts the test CA. */
async function whereCaIsTrusted(url: string): Promise<string> {
  const script = `
    import { openConnection } from ${JSON.stringify(join(REPOSITORY, 'src/database/connection.ts'))};
    try {
      const connection = await openConnection({ url: process.env.URL_OF_TEST, driver: 'tcp' });
      const { rows } = await connection.db.execute('select ssl from pg_stat_ssl where pid = pg_backend_pid()');
      console.log('ssl ' + rows[0].ssl);
      process.exit(0);
    } catch (error) {
      console.log(error.code + ' ' + error.message);
      process.exit(0);
    }`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--no-warnings', '--input-type=module', '-e', script],
    {
      env: {
        ...process.env,
        NODE_EXTRA_CA_CERTS: CA_FILE,
        NODE_TLS_REJECT_UNAUTHORIZED: '0',
        URL_OF_TEST: url,
      },
    },
  );
  return stdout.trim();
}

describe('TLS', () => {
  test('that the server does not have is told as that', async () => {
    const url = postgres.url('?sslmode=require');
    for (const open of [() => openConnection({ url, driver: 'tcp' }), () => migrateDatabase(url)]) {
      await expect(open()).rejects.toMatchObject({
        code: 'database_unreachable',
        message: expect.stringContaining(
          'The server has no TLS, and the address asks for it: leave sslmode out',
        ),
      });
    }
  });

  test('with a private CA is told as that with the remedy, whatever sslmode asks for it', async () => {
    await postgres.use('server');
    for (const mode of ['require', 'verify-ca', 'verify-full']) {
      const url = postgres.url(`?sslmode=${mode}`);
      for (const open of [() => openConnection({ url, driver: 'tcp' }), () => migrateDatabase(url)]) {
        await expect(open()).rejects.toMatchObject({
          code: 'database_unreachable',
          message: expect.stringMatching(
            /The TLS handshake failed\. .*not trusted here.*NODE_EXTRA_CA_CERTS/,
          ),
        });
      }
      expect(await whereCaIsTrusted(url)).toBe('ssl true');
    }
    expect(await whereCaIsTrusted(postgres.url(''))).toBe('ssl false');
  });

  test.each<[Certificate, string]>([
    ['other-host', 'The certificate of the server is for another name'],
    ['expired', 'The certificate of the server has expired'],
  ])(
    'with the certificate %s is refused, and no variable of Node changes it',
    async (certificate, because) => {
      await postgres.use(certificate);
      expect(await whereCaIsTrusted(postgres.url('?sslmode=require'))).toMatch(
        new RegExp(`^database_unreachable Cannot reach .*The TLS handshake failed\\. ${because}`),
      );
    },
  );
});

describe('the reason of a failure', () => {
  test.each(['internal error; reference = 24aafclhj5v6h7e1i4kepa9t', 'TLS Handshake Failed.'])(
    'that workerd gives as %j is the certificate’s during the handshake, and only then',
    (text) => {
      expect(new Handshake(true).reasonOf(new Error(text))).toMatch(
        /^The TLS handshake failed\. The certificate of the server is not accepted\. .*private CA.*Hyperdrive/,
      );
      expect(new Handshake().reasonOf(new Error(text))).toBe(text);
    },
  );

  test('that is none of the certificate says that it was in the handshake', () => {
    expect(new Handshake(true).reasonOf(new Error('Connection terminated unexpectedly'))).toBe(
      'The TLS handshake failed. Connection terminated unexpectedly',
    );
  });

  test.each([
    'no pg_hba.conf entry for host "192.0.2.1", user "me", database "app", no encryption',
    'connection is insecure (try using `sslmode=require`)',
  ])('of a server that asks for TLS names the remedy: %s', (text) => {
    expect(new Handshake().reasonOf(new Error(text))).toBe(
      `${text}. The server may ask for TLS: add sslmode=require to the address`,
    );
  });
});
