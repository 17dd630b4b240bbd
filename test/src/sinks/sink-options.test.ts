import { describe, expect, test } from 'vitest';
import { MESSAGE_OVERHEAD_BYTES } from '../../../src/sinks/message-batch.ts';
import { resolveSinkOptions, SINK_OPTIONS } from '../../../src/sinks/sink-options.ts';

describe('resolveSinkOptions', () => {
  test('gives defaults that stand in the table, unchanged', () => {
    const defaults = Object.fromEntries(
      Object.entries(SINK_OPTIONS).map(([name, spec]) => [name, spec.default]),
    );
    expect(resolveSinkOptions({})).toEqual(defaults);
  });

  test('every option has a default within its own bounds', () => {
    for (const [name, spec] of Object.entries(SINK_OPTIONS)) {
      expect(() => resolveSinkOptions({ [name]: spec.default })).not.toThrow();
      if (spec.kind !== 'integer') continue;
      expect(() => resolveSinkOptions({ [name]: spec.min - 1 })).toThrow(name);
      expect(() => resolveSinkOptions({ [name]: spec.max + 1 })).toThrow(name);
    }
  });

  test('a batch is at most half of the buffer, or frames might be refused before its size is reached', () => {
    const small = { maxBufferBytes: 65_536 };
    expect(resolveSinkOptions({ ...small, batchBytes: 32_769 }).batchBytes).toBe(32_768);
    expect(resolveSinkOptions({ ...small, batchBytes: 2_048 }).batchBytes).toBe(2_048);
  });

  test('a message that is allowed fits into the buffer', () => {
    const { maxMessageBytes, maxBufferBytes } = resolveSinkOptions({
      maxBufferBytes: 65_536,
      maxMessageBytes: 1_048_576,
    });
    expect(maxMessageBytes + MESSAGE_OVERHEAD_BYTES).toBe(maxBufferBytes);
    expect(resolveSinkOptions({ maxBufferBytes: 65_536, maxMessageBytes: 100 }).maxMessageBytes).toBe(100);
  });

  test('a wrong option is named with its sink', () => {
    expect(() => resolveSinkOptions({ shards: 0 }, 'events')).toThrow(/events\.shards.*1 to 256/);
  });
});
