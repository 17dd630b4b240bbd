import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemoryBuffer } from '../../../src/outbox/message-buffer.ts';
import {
  MESSAGE_OVERHEAD_BYTES,
  type MessageBatch,
  messageAt,
  rowsOf,
  sliceBatch,
} from '../../../src/sinks/message-batch.ts';

/** A position as of a shard that has written for long: it is not a number that Int32 holds. */
const START = 5_000_000_000n;
const NO_LIMIT = { maxRows: Number.MAX_SAFE_INTEGER, maxBytes: Number.MAX_SAFE_INTEGER };

interface ModelMessage {
  producer: string;
  sequence: number;
  epoch: number;
  payload: string;
  receivedAtMs: number;
}

function arrival(first: number, payloads: readonly string[], atMs = first) {
  return {
    producer: `p${first}`,
    firstSequence: first,
    epoch: first * 3,
    payloads,
    plain: payloads.map(() => true),
    receivedAtMs: atMs,
  };
}

function messagesOf({ columns, from, to }: MessageBatch): ModelMessage[] {
  return Array.from({ length: to - from }, (_, index) => messageAt(columns, from + index));
}

function bytesOf(messages: readonly ModelMessage[]): number {
  return messages.reduce((sum, { payload }) => sum + payload.length + MESSAGE_OVERHEAD_BYTES, 0);
}

