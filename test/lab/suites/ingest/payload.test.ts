import { expect, test } from 'vitest';
import { benchFrame, benchPayload, benchProducer } from '../../../../lab/suites/ingest/payload.ts';

const producer = benchProducer('run7', 3);

test('a producer is named for its run and its client', () => {
  expect(producer).toBe('run7-3');
  expect(new Set([benchProducer('a', 1), benchProducer('a', 2), benchProducer('b', 1)]).size).toBe(3);
});

test('a message is JSON that holds its device and its number', () => {
  for (const n of [0, 1, 96, 97, 9_999_999]) {
    expect(JSON.parse(benchPayload(producer, n))).toMatchObject({ device: 'thermometer-3', n, status: 'ok' });
  }
});

test('every run sends the same: of its producers, only the clients are in the messages', () => {
  expect(benchFrame(benchProducer('run7', 3), 0, 50)).toBe(benchFrame(benchProducer('0a1b2c3d', 3), 0, 50));
  expect(benchPayload(benchProducer('run7', 3), 0)).not.toBe(benchPayload(benchProducer('run7', 4), 0));
});

test('a message has the size of telemetry: 75 to 100 bytes, in ASCII', () => {
  for (const n of [0, 12, 4_321, 9_999_999]) {
    const text = benchPayload(benchProducer('0a1b2c3d', 999), n);
    expect(text).toMatch(/^[ -~]+$/);
    expect(text.length).toBeGreaterThanOrEqual(75);
    expect(text.length).toBeLessThanOrEqual(100);
  }
});

test('the same message has the same text each time, and figures that vary with its number', () => {
  expect(benchPayload(producer, 42)).toBe(benchPayload(producer, 42));
  const temperatures = Array.from(
    { length: 97 },
    (_, n) => JSON.parse(benchPayload(producer, n)).temperature,
  );
  expect(new Set(temperatures).size).toBe(97);
});

test('a frame holds the messages from its first to before its end, one a line', () => {
  expect(benchFrame(producer, 5, 8).split('\n')).toEqual([5, 6, 7].map((n) => benchPayload(producer, n)));
  expect(benchFrame(producer, 5, 6)).toBe(benchPayload(producer, 5));
});
