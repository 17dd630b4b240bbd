import { describe, expect, test } from 'vitest';
import { askForGrant } from '../../../src/access/ask.ts';
import type { AccessQuestion, Authorize } from '../../../src/access/authorize.ts';
import { SluiceError } from '../../../src/core/errors.ts';

const TOKEN = 'dont-tell-anybody';
const question: AccessQuestion = {
  sink: 'readings',
  producer: 'a',
  env: {},
  token: TOKEN,
  ticket: undefined,
  nowMs: 1000,
};
const ask = (...ways: Authorize[]) => askForGrant(ways, new Request('http://sluice/'), question);
const grants =
  (grant: object): Authorize =>
  () =>
    grant as never;
const none: Authorize = () => undefined;
const fails: Authorize = async () => {
  throw new Error(`lost the connection for ${TOKEN}`);
};

describe('who is asked', () => {
  test('is each in turn, until one knows', async () => {
    expect(await ask(none, grants({ tenant: 'a' }), grants({ tenant: 'b' }))).toEqual({ tenant: 'a' });
    await expect(ask(none, none)).rejects.toMatchObject({ code: 'unauthorized' });
    await expect(ask()).rejects.toMatchObject({ code: 'unauthorized' });
  });

  test('is also the next where one cannot look now; where nobody knows, it is said that one could not look', async () => {
    expect(await ask(fails, grants({ tenant: 'b' }))).toEqual({ tenant: 'b' });
    await expect(ask(fails, none)).rejects.toMatchObject({ code: 'authorization_unavailable' });
  });

  test('refuses for all: a refusal ends the asking', async () => {
    const refuses: Authorize = () => {
      throw new SluiceError('forbidden', 'banned');
    };
    await expect(ask(refuses, grants({}))).rejects.toMatchObject({ code: 'forbidden', message: 'banned' });
  });

  test('may fail in any way: nothing of it gets out but to the log, and there without the token', async () => {
    const thrown: unknown[] = [
      new Error(`no ${TOKEN}`, { cause: new Error(`because of ${TOKEN}`) }),
      new SluiceError('internal', `no ${TOKEN}`),
      `a text with ${TOKEN}`,
      Object.assign(new Error(`${'x'.repeat(490)}${TOKEN}`), { token: TOKEN }),
    ];
    for (const error of thrown) {
      const failure = await ask(() => {
        throw error;
      }).catch((caught: SluiceError) => caught);
      expect(failure).toMatchObject({ code: 'authorization_unavailable' });
      const { message, cause, details } = failure as SluiceError;
      expect(JSON.stringify([message, details])).not.toContain('dont');
      expect(String(cause)).not.toContain('dont');
      expect(String((cause as Error).stack)).not.toContain('dont');
    }
    const told = await ask(() => {
      throw new SluiceError('unauthorized', `${TOKEN} is unknown`);
    }).catch((caught: SluiceError) => caught.message);
    expect(told).toBe('[token] is unknown');
  });

  test('is believed only where the grant is right, and has not expired', async () => {
    await expect(ask(grants({ sinks: 'all' }))).rejects.toMatchObject({ code: 'invalid_configuration' });
    await expect(ask(grants([]))).rejects.toMatchObject({ code: 'invalid_configuration' });
    await expect(ask(() => 'all' as never)).rejects.toMatchObject({ code: 'invalid_configuration' });
    await expect(ask(() => null as never)).rejects.toMatchObject({ code: 'unauthorized' });
    await expect(ask(grants({ expiresAtMs: 1000 }))).rejects.toMatchObject({ code: 'unauthorized' });
    expect(await ask(grants({ expiresAtMs: 1001 }))).toEqual({ expiresAtMs: 1001 });
  });
});
