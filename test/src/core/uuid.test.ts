import { describe, expect, test } from 'vitest';
import { isUuid, uuidV7 } from '../../../src/core/uuid.ts';

const fill = (byte: number) => (bytes: Uint8Array) => bytes.fill(byte);

describe('UUIDs of version 7', () => {
  test('the example of RFC 9562, A.6: its time; version and variant over any random bits', () => {
    const next = uuidV7({ now: () => 0x017f22e279b0, randomBytes: fill(0xff) });
    expect(next()).toBe('017f22e2-79b0-7000-bfff-ffffffffffff');
    expect(uuidV7({ now: () => 0, randomBytes: fill(0) })()).toBe('00000000-0000-7000-8000-000000000000');
  });

  test('rise, within a millisecond, past a full counter, and where the clock goes back', () => {
    let nowMs = 1_700_000_000_000.9;
    const next = uuidV7({ now: () => nowMs, randomBytes: fill(7) });
    const ids: string[] = [];
    for (let index = 0; index < 5_000; index += 1) ids.push(next());
    nowMs -= 60_000;
    for (let index = 0; index < 5_000; index += 1) ids.push(next());
    nowMs += 120_000;
    ids.push(next());
    expect(ids).toEqual([...ids].sort());
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.every(isUuid)).toBe(true);
    expect(Number.parseInt((ids.at(-1) as string).replaceAll('-', '').slice(0, 12), 16)).toBe(
      Math.floor(nowMs),
    );
  });

  test('draw random bytes in pools, and use each of them once', () => {
    let draws = 0;
    const next = uuidV7({
      now: () => 1,
      randomBytes(bytes) {
        draws += 1;
        for (let index = 0; index < bytes.length; index += 1) bytes[index] = Math.floor(index / 8) + draws;
      },
    });
    const tails = new Set(Array.from({ length: 256 }, () => next().slice(-12)));
    expect(draws).toBe(1);
    expect(tails.size).toBe(256);
    next();
    expect(draws).toBe(2);
  });
});

test.each([
  ['550e8400-e29b-41d4-a716-446655440000', true],
  ['550E8400-E29B-41D4-A716-446655440000', true],
  ['550e8400e29b41d4a716446655440000', false],
  ['{550e8400-e29b-41d4-a716-446655440000}', false],
  ['550e8400-e29b-41d4-a716-44665544000g', false],
  ['550e8400-e29b-41d4-a716-446655440000\n', false],
  ['', false],
])('isUuid(%s) is %s', (text, expected) => {
  expect(isUuid(text)).toBe(expected);
});
