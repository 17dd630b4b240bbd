import { describe, expect, test } from 'vitest';
import { commandLine, type Ended } from '../../support/command-line.ts';
import { fakeWorker } from '../../support/fake-worker.ts';

const cli = commandLine();

const worker = fakeWorker();

function run(command: string): Promise<Ended> {
  return cli.run([...command.split(' '), '--url', worker.url], { SLUICE_OPERATOR_TOKEN: '' });
}

const SESSION = {
  shard: 3,
  producer: 'acme/device-7',
  tenant: 'acme',
  token: 'jti-1',
  protocol: 'sluice.v1',
  openedAt: '2026-12-01T13:10:07.001Z',
  expiresAt: null,
};

describe('sessions', () => {
  test('list shows who is connected, of the only sink where none is named', async () => {
    const evil = {
      ...SESSION,
      producer: '\u001b[2Jevil',
      token: null,
      expiresAt: '2026-12-01T14:10:07.001Z',
    };
    worker.answers = [
      { sinks: { readings: {} } },
      { sink: 'readings', count: 3, sessions: [SESSION, evil] },
    ].map((body) => ({ body }));
    const { exitCode, stdout } = await run('sessions list');
    expect(exitCode).toBe(0);
    expect(worker.asked.map(({ path }) => path)).toEqual(['/stats', '/admin/readings/sessions']);
    expect(stdout.split('\n')).toEqual([
      'shard  opened                    expires                   speaks     token  producer',
      '3      2026-12-01T13:10:07.001Z  -                         sluice.v1  jti-1  acme/device-7',
      '3      2026-12-01T13:10:07.001Z  2026-12-01T14:10:07.001Z  sluice.v1  -      \\u001b[2Jevil',
      '3 sessions, of which 2 are shown',
      '',
    ]);
    worker.answers = [{ sink: 'readings', count: 1, sessions: [SESSION] }].map((body) => ({ body }));
    const json = await run('sessions list --sink readings --json');
    expect(JSON.parse(json.stdout)).toEqual({ sink: 'readings', count: 1, sessions: [SESSION] });
  });

  test('end, revoke and reinstate say who is meant, and how many sessions were closed', async () => {
    worker.answers = [
      { closed: 1, untold: [] },
      { closed: 2, untold: [] },
      { closed: 0, untold: [] },
      { untold: [] },
    ].map((body) => ({ body }));
    const printed: string[] = [];
    for (const command of [
      'sessions end --sink readings --producer acme/device-7',
      'sessions revoke --token-id jti-1 --seconds 60',
      'sessions revoke --tenant acme',
      'sessions reinstate --tenant acme',
    ]) {
      const { stdout, exitCode } = await run(command);
      expect(exitCode).toBe(0);
      printed.push(stdout);
    }
    expect(printed).toEqual([
      'closed 1 session\n',
      'revoked, and closed 2 sessions\n',
      'revoked, and closed 0 sessions\n',
      'reinstated\n',
    ]);
    expect(worker.asked).toMatchObject([
      { method: 'POST', path: '/admin/readings/sessions/end', body: { producer: 'acme/device-7' } },
      { method: 'POST', path: '/admin/revoke', body: { token: 'jti-1', seconds: 60 } },
      { method: 'POST', path: '/admin/revoke', body: { tenant: 'acme' } },
      { method: 'POST', path: '/admin/reinstate', body: { tenant: 'acme' } },
    ]);
  });

  test('shards that were not told are named, and the exit code says so', async () => {
    worker.answers = [{ closed: 1, untold: [{ sink: 'readings', shard: 4 }] }].map((body) => ({ body }));
    const { exitCode, stderr } = await run('sessions revoke --producer device-7');
    expect(exitCode).toBe(1);
    expect(stderr).toContain('1 shard did not answer (readings/4): run the command again');
  });

  test('revoked lists what is revoked', async () => {
    const revocations = [
      { kind: 'tenant', name: 'acme', at: '2026-12-01T13:10:07.001Z', until: null },
      { kind: 'token', name: 'jti-1', at: '2026-12-01T13:09:07.001Z', until: '2026-12-02T13:09:07.001Z' },
    ];
    worker.answers = [{ revocations }].map((body) => ({ body }));
    const { stdout } = await run('sessions revoked');
    expect(stdout.split('\n')).toEqual([
      'revoked                   until                     what    name',
      '2026-12-01T13:10:07.001Z  -                         tenant  acme',
      '2026-12-01T13:09:07.001Z  2026-12-02T13:09:07.001Z  token   jti-1',
      '2 revocations',
      '',
    ]);
  });

  test.each(['end --sink readings', 'revoke', 'reinstate', 'revoke --producer a --tenant b'])(
    '%s asks nobody where it is not clear who is meant',
    async (command) => {
      const { exitCode, stderr } = await run(`sessions ${command}`);
      expect(exitCode).not.toBe(0);
      expect(stderr).toMatch(/--producer/);
      expect(worker.asked).toEqual([]);
    },
  );
});
