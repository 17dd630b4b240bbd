import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { INGEST_PARAMETERS } from '../../../lab/suites/ingest/ingest-parameters.ts';
import { commandLine } from '../../support/command-line.ts';

const cli = commandLine();

/** Stands where the database should be: counts who knocks, and lets nobody in. */
interface Door {
  url: string;
  knocks: number;
}

let server: Server;
let door: Door;

beforeEach(async () => {
  door = { url: '', knocks: 0 };
  server = createServer((socket) => {
    door.knocks += 1;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  door.url = `postgres://sluice:topsecret@127.0.0.1:${address.port}/sluice`;
});

afterEach(() => {
  server.close();
});

describe('wrong options end with one line on stderr, exit 2, and nothing started', () => {
  test.each([
    { args: ['--clients', '0'], says: /"0" for clients: a whole number from 1 to 1000 is allowed/ },
    { args: ['--clients'], says: /--clients <n>.*missing/ },
    { args: ['--reps', '101'], says: /"101" for reps: a whole number from 1 to 100 is allowed/ },
    {
      args: ['--modes', 'copy,paste'],
      says: /"copy,paste" for modes: a comma-separated list of naive, buffered, bulk, unnest, copy/,
    },
    { args: ['--nonsense'], says: /unknown option '--nonsense'/ },
    { args: ['--client', '5'], says: /unknown option '--client' \(Did you mean --clients\?\)/ },
    { args: ['nosuch'], says: /There is no suite "nosuch": there are ingest/ },
    { args: ['ingest', 'twice'], says: /too many arguments/ },
    { args: ['--quick', '--full'], says: /Choose one of --quick and --full/ },
  ])('bench $args', async ({ args, says }) => {
    const { exitCode, stdout, stderr } = await cli.run(['bench', ...args], { DATABASE_URL: door.url });
    expect(stderr.trimEnd().split('\n')).toEqual([expect.stringMatching(says)]);
    expect(stderr).toMatch(/^sluice: .*\n$/);
    expect(stdout).toBe('');
    expect(exitCode).toBe(2);
    expect(door.knocks).toBe(0);
  });

  test('and with right options the database is asked', async () => {
    const { exitCode } = await cli.run(['bench', '--clients', '1', '--quick'], { DATABASE_URL: door.url });
    expect(door.knocks).toBeGreaterThan(0);
    expect(exitCode).toBe(4);
  });

  test('an unknown command ends the same way', async () => {
    expect(await cli.run(['bnech'], { DATABASE_URL: door.url })).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: expect.stringMatching(/^sluice: unknown command 'bnech'.*\n$/),
    });
  });

  test('a database address that is none is refused without being repeated', async () => {
    const { exitCode, stdout, stderr } = await cli.run(['bench'], {
      DATABASE_URL: 'mysql://u:topsecret@host/x',
    });
    expect(exitCode).toBe(2);
    expect(stderr).toContain('not of the form postgres://');
    expect(stdout + stderr).not.toContain('topsecret');
  });
});

describe('help', () => {
  test('of bench exits 0 and names every parameter with its bounds and its default', async () => {
    const { exitCode, stdout, stderr } = await cli.run(['bench', '--help'], { COLUMNS: '500' });
    expect(exitCode).toBe(0);
    expect(stderr).toBe('');
    const help = stdout.replaceAll(/\s+/g, ' ');
    for (const [name, spec] of Object.entries(INGEST_PARAMETERS)) {
      expect(help).toContain(`--${name} <`);
      expect(help).toContain(spec.description);
      if (spec.kind === 'integer')
        expect(help).toContain(`from ${spec.min} to ${spec.max}; default ${spec.default}`);
    }
    for (const flag of ['--reps', '--quick', '--full', '--out']) expect(help).toContain(flag);
    expect(help).not.toContain('--nonsense');
  });

  test('without a command goes to stderr, exits 2, and has no line that means nothing', async () => {
    const { exitCode, stdout, stderr } = await cli.run([]);
    expect(exitCode).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('bench [options] [suite]');
    expect(stderr).not.toContain('(outputHelp)');
  });
});

describe('a database that cannot be reached', () => {
  test.each(['tcp', 'neon'])(
    'exits 4, names host and reason, and tells no password (driver %s)',
    async (driver) => {
      const { exitCode, stdout, stderr } = await cli.run(['bench', '--driver', driver], {
        DATABASE_URL: 'postgres://someone:topsecret@127.0.0.1:1/sluice',
        SLUICE_DEBUG: '1',
      });
      expect(exitCode).toBe(4);
      expect(stdout).toBe('');
      expect(stderr).toContain('someone@127.0.0.1:1/sluice');
      expect(stderr).toMatch(driver === 'neon' ? /terminated|refused/i : /ECONNREFUSED/);
      expect(stderr).not.toContain('topsecret');
    },
  );
});
