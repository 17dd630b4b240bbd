import { describe, expect, test } from 'vitest';
import { addressKey } from '../../../src/access/client-address.ts';
import { RequestBuckets } from '../../../src/access/request-buckets.ts';

describe('the address of a client', () => {
  test.each([
    ['203.0.113.7', '203.0.113.7'],
    [' 203.0.113.7 ', '203.0.113.7'],
    ['2001:db8:0:1:ffff::9', '2001:db8:0:1::/64'],
    ['2001:DB8:0:1::1', '2001:db8:0:1::/64'],
    ['2001:0db8:0000:0001:0002:0003:0004:0005', '2001:db8:0:1::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['0:0:0:0:0:ffff:203.0.113.7', '203.0.113.7'],
    ['64:ff9b::203.0.113.7', '64:ff9b:0:0::/64'],
  ])('%s counts as %s', (given, key) => {
    expect(addressKey(given)).toBe(key);
  });

  test.each([
    undefined,
    null,
    '',
    'localhost',
    '203.0.113',
    '203.0.113.256',
    '203.0.113.7, 198.51.100.1',
    '1::2::3',
    '1:2:3',
    '1:2:3:4:5:6:7:8:9',
    '12345::1',
    '::ffff:999.0.0.1',
    '2001:db8::1%eth0',
    `${'0'.repeat(40)}::1`,
  ])('%j is none', (given) => {
    expect(addressKey(given)).toBeUndefined();
  });
});

describe('requests of an address', () => {
  test('are counted, and one too many is told when to come again', () => {
    const buckets = new RequestBuckets();
    for (let count = 0; count < 3; count += 1) expect(buckets.take('a', 3, 0)).toBeUndefined();
    expect(buckets.take('a', 3, 0)).toEqual({ quota: 3, perSecond: 3, retryAfterSeconds: 1 });
    expect(buckets.take('a', 3, 333)).toBeDefined();
    expect(buckets.take('a', 3, 334)).toBeUndefined();
    // Control: another address.
    expect(buckets.take('b', 3, 0)).toBeUndefined();
  });

  test('a slow rate says how long', () => {
    const buckets = new RequestBuckets();
    expect(buckets.take('a', 0.1, 0)).toBeUndefined();
    expect(buckets.take('a', 0.1, 0)).toEqual({ quota: 1, perSecond: 0.1, retryAfterSeconds: 10 });
  });

  test('may be looked at without being counted', () => {
    const buckets = new RequestBuckets();
    for (let count = 0; count < 10; count += 1) expect(buckets.take('a', 1, 0, 0)).toBeUndefined();
    expect(buckets.take('a', 1, 0, 1)).toBeUndefined();
    expect(buckets.take('a', 1, 0, 0)).toBeDefined();
  });

  test('of so many addresses are forgotten, the oldest first', () => {
    const buckets = new RequestBuckets(2);
    for (const address of ['a', 'b', 'a', 'c']) buckets.take(address, 2, 0);
    expect(buckets.size).toBe(2);
    // `a` was seen twice, and `b` is the one that was forgotten.
    expect(buckets.take('a', 2, 0)).toBeDefined();
    expect(buckets.take('b', 2, 0)).toBeUndefined();
  });
});
