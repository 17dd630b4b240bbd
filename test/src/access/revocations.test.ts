import { describe, expect, test } from 'vitest';
import { isMeant, type Revocation, Revocations, type Revoked } from '../../../src/access/revocations.ts';
import { ShardRevocations } from '../../../workers/shard-revocations.ts';

const NOW_MS = 1_790_000_000_000;

const alice: Revoked = { producer: 'acme/device-7', grant: { tenant: 'acme', tokenId: 'jti-1' } };
const bob: Revoked = { producer: 'device-7', grant: { tokenId: 'jti-2' } };
const open: Revoked = { producer: 'device-9', grant: undefined };

function revocation(kind: Revocation['kind'], name: string, untilMs: number | null = null): Revocation {
  return { kind, name, atMs: NOW_MS, untilMs };
}

function refuses(revocations: Revocations, client: Revoked, nowMs = NOW_MS): boolean {
  try {
    revocations.assertNot(client, nowMs);
    return false;
  } catch (error) {
    expect(error).toMatchObject({ code: 'forbidden' });
    return true;
  }
}

describe('what is revoked', () => {
  test.each([
    ['a token', revocation('token', 'jti-1'), [alice]],
    ['a producer of a tenant', revocation('producer', 'acme/device-7'), [alice]],
    [
      'a producer without a tenant, and none of the same name that has one',
      revocation('producer', 'device-7'),
      [bob],
    ],
    ['a tenant', revocation('tenant', 'acme'), [alice]],
    ['a producer of an open deployment', revocation('producer', 'device-9'), [open]],
    ['a name that nobody has', revocation('token', 'device-7'), []],
  ])('%s', (_, said, meant) => {
    const revocations = new Revocations();
    const before = [alice, bob, open].filter((client) => refuses(revocations, client));
    expect(before).toEqual([]);
    revocations.add(said);
    expect([alice, bob, open].filter((client) => refuses(revocations, client))).toEqual(meant);
    expect([alice, bob, open].filter((client) => isMeant(said, client))).toEqual(meant);
    revocations.remove(said);
    expect([alice, bob, open].filter((client) => refuses(revocations, client))).toEqual([]);
  });

  test('holds until its time, and is forgotten then', () => {
    const revocations = new Revocations();
    revocations.add(revocation('token', 'jti-1', NOW_MS + 1_000));
    expect(refuses(revocations, alice, NOW_MS + 999)).toBe(true);
    expect(refuses(revocations, alice, NOW_MS + 1_000)).toBe(false);
  });

  test('names that every object has are names like others', () => {
    const revocations = new Revocations();
    const named: Revoked = { producer: '__proto__', grant: { tenant: 'constructor', tokenId: 'toString' } };
    expect(refuses(revocations, named)).toBe(false);
    revocations.add(revocation('token', 'toString'));
    expect(refuses(revocations, named)).toBe(true);
    expect(refuses(revocations, bob)).toBe(false);
  });

  test('the refusal names no token', () => {
    const revocations = new Revocations();
    revocations.add(revocation('token', 'jti-1'));
    expect(() => revocations.assertNot(alice, NOW_MS)).toThrow(/^the token was revoked by an operator/);
    expect(() => revocations.assertNot(alice, NOW_MS)).not.toThrow(/jti-1/);
  });
});

describe('what a shard knows', () => {
  const { promise, resolve } = Promise.withResolvers<readonly Revocation[]>();

  test('what was said while the list was on its way wins over the list, in both directions', async () => {
    const shard = new ShardRevocations(() => promise);
    const loaded = shard.loaded();
    shard.add(revocation('token', 'jti-1'));
    shard.remove({ kind: 'producer', name: 'device-7' });
    // The list is older than both.
    resolve([revocation('producer', 'device-7'), revocation('producer', 'device-9')]);
    await loaded;
    expect(() => shard.assertNot(alice, NOW_MS)).toThrow('revoked');
    expect(() => shard.assertNot(bob, NOW_MS)).not.toThrow();
    expect(() => shard.assertNot(open, NOW_MS)).toThrow('revoked');
  });

  test('asks once, and again after a failure', async () => {
    let asked = 0;
    const shard = new ShardRevocations(async () => {
      asked += 1;
      if (asked === 1) throw new Error('away');
      return [revocation('token', 'jti-1')];
    });
    await expect(shard.loaded()).rejects.toThrow('away');
    await Promise.all([shard.loaded(), shard.loaded()]);
    await shard.loaded();
    expect(asked).toBe(2);
    expect(() => shard.assertNot(alice, NOW_MS)).toThrow('revoked');
  });
});
