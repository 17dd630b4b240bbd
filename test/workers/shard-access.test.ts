/** What a shard does with those who have not said yet who they are, and with tokens that come within it. */

import { describe, expect, it } from 'vitest';
import type { Grant } from '../../src/access/grant.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { type AskForToken, type KeptAccess, ShardAccess } from '../../workers/shard-access.ts';
import { ShardRevocations } from '../../workers/shard-revocations.ts';

const kept = (access: KeptAccess['access'], isAssigned = false): KeptAccess => ({
  access,
  address: 'http://sluice/ws/readings?producer=a',
  isAssigned,
});
const ignore = (): void => {};

/** As the shard's own, in memory (src/ingest/used-tickets.ts). */
function usedTickets() {
  const used = new Set<string>();
  return {
    use({ id, untilMs }: { id: string; untilMs: number }, nowMs: number): void {
      if (untilMs <= nowMs) throw new SluiceError('unauthorized', 'The ticket has expired');
      if (used.has(id)) throw new SluiceError('unauthorized', 'The ticket was used before');
      used.add(id);
    },
  };
}

function access(ask: AskForToken = async () => ({}), maxUnnamed = 2): ShardAccess {
  return new ShardAccess({
    sink: 'readings',
    ask,
    tickets: usedTickets(),
    revocations: new ShardRevocations(async () => []),
    now: () => 1_000,
    maxUnnamed,
  });
}

describe('sockets that have not said yet who they are', () => {
  it('are few: more are refused until one has said it, or is gone; others come in meanwhile', () => {
    const shard = access();
    const open = (one: KeptAccess) => {
      shard.admit(one, 'sluice.v1');
      return shard.sessionAccess(one, 'a', ignore);
    };
    const first = kept('none');
    const second = kept('none');
    const session = open(first);
    open(second);
    const refused = expect.objectContaining({ code: 'too_many_connections' });
    expect(() => open(kept('none'))).toThrow(refused);
    expect(() => open(kept({ tenant: 'acme' }))).not.toThrow();
    expect(() => open(kept('open'))).not.toThrow();
    session?.onGrant({});
    expect(first.access).toEqual({});
    expect(() => open(kept('none'))).not.toThrow();
    expect(() => open(kept('none'))).toThrow(refused);
    shard.leave(second);
    shard.leave(second);
    expect(() => open(kept('none'))).not.toThrow();
    expect(() => open(kept('none'))).toThrow(refused);
  });

  it('speak sluice.v1: a raw socket has no hello to say it in', () => {
    expect(() => access().admit(kept('none'), 'raw')).toThrow(
      expect.objectContaining({ code: 'unauthorized' }),
    );
  });
});

describe('a token that comes within a session', () => {
  it('is asked about with the address of the socket, and the names that the client knows', async () => {
    const questions: unknown[] = [];
    const shard = access(async (request, asked) => {
      questions.push({ ...asked, url: request.url, authorization: request.headers.get('authorization') });
      return { tenant: 'acme' };
    });
    const session = shard.sessionAccess(kept('none'), 'acme/a', ignore);
    await session?.authorize('fresh');
    await shard.sessionAccess(kept('none', true), 'acme/a', ignore)?.authorize('fresh');
    const url = 'http://sluice/ws/readings?producer=a';
    const expected = { sink: 'readings', tenant: 'acme', token: 'fresh', url, authorization: 'Bearer fresh' };
    expect(questions).toEqual([
      { ...expected, producer: 'a' },
      { ...expected, producer: undefined },
    ]);
  });

  it.each<[string, string, Grant, string | undefined]>([
    ['of the same tenant', 'acme/a', { tenant: 'acme' }, undefined],
    ['of no tenant, for a producer of none', 'a', {}, undefined],
    ['of another tenant', 'acme/a', { tenant: 'other' }, 'forbidden'],
    ['of no tenant, for a tenant’s producer', 'acme/a', {}, 'forbidden'],
    ['of a tenant, for a producer of none', 'a', { tenant: 'acme' }, 'forbidden'],
    [
      'of a ticket for it',
      'a',
      { producer: 'a', producers: ['a'], once: { id: '1', untilMs: 2_000 } },
      undefined,
    ],
    [
      'of an old ticket',
      'a',
      { producer: 'a', producers: ['a'], once: { id: '1', untilMs: 900 } },
      'unauthorized',
    ],
    [
      'of a ticket for another one, though the server has made up its name',
      'a',
      { producer: 'b', producers: ['b'], once: { id: '1', untilMs: 2_000 } },
      'forbidden',
    ],
  ])('%s', async (_, producer, grant, code) => {
    const session = access(async () => grant).sessionAccess(kept('none', true), producer, ignore);
    const outcome = await session?.authorize('token').catch((error: SluiceError) => error);
    if (code === undefined) expect(outcome).not.toHaveProperty('once');
    else expect(outcome).toMatchObject({ code });
    expect(outcome instanceof SluiceError).toBe(code !== undefined);
  });

  it('that is a ticket is used up', async () => {
    const shard = access(async () => ({
      producer: 'a',
      producers: ['a'],
      once: { id: '1', untilMs: 2_000 },
    }));
    const session = shard.sessionAccess(kept('none'), 'a', ignore);
    await session?.authorize('ticket');
    await expect(session?.authorize('ticket')).rejects.toThrow(/used before/);
  });

  it.each([['two words'], [''], ['x'.repeat(8_193)], ['line\nbreak'], ['é']])(
    'is not asked about where it is none: %j',
    async (token) => {
      let count = 0;
      const shard = access(async () => {
        count += 1;
        return {};
      });
      await expect(shard.sessionAccess(kept('none'), 'a', ignore)?.authorize(token)).rejects.toMatchObject({
        code: 'unauthorized',
      });
      expect(count).toBe(0);
    },
  );
});
