import { describe, expect, test } from 'vitest';
import {
  MAX_UNCONFIRMED_BYTES,
  PING_AFTER_BYTES,
  PONG_TIME_LIMIT_MS,
  SLOW_READER_BYTES,
} from '../../../src/core/limits.ts';
import { ReaderCheck } from '../../../src/ingest/reader-check.ts';

describe('a client', () => {
  test('is asked once so much was sent, and not again before its pong', () => {
    const reader = new ReaderCheck();
    expect(reader.sent(PING_AFTER_BYTES, 0)).toBe('reads');
    expect(reader.sent(1, 0)).toBe('ask');
    expect(reader.pingId).toBe(1);
    expect(reader.sent(PING_AFTER_BYTES, 0)).toBe('reads');
    reader.pong(1);
    expect(reader.sent(1, 0)).toBe('ask');
    expect(reader.pingId).toBe(2);
  });

  test('that answers may be sent any amount', () => {
    const reader = new ReaderCheck();
    for (let sent = 0; sent < 3 * MAX_UNCONFIRMED_BYTES; sent += PING_AFTER_BYTES) {
      expect(reader.sent(PING_AFTER_BYTES, 0)).not.toBe('slow');
      reader.pong(reader.pingId);
    }
  });

  test('that answers something else is not known to read', () => {
    const reader = new ReaderCheck();
    const frames = Math.ceil(MAX_UNCONFIRMED_BYTES / PING_AFTER_BYTES);
    const states = Array.from({ length: frames + 1 }, () => {
      const state = reader.sent(PING_AFTER_BYTES, 0);
      reader.pong(reader.pingId + 1);
      return state;
    });
    expect(states.at(-1)).toBe('slow');
  });

  test('that is silent for long is slow from less on', () => {
    const reader = new ReaderCheck();
    expect(reader.sent(PING_AFTER_BYTES + 1, 0)).toBe('ask');
    expect(reader.sent(SLOW_READER_BYTES - PING_AFTER_BYTES, PONG_TIME_LIMIT_MS - 1)).toBe('reads');
    expect(reader.sent(0, PONG_TIME_LIMIT_MS)).toBe('slow');
  });
});
