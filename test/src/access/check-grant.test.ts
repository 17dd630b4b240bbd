import { describe, expect, test } from 'vitest';
import { assertAllows, checkGrant } from '../../../src/access/check-grant.ts';
import type { Grant } from '../../../src/access/grant.ts';
import { decodeAccess, encodeAccess } from '../../../src/access/socket-access.ts';
import { MAX_GRANT_BYTES } from '../../../src/core/limits.ts';

const FULL: Grant = {
  tenant: 'acme.de_1-x',
  sinks: ['readings', 'messages'],
  producers: ['floor-2.*', 'a:b@c'],
  producer: 'floor-2.hall',
  priority: 'low',
  limits: {
    tenant: { messagesPerSecond: 10, bytesPerSecond: 1_000_000, connections: 5, outboxShare: 1 },
    producer: { outboxShare: 0.25 },
    connection: { bytesPerSecond: 1_000_000 },
    address: {},
  },
  expiresAtMs: 1_795_266_606_000,
  tokenId: 'Zoë’s token',
};

describe('what is granted', () => {
  test('is taken as it is where all of it is right, and copied', () => {
    const grant = checkGrant(FULL);
    expect(grant).toEqual(FULL);
    expect(grant.sinks).not.toBe(FULL.sinks);
    expect(checkGrant({})).toEqual({});
    expect(checkGrant({ tenant: undefined, limits: undefined })).toEqual({});
  });

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a list', []],
    ['a text', 'all'],
    ['a member that is not known', { sink: 'readings' }],
    ['__proto__', JSON.parse('{"__proto__":{"tenant":"x"}}')],
    ['constructor', { constructor: 'x' }],
    ['an empty tenant', { tenant: '' }],
    ['a tenant with a slash', { tenant: 'a/b' }],
    ['a tenant with a newline at its end', { tenant: 'a\n' }],
    ['a long tenant', { tenant: 'a'.repeat(65) }],
    ['a number for a tenant', { tenant: 7 }],
    ['one sink as a text', { sinks: 'readings' }],
    ['a sink with a slash', { sinks: ['a/b'] }],
    ['too many sinks', { sinks: Array.from({ length: 257 }, () => 'a') }],
    ['a pattern that is a regular expression', { producers: ['(a+)+'] }],
    ['a long pattern', { producers: ['a'.repeat(129)] }],
    ['a pattern for a producer', { producer: 'a*' }],
    ['another priority', { priority: 'highest' }],
    ['limits of somebody else', { limits: { sink: {} } }],
    ['limits of the prototype', { limits: JSON.parse('{"__proto__":{"connections":1}}') }],
    ['connections of a connection', { limits: { connection: { connections: 1 } } }],
    ['a limit of 0 messages', { limits: { tenant: { messagesPerSecond: 0 } } }],
    ['a limit that is no number', { limits: { tenant: { messagesPerSecond: Number.NaN } } }],
    ['a share above 1', { limits: { tenant: { outboxShare: 1.1 } } }],
    ['half a connection', { limits: { tenant: { connections: 0.5 } } }],
    ['an expiry in seconds with a fraction', { expiresAtMs: 1.5 }],
    ['an expiry beyond all numbers', { expiresAtMs: 1e300 }],
    ['an expiry as a text', { expiresAtMs: '2027' }],
    ['a name of the token with a newline', { tokenId: 'a\nb' }],
    ['a long name of the token', { tokenId: 'a'.repeat(129) }],
    ['once for nobody', { once: { id: 'a', untilMs: 1 } }],
    ['once without an end', { producer: 'a', once: { id: 'a' } }],
    ['once with more', { producer: 'a', once: { id: 'a', untilMs: 1, more: 1 } }],
  ])('is refused where it is %s', (_, value) => {
    expect(() => checkGrant(value)).toThrow(expect.objectContaining({ code: 'invalid_configuration' }));
    expect(() => checkGrant(value, 'unauthorized')).toThrow(
      expect.objectContaining({ code: 'unauthorized' }),
    );
  });

  test('is refused where it is too long for what a socket keeps, and the sentence does not repeat it', () => {
    const longest = (count: number) => ({ producers: Array.from({ length: count }, () => 'p'.repeat(128)) });
    const fits = Math.floor((MAX_GRANT_BYTES / 2 - 20) / 131);
    expect(checkGrant(longest(fits)).producers).toHaveLength(fits);
    expect(() => checkGrant(longest(fits + 1))).toThrow(/too long/);
    expect(() => checkGrant({ tenant: 'secret/secret' })).toThrow(expect.not.stringContaining('secret'));
  });

  test('for one socket is for its producer alone, whatever else it says', () => {
    const grant = checkGrant({ producer: 'a', producers: ['*'], once: { id: 'x', untilMs: 5 } });
    expect(grant.producers).toEqual(['a']);
  });

  test('is the same after the way to the shard, in the ASCII of a header', () => {
    for (const access of ['open', 'none', FULL, { tokenId: '𝄞 \u00ff\u0100' }, {}] as const) {
      const header = encodeAccess(access);
      expect(header).toMatch(/^[\x20-\x7e]+$/);
      expect(decodeAccess(header)).toEqual(access);
    }
    for (const text of [null, '', 'Open', '"open"', '[]', '{"sink":1}', 'x'])
      expect(() => decodeAccess(text)).toThrow(expect.objectContaining({ code: 'invalid_configuration' }));
  });
});

describe('what is allowed', () => {
  const asked = (more: object) => ({ sink: 'readings', producer: 'a', tenant: undefined, ...more });

  test.each<[string, Grant, object]>([
    ['anything, where nothing is named', {}, {}],
    ['a sink of the list', { sinks: ['messages', 'readings'] }, {}],
    ['a producer of a pattern', { producers: ['b', 'a*'] }, {}],
    ['the producer that it names', { producers: ['b'], producer: 'a' }, {}],
    ['a producer that has no name yet', { producers: ['b'] }, { producer: undefined }],
    ['its tenant', { tenant: 'acme' }, { tenant: 'acme' }],
    ['no tenant in the address', { tenant: 'acme' }, {}],
  ])('%s', (_, grant, more) => expect(() => assertAllows(grant, asked(more))).not.toThrow());

  test.each<[string, Grant, object]>([
    ['a sink beside the list', { sinks: ['messages'] }, {}],
    ['any sink, where the list is empty', { sinks: [] }, {}],
    ['a producer beside the patterns', { producers: ['b', 'aa*'] }, {}],
    ['any producer with a name, where there are no patterns', { producers: [] }, {}],
    ['another tenant', { tenant: 'acme' }, { tenant: 'other' }],
    ['a tenant, where it has none', {}, { tenant: 'acme' }],
  ])('is not %s', (_, grant, more) =>
    expect(() => assertAllows(grant, asked(more))).toThrow(expect.objectContaining({ code: 'forbidden' })),
  );
});
