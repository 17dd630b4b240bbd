/** `sluice token`: what it prints opens a Worker, and what is shown is no more than that. */

import { describe, expect, test } from 'vitest';
import { tokens } from '../../../src/access/tokens.ts';
import { commandLine } from '../../support/command-line.ts';

const cli = commandLine();

describe('a token that was made', () => {
  test('is known by what is printed with it', async () => {
    const { exitCode, stdout } = await cli.run(['token', 'sensor-7']);
    expect(exitCode).toBe(0);
    const [, token = '', , entry = ''] = stdout.split('\n').map((line) => line.trim());
    expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    const ask = (given: string) =>
      tokens(entry)(new Request('http://sluice/'), {
        sink: 'readings',
        producer: undefined,
        env: {},
        token: given,
        ticket: undefined,
        nowMs: 0,
      });
    expect(await ask(token)).toEqual({ tokenId: 'sensor-7' });
    expect(await ask(`${token}x`)).toBeUndefined();
  });

  test('is another each time; as JSON for programs', async () => {
    const made = await Promise.all(
      [1, 2].map(
        async () => JSON.parse((await cli.run(['token', '--json'])).stdout) as Record<string, string>,
      ),
    );
    expect(made[0]?.token).not.toBe(made[1]?.token);
    for (const { token, name, sha256, entry } of made) {
      expect({ name, entry }).toEqual({ name: 'client', entry: `client:sha256:${sha256}` });
      expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    }
  });

  test('has no name that would break the list', async () => {
    const { exitCode, stderr } = await cli.run(['token', 'two words']);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^sluice: Cannot use "two words" as a name/);
  });
});
