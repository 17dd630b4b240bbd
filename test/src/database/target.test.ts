import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isNeonHost } from '../../../src/database/address.ts';
import { describeTarget, resolveTarget } from '../../../src/database/target.ts';

const PLAIN = 'postgres://me:secret@db.example.com:6432/main';
const NEON = 'postgresql://me:secret@ep-cool-1.eu-central-1.aws.neon.tech/main?sslmode=require';
/** As it is written from there on. */
const NEON_READ = 'postgres://me:secret@ep-cool-1.eu-central-1.aws.neon.tech:5432/main?sslmode=verify-full';
const HYPERDRIVE = 'postgres://h:secret@abc.hyperdrive.local:5432/pool';

describe('the driver', () => {
  test('is Neon’s for Neon hosts and TCP for all others', () => {
    expect(resolveTarget({ databaseUrl: NEON })).toEqual({ url: NEON_READ, driver: 'neon' });
    expect(resolveTarget({ databaseUrl: PLAIN })).toEqual({ url: PLAIN, driver: 'tcp' });
  });

  test.each([
    ['ep-a.neon.tech', true],
    ['ep-a-pooler.us-east-2.aws.neon.tech', true],
    ['ep-a.neon.build', true],
    ['neon.tech.example.com', false],
    ['myneon.tech', false],
    ['localhost', false],
  ])('of %s is Neon’s: %s', (host, expected) => {
    expect(isNeonHost(host)).toBe(expected);
  });

  test('can be chosen against the host', () => {
    expect(resolveTarget({ databaseUrl: NEON, driver: 'tcp' }).driver).toBe('tcp');
    expect(resolveTarget({ databaseUrl: PLAIN, driver: 'neon' }).driver).toBe('neon');
    expect(resolveTarget({ databaseUrl: NEON, driver: 'auto' }).driver).toBe('neon');
    expect(() => resolveTarget({ databaseUrl: PLAIN, driver: 'http' })).toThrow(/"http".*auto, tcp and neon/);
  });
});

describe('the address', () => {
  test('of Hyperdrive wins, except where Neon’s driver is asked for, which cannot use it', () => {
    const both = { hyperdriveUrl: HYPERDRIVE, databaseUrl: NEON };
    expect(resolveTarget(both)).toEqual({ url: HYPERDRIVE, driver: 'tcp' });
    expect(resolveTarget({ ...both, driver: 'tcp' })).toEqual({ url: HYPERDRIVE, driver: 'tcp' });
    expect(resolveTarget({ ...both, driver: 'neon' })).toEqual({ url: NEON_READ, driver: 'neon' });
    expect(resolveTarget({ hyperdriveUrl: HYPERDRIVE })).toEqual({ url: HYPERDRIVE, driver: 'tcp' });
  });

  test('of a proxy goes with Neon’s driver only', () => {
    const neonProxy = '127.0.0.1:4444/v1';
    expect(resolveTarget({ databaseUrl: NEON, neonProxy })).toEqual({
      url: NEON_READ,
      driver: 'neon',
      neonProxy,
    });
    expect(resolveTarget({ databaseUrl: PLAIN, neonProxy })).toEqual({ url: PLAIN, driver: 'tcp' });
    expect(resolveTarget({ databaseUrl: NEON, neonProxy: '' })).toEqual({ url: NEON_READ, driver: 'neon' });
  });

  test.each([undefined, ''])('%j is none, and the message says what to set', (databaseUrl) => {
    expect(() => resolveTarget({ databaseUrl })).toThrow(
      expect.objectContaining({ code: 'invalid_options', message: expect.stringContaining('DATABASE_URL') }),
    );
  });

  test.each([
    'secret',
    'mysql://me:secret@host/db',
    'https://me:secret@host/db',
    'postgres://',
    'postgres:///db?password=secret',
    'postgres://me:secret#1@host/db',
    'postgres://me:12#secret@host/db',
    'postgres://me:12/secret@host/db',
    'postgres://me:12?secret@host/db',
    'me:secret@host/db',
  ])('%j is refused without being repeated', (databaseUrl) => {
    let message = '';
    try {
      resolveTarget({ databaseUrl });
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain('postgres://user:password@host:port/database');
    expect(message).not.toContain('secret');
    expect(message).not.toContain('12');
  });
});

describe('describeTarget', () => {
  test('names driver, user, host, port and database', () => {
    expect(describeTarget({ url: PLAIN, driver: 'tcp' })).toBe('me@db.example.com:6432/main (tcp)');
    expect(describeTarget({ url: 'postgres://me@[::1]/db', driver: 'neon' })).toBe('me@[::1]:5432/db (neon)');
    expect(describeTarget({ url: NEON, driver: 'neon' })).toBe(
      'me@ep-cool-1.eu-central-1.aws.neon.tech:5432/main (neon)',
    );
  });

  test('never names the password', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 6, maxLength: 20 }), (word) => {
        const password = `~${word}~`;
        const url = `postgres://me:${encodeURIComponent(password)}@host:1/db`;
        const described = describeTarget(resolveTarget({ databaseUrl: url }));
        expect(described).toBe('me@host:1/db (tcp)');
      }),
    );
  });
});
