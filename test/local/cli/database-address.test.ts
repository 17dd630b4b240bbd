/** What the commands say about a database address before anything is started, and about a database that only they reach. */

import { connect, createServer, type Server } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type LocalWorker, startWorker } from '../../../local/worker.ts';
import { formatAddress, parseAddress } from '../../../src/database/address.ts';
import { commandLine } from '../../support/command-line.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { CA_FILE, tlsPostgres } from '../../support/tls-postgres.ts';

const cli = commandLine();
const url = inject('databaseUrl');

/** The smallest run of the suite. */
const STRESS = 'bench stress --mode sync --start 100 --end 100 --step 100 --concurrency 1 --reps 1'.split(
  ' ',
);

const COMMANDS = [
  ['migrate'],
  ['bench'],
  ['bench', 'rates'],
  ['bench', 'stress'],
  ['bench', 'dcb', '--engines', 'postgres'],
  ['bench', 'store', '--engines', 'postgres'],
  ['bench', 'clean'],
  ['dev', '--port', '59873'],
];

describe.each(COMMANDS)('%s %s', (...args) => {
  const command = args.filter((arg) => typeof arg === 'string');
  async function run(env: Record<string, string>) {
    const more = command[0] === 'dev' ? ['--persist-to', path.join(cli.folder, 'state')] : [];
    return cli.run([...command, ...more], env);
  }

  test('refuses an address that a Worker cannot use, with the same sentence as the others', async () => {
    const { exitCode, stderr } = await run({
      DATABASE_URL: `postgres://me:TOPSECRET@127.0.0.1:1/app?sslmode=no-verify`,
    });
    expect(stderr.split('\n').at(-2)).toMatch(
      /^sluice: Cannot use the parameter sslmode of the database address: a Worker cannot skip the check of a certificate\./,
    );
    expect(stderr).not.toContain('TOPSECRET');
    expect(exitCode).toBe(2);
  });

  test('says that it does not read PGPASSWORD, and does not', async () => {
    const { password, ...rest } = parseAddress(url);
    const { exitCode, stdout, stderr } = await run({
      DATABASE_URL: formatAddress({ ...rest, password: undefined }),
      PGPASSWORD: password as string,
      PGOPTIONS: '-c no_such_setting=1',
    });
    expect(stdout + stderr).toContain('Not read: PGOPTIONS, PGPASSWORD.');
    expect(stderr).toContain('the server asks for a password, and the address has none');
    expect(exitCode).toBe(4);
  });
});

describe('a database that Node reaches and the Worker does not', () => {
  const postgres = tlsPostgres();
  const onlyNode = { NODE_OPTIONS: `--import=${path.resolve('test/support/trust-test-ca.ts')}` };
  beforeAll(() => postgres.use('server'));

  test.each([
    ['ingest', '--clients', '1', '--messages', '10', '--reps', '1'],
    ['rates'],
    ['dcb', '--engines', 'object'],
  ])('ends bench %s with exit code 4 and the Worker’s own sentence', async (...args) => {
    const { exitCode, stdout, stderr } = await cli.run(['bench', ...args], {
      DATABASE_URL: postgres.url('?sslmode=require'),
      ...onlyNode,
    });
    expect(stderr).toMatch(
      /sluice: The Worker cannot use its database: Cannot reach the database sluice@localhost.*The TLS handshake failed\. The certificate of the server is not accepted/,
    );
    expect(stdout).toBe('');
    expect(exitCode).toBe(4);
  });

  test('does not end a bench whose Worker trusts the CA as well', async () => {
    const { exitCode, stderr } = await cli.run(
      ['bench', '--modes', 'copy', '--clients', '1', '--messages', '10', '--reps', '1', '--out', cli.folder],
      { DATABASE_URL: postgres.url('?sslmode=require'), NODE_EXTRA_CA_CERTS: CA_FILE },
    );
    expect(stderr).not.toContain('annot');
    expect(exitCode).toBe(0);
  });

  test('does not keep the suite stress from running, which has no Worker', async () => {
    const { exitCode, stderr } = await cli.run(STRESS, {
      DATABASE_URL: postgres.url('?sslmode=require'),
      ...onlyNode,
    });
    expect(stderr).not.toContain('The Worker cannot');
    expect(exitCode).toBe(0);
  });
});

describe('load', () => {
  let worker: LocalWorker;
  beforeAll(async () => {
    worker = await startWorker({
      bindings: { DATABASE_URL: 'postgres://me:TOPSECRET@127.0.0.1:1/app', OPERATORS: 'open' },
    });
  });
  afterAll(() => worker.stop());

  test('sends nothing to a Worker that does not reach its database, and exits 4', async () => {
    const { exitCode, stdout, stderr } = await cli.run(['load', '--url', worker.url.href]);
    expect(stderr).toMatch(
      /^sluice: The Worker cannot use its database: Cannot reach the database me@127\.0\.0\.1:1\/app/,
    );
    expect(stdout + stderr).not.toContain('TOPSECRET');
    expect(exitCode).toBe(4);
    const stats = (await (await fetch(new URL('/stats', worker.url))).json()) as {
      sinks: { messages: { shards: { received: number }[] } };
    };
    expect(stats.sinks.messages.shards.map(({ received }) => received)).toEqual(
      stats.sinks.messages.shards.map(() => 0),
    );
  });
});

describe('an IPv6 address', () => {
  const database = ownDatabase();
  let server: Server | undefined;
  let port = 0;
  beforeAll(async () => {
    const proxy = createServer((client) => {
      const upstream = connect(parseAddress(url).port, '127.0.0.1');
      for (const socket of [client, upstream]) socket.on('error', () => socket.destroy());
      client.pipe(upstream).pipe(client);
    });
    server = await new Promise((resolve) => {
      proxy.once('error', () => resolve(undefined));
      proxy.listen(0, '::1', () => resolve(proxy));
    });
    const bound = server?.address();
    port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  });
  afterAll(() => server?.close());

  test('leads the bench and its Worker to the same database', async ({ skip }) => {
    skip(server === undefined, 'this machine has no ::1');
    const { exitCode, stderr } = await cli.run(
      ['bench', '--modes', 'copy', '--clients', '1', '--messages', '10', '--reps', '1', '--out', cli.folder],
      { DATABASE_URL: formatAddress({ ...parseAddress(database.url), host: '::1', port }) },
    );
    expect(stderr).not.toContain('cannot');
    expect(exitCode).toBe(0);
  });
});