const command = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      sizes: fc.array(fc.nat(40), { maxLength: 12 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('take' as const),
      maxRows: fc.integer({ min: 1, max: 8 }),
      maxBytes: fc.integer({ min: 1, max: 900 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('settle' as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('putBack' as const) }) },
);

describe('MemoryBuffer', () => {
  test('behaves like a plain array from which batches are cut, and counts rows and bytes exactly', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 80 }), (commands) => {
        const buffer = new MemoryBuffer(START);
        // What waits, oldest first; a batch that came back stays the batch that it was, unless fewer rows may go now.
        const returned: ModelMessage[][] = [];
        const waiting: ModelMessage[] = [];
        const inFlight: { batch: MessageBatch; messages: ModelMessage[] }[] = [];
        let next = 1;
        // Positions number the messages in their order of arrival.
        const positions = new Map<number, bigint>();
        for (const step of commands) {
          if (step.do === 'append') {
            const payloads = step.sizes.map((size, index) => `${next + index}`.padEnd(size, '.'));
            buffer.append(arrival(next, payloads));
            payloads.forEach((payload, index) => {
              positions.set(next + index, START + BigInt(positions.size));
              waiting.push({
                producer: `p${next}`,
                sequence: next + index,
                epoch: next * 3,
                payload,
                receivedAtMs: next,
              });
            });
            next += payloads.length + 1;
          } else if (step.do === 'take') {
            const batch = buffer.take(step);
            let expected = returned.shift();
            if (expected !== undefined && expected.length > step.maxRows)
              returned.unshift(expected.splice(step.maxRows));
            if (expected === undefined && waiting.length > 0) {
              const size = waiting.findIndex(
                (_, index) =>
                  index > 0 &&
                  (index === step.maxRows || bytesOf(waiting.slice(0, index + 1)) > step.maxBytes),
              );
              expected = waiting.splice(0, size === -1 ? waiting.length : size);
            }
            expect(batch === undefined ? undefined : messagesOf(batch)).toEqual(expected);
            if (batch !== undefined && expected !== undefined) {
              expect(batch.bytes).toBe(bytesOf(expected));
              expect(batch.position).toBe(positions.get(expected[0]?.sequence as number));
              inFlight.push({ batch, messages: expected });
            }
          } else if (step.do === 'settle') {
            const [done] = inFlight.splice(step.which % Math.max(1, inFlight.length), 1);
            if (done !== undefined) buffer.settle(done.batch);
          } else {
            // The youngest first, so that the oldest is in front again.
            for (const { batch, messages } of inFlight.splice(0).reverse()) {
              buffer.putBack(batch);
              returned.unshift(messages);
            }
          }
          const idle = [...returned.flat(), ...waiting];
          const all = [...idle, ...inFlight.flatMap(({ messages }) => messages)];
          expect({
            rows: buffer.rows,
            bytes: buffer.bytes,
            waitingRows: buffer.waitingRows,
            waitingBytes: buffer.waitingBytes,
            oldest: buffer.oldestWaitingAtMs,
          }).toEqual({
            rows: all.length,
            bytes: bytesOf(all),
            waitingRows: idle.length,
            waitingBytes: bytesOf(idle),
            oldest: idle[0]?.receivedAtMs,
          });
        }
      }),
      { numRuns: 500 },
    );
  });

  test('a batch that was put back goes out before one that was put back earlier, as before all that waits', () => {
    const buffer = new MemoryBuffer();
    buffer.append(arrival(1, ['1', '2', '3']));
    const first = buffer.take({ ...NO_LIMIT, maxRows: 1 }) as MessageBatch;
    const second = buffer.take({ ...NO_LIMIT, maxRows: 1 }) as MessageBatch;
    buffer.putBack(second);
    buffer.putBack(first);
    const payloads = [];
    for (let batch = buffer.take(NO_LIMIT); batch !== undefined; batch = buffer.take(NO_LIMIT)) {
      payloads.push(...messagesOf(batch).map(({ payload }) => payload));
    }
    expect(payloads).toEqual(['1', '2', '3']);
  });

  test('the first message goes out however large it is, and the second only where it fits', () => {
    const buffer = new MemoryBuffer();
    buffer.append(arrival(1, ['x'.repeat(10_000), 'y', 'z']));
    const two = 2 * (MESSAGE_OVERHEAD_BYTES + 1);
    expect(rowsOf(buffer.take({ maxRows: 9, maxBytes: 1 }) as MessageBatch)).toBe(1);
    expect(rowsOf(buffer.take({ maxRows: 9, maxBytes: two - 1 }) as MessageBatch)).toBe(1);
    buffer.append(arrival(9, ['y']));
    expect(rowsOf(buffer.take({ maxRows: 9, maxBytes: two }) as MessageBatch)).toBe(2);
  });

  test('an empty buffer hands out nothing, and an arrival without messages does not change that', () => {
    const buffer = new MemoryBuffer();
    buffer.append(arrival(1, []));
    expect(buffer.take(NO_LIMIT)).toBeUndefined();
    expect(buffer.oldestWaitingAtMs).toBeUndefined();
    buffer.append(arrival(2, ['2']));
    expect(buffer.oldestWaitingAtMs).toBe(2);
    expect(rowsOf(buffer.take(NO_LIMIT) as MessageBatch)).toBe(1);
  });

  test('nothing is lost or moved where a run of messages crosses the end of a segment', () => {
    const buffer = new MemoryBuffer();
    const all: string[] = [];
    for (let first = 0; first < 100_000; first += 777) {
      const payloads = Array.from({ length: 777 }, (_, index) => String(first + index));
      buffer.append(arrival(first, payloads));
      all.push(...payloads);
    }
    const taken: string[] = [];
    for (let batch = buffer.take(NO_LIMIT); batch !== undefined; batch = buffer.take(NO_LIMIT)) {
      for (let row = batch.from; row < batch.to; row += 1) taken.push(batch.columns.payloads[row] as string);
      buffer.settle(batch);
    }
    expect(taken).toEqual(all);
    expect([buffer.rows, buffer.bytes, buffer.waitingRows, buffer.waitingBytes]).toEqual([0, 0, 0, 0]);
  });
});

test('a slice of a batch has the position and the bytes of its rows', () => {
  const buffer = new MemoryBuffer(START);
  buffer.append(arrival(1, ['1', '22', '333', '4444']));
  buffer.settle(buffer.take({ ...NO_LIMIT, maxRows: 1 }) as MessageBatch);
  const batch = buffer.take(NO_LIMIT) as MessageBatch;
  const slice = sliceBatch(batch, batch.from + 1, batch.to);
  expect(messagesOf(slice).map(({ payload }) => payload)).toEqual(['333', '4444']);
  expect(slice).toMatchObject({ position: START + 2n, bytes: 7 + 2 * MESSAGE_OVERHEAD_BYTES });
  expect(sliceBatch(batch, batch.from, batch.to)).toEqual(batch);
});
