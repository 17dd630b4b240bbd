import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { AccessQuestion } from '../../../src/access/authorize.ts';
import { type StaticTokens, tokens } from '../../../src/access/tokens.ts';

const hashOf = (token: string) => createHash('sha256').update(token).digest('hex');
const request = new Request('http://sluice/');

function question(token: string | undefined, env: unknown = {}): AccessQuestion {
  return { sink: 'readings', producer: 'a', env, token, ticket: undefined, nowMs: 0 };
}
const ask = (list: StaticTokens, token: string | undefined) => tokens(list)(request, question(token));

const TEXT = `sensors:sha256:${hashOf('first')}, sensors:sha256:${hashOf('second').toUpperCase()}\n\nboard:1:sha256:${hashOf('third')}`;

describe('static tokens', () => {
  test('are known by their hashes, several at once, also under one name', async () => {
    expect(await ask(TEXT, 'first')).toEqual({ tokenId: 'sensors' });
    expect(await ask(TEXT, 'second')).toEqual({ tokenId: 'sensors' });
    expect(await ask(TEXT, 'third')).toEqual({ tokenId: 'board:1' });
    for (const other of ['fourth', 'firs', 'first ', hashOf('first'), undefined])
      expect(await ask(TEXT, other), other).toBeUndefined();
  });

  test('grant what the list says, as JSON and as values', async () => {
    const list = [
      { name: 'hall', sha256: hashOf('first'), tenant: 'acme', sinks: ['readings'], producers: ['hall-*'] },
      { name: 'all', sha256: hashOf('second') },
    ];
    const hall = { tenant: 'acme', sinks: ['readings'], producers: ['hall-*'], tokenId: 'hall' };
    for (const given of [list, ` ${JSON.stringify(list)}\n`]) {
      expect(await ask(given, 'first')).toEqual(hall);
      expect(await ask(given, 'second')).toEqual({ tokenId: 'all' });
    }
  });

  test('may come from the bindings, and change with them', async () => {
    const known = tokens((env) => env.INGEST_TOKENS);
    const before = { INGEST_TOKENS: `old:sha256:${hashOf('old')}` };
    const both = { INGEST_TOKENS: `${before.INGEST_TOKENS} new:sha256:${hashOf('new')}` };
    const after = { INGEST_TOKENS: `new:sha256:${hashOf('new')}` };
    const outcomes = async (env: unknown) =>
      Promise.all(['old', 'new'].map(async (token) => (await known(request, question(token, env)))?.tokenId));
    expect(await outcomes(before)).toEqual(['old', undefined]);
    expect(await outcomes(both)).toEqual(['old', 'new']);
    expect(await outcomes(after)).toEqual([undefined, 'new']);
  });

  test('have to be there, which is told to those who ask', async () => {
    await expect(ask(undefined, 'first')).rejects.toMatchObject({ code: 'invalid_configuration' });
  });

  const SECRET = 'a-plain-token-by-mistake';
  test.each<[string, unknown]>([
    ['an empty text', ' '],
    ['a plain token', SECRET],
    ['a hash without a name', hashOf(SECRET)],
    ['a name with a plain token', `sensors:${SECRET}`],
    ['a short hash', `sensors:sha256:${hashOf(SECRET).slice(1)}`],
    ['no JSON', `[${SECRET}`],
    ['a list of texts', JSON.stringify([SECRET])],
    ['no name', [{ sha256: hashOf(SECRET) }]],
    ['a plain token in the list', [{ name: 'a', sha256: SECRET }]],
    ['an unknown right', [{ name: 'a', sha256: hashOf(SECRET), sink: 'readings' }]],
    ['too many', Array.from({ length: 1_001 }, () => ({ name: 'a', sha256: hashOf(SECRET) }))],
  ])('are wrong as %s; the error says how they are made, and repeats nothing', (_, list) => {
    const fails = expect.objectContaining({ code: 'invalid_configuration' });
    expect(() => tokens(list as StaticTokens)).toThrow(fails);
    expect(() => tokens(list as StaticTokens)).toThrow(expect.not.stringContaining(SECRET));
    expect(() => tokens(list as StaticTokens)).toThrow(expect.not.stringContaining(hashOf(SECRET)));
  });
});
