import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSluiceError } from '../../../src/core/errors.ts';
import {
  checkNamespace,
  createToken,
  hashToken,
  isSameHash,
  MAX_NAMESPACE_LENGTH,
  MAX_TOKEN_LENGTH,
  namespaceOfToken,
} from '../../../src/store/namespaces.ts';
import { formatTimeUs, parseTimeUs } from '../../../src/store/wire-time.ts';

const zeros = (length: number): Uint8Array => new Uint8Array(length);
const DIGITS = '0'.repeat(64);
const names = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,55}$/);

describe('tokens', () => {
  it('are those of EventoDB', () => {
    expect(createToken('default', zeros)).toBe(`ns_ZGVmYXVsdA_${DIGITS}`);
    expect(createToken('tenant-a', (length) => new Uint8Array(length).fill(0xab))).toBe(
      `ns_dGVuYW50LWE_${'ab'.repeat(32)}`,
    );
    expect(hashToken('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });

  it('name their namespace, whatever its name, in three parts', () => {
    fc.assert(
      fc.property(names, (name) => {
        const token = createToken(name, zeros);
        expect(namespaceOfToken(token)).toBe(name);
        // Clients of EventoDB split it there.
        expect(token.split('_')).toHaveLength(3);
        expect(token.length).toBeLessThanOrEqual(MAX_TOKEN_LENGTH);
      }),
    );
  });

  it.each([
    ['nothing', ''],
    ['another prefix', `nt_ZGVmYXVsdA_${DIGITS}`],
    ['no name', `ns__${DIGITS}`],
    ['too few digits', `ns_ZGVmYXVsdA_${DIGITS.slice(1)}`],
    ['too many digits', `ns_ZGVmYXVsdA_${DIGITS}0`],
    ['no digits', `ns_ZGVmYXVsdA_${'g'.repeat(64)}`],
    ['padding', `ns_ZGVmYXVsdA==_${DIGITS}`],
    ['a name that is none', `ns_${btoa('a b').replaceAll('=', '')}_${DIGITS}`],
    ['another writing of a name', `ns_ZGVmYXVsdB_${DIGITS}`],
    ['no base64', `ns_A_${DIGITS}`],
    ['a name that is too long', createToken('a'.repeat(MAX_NAMESPACE_LENGTH + 1), zeros)],
    ['a line behind it', `ns_ZGVmYXVsdA_${DIGITS}\n`],
  ])('are not: %s', (_, token) => {
    expect(namespaceOfToken(token)).toBeUndefined();
  });

  it('are compared as a whole', () => {
    const hash = hashToken('a');
    expect(isSameHash(hash, hash)).toBe(true);
    expect(isSameHash(hash, hashToken('b'))).toBe(false);
    expect(isSameHash(hash, hash.slice(1))).toBe(false);
    expect(isSameHash(hash, '')).toBe(false);
    expect(isSameHash(`${hash.slice(0, -1)}${hash.endsWith('0') ? '1' : '0'}`, hash)).toBe(false);
  });
});

describe('names of namespaces', () => {
  it.each(['a', 'A.b_c-9', '0', 'a'.repeat(MAX_NAMESPACE_LENGTH)])('can be %s', (name) => {
    expect(() => checkNamespace(name)).not.toThrow();
  });

  it.each(
    [
      [
        '',
        5,
        null,
        undefined,
        '-a',
        '.a',
        '_a',
        'a b',
        'a/b',
        'ä',
        'a\n',
        'a"b',
        'a'.repeat(MAX_NAMESPACE_LENGTH + 1),
      ],
    ].flat(),
  )('cannot be %j', (name) => {
    try {
      checkNamespace(name);
    } catch (error) {
      expect(isSluiceError(error) && error.code).toBe('invalid_namespace');
      return;
    }
    expect.unreachable();
  });
});

describe('times', () => {
  it('have nine decimals', () => {
    expect(formatTimeUs(0)).toBe('1970-01-01T00:00:00.000000000Z');
    expect(formatTimeUs(1_736_935_200_123_456)).toBe('2025-01-15T10:00:00.123456000Z');
  });

  it('are read as they are written', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (timeUs) => {
        expect(parseTimeUs(formatTimeUs(timeUs))).toBe(timeUs);
      }),
    );
  });

  it.each([
    ['2025-01-31', '2025-01-31T00:00:00.000000000Z'],
    ['2025-01-31T12:00:00Z', '2025-01-31T12:00:00.000000000Z'],
    ['2025-01-31t12:00:00z', '2025-01-31T12:00:00.000000000Z'],
    ['2025-01-31T12:00:00.5+02:30', '2025-01-31T09:30:00.500000000Z'],
    ['2025-01-31T12:00:00.123456789Z', '2025-01-31T12:00:00.123456000Z'],
    ['2024-02-29', '2024-02-29T00:00:00.000000000Z'],
    // As Message DB's column has it, which is in UTC, and as Postgres writes zones.
    ['2025-01-31 12:00:00.123456', '2025-01-31T12:00:00.123456000Z'],
    ['2025-01-31T12:00:00', '2025-01-31T12:00:00.000000000Z'],
    ['2025-01-31 12:00:00+00', '2025-01-31T12:00:00.000000000Z'],
    ['2025-01-31 12:00:00-0530', '2025-01-31T17:30:00.000000000Z'],
  ])('%s is %s', (text, expected) => {
    expect(formatTimeUs(parseTimeUs(text))).toBe(expected);
  });

  it.each([
    '',
    'yesterday',
    '2025-02-29',
    '2025-13-01',
    '2025-01-31T25:00:00Z',
    '2025-01-31T12:00',
    '2025-01-31T12:00:00+1',
    '2025-01-31T12:00:00+25:00',
    '1969-12-31',
    '2256-01-01',
    '2025-01-31T12:00:00.1234567890Z',
    5,
    null,
    undefined,
  ])('%j is none', (text) => {
    expect(() => parseTimeUs(text)).toThrow('Not a time');
  });
});
