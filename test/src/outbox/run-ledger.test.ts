import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createProducer } from '../../../src/outbox/producer.ts';
import { RUN_MARK_BYTES, RunLedger, type RunMark } from '../../../src/outbox/run-ledger.ts';

const producer = createProducer('p', 1, 1);

function markAt(end: number): RunMark {
  return { producer, epoch: 1, lastSequence: end, end: BigInt(end), groupBytes: 0 };
}

function ledgerWith(ends: readonly number[], head = 0): { ledger: RunLedger; passed: number[] } {
  const passed: number[] = [];
  const ledger = new RunLedger(BigInt(head), (mark) => passed.push(Number(mark.end)));
  for (const end of ends) ledger.push(markAt(end));
  return { ledger, passed };
}

describe('a ledger', () => {
  test('passes a run once its last message is settled', () => {
    const { ledger, passed } = ledgerWith([3, 5, 9]);
    ledger.settle(0n, 2n);
    expect(passed).toEqual([]);
    ledger.settle(2n, 3n);
    expect(passed).toEqual([3]);
    ledger.settle(3n, 8n);
    expect(passed).toEqual([3, 5]);
    ledger.settle(8n, 9n);
    expect(passed).toEqual([3, 5, 9]);
    expect(ledger.head).toBe(9n);
    expect(ledger.bytes).toBe(0);
  });

  test('waits for what is in front', () => {
    const { ledger, passed } = ledgerWith([3, 5, 9]);
    ledger.settle(5n, 9n);
    ledger.settle(3n, 5n);
    expect([ledger.head, passed]).toEqual([0n, []]);
    ledger.settle(0n, 3n);
    expect([ledger.head, passed]).toEqual([9n, [3, 5, 9]]);
  });

  test('counts its marks as memory, and names the youngest', () => {
    const { ledger } = ledgerWith([]);
    expect(ledger.bytes).toBe(0);
    expect(ledger.last).toBeUndefined();
    ledger.push(markAt(3));
    ledger.push(markAt(5));
    expect(ledger.bytes).toBe(2 * RUN_MARK_BYTES);
    expect(ledger.last?.end).toBe(5n);
    ledger.settle(0n, 3n);
    expect(ledger.bytes).toBe(RUN_MARK_BYTES);
  });

  test('forgets everything where it is told to go on elsewhere', () => {
    const { ledger, passed } = ledgerWith([3, 5, 9]);
    ledger.settle(3n, 5n);
    ledger.restart(7n);
    expect([ledger.head, ledger.bytes, ledger.last]).toEqual([7n, 0, undefined]);
    ledger.push(markAt(9));
    ledger.settle(7n, 9n);
    expect([ledger.head, passed]).toEqual([9n, [9]]);
  });

  test('whatever the order, passes each run once, in order, as far as all is settled', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(
        lengths,
        lengths,
        fc.infiniteStream(fc.nat()),
        fc.nat(),
        (runs, batches, choices, start) => {
          const ends: number[] = [];
          let end = start;
          for (const length of runs) {
            end += length;
            ends.push(end);
          }
          const { ledger, passed } = ledgerWith(ends, start);
          // Batches over the same messages, settled in any order.
          const open: [number, number][] = [];
          for (let from = start, index = 0; from < end; index += 1) {
            const to = Math.min(end, from + (batches[index % batches.length] as number));
            open.push([from, to]);
            from = to;
          }
          const settled = new Set<number>();
          while (open.length > 0) {
            const choice = choices.next().value as number;
            const [from, to] = open.splice(choice % open.length, 1)[0] as [number, number];
            ledger.settle(BigInt(from), BigInt(to));
            for (let position = from; position < to; position += 1) settled.add(position);
            let head = start;
            while (settled.has(head)) head += 1;
            expect(ledger.head).toBe(BigInt(head));
            expect(passed).toEqual(ends.filter((runEnd) => runEnd <= head));
            expect(ledger.bytes).toBe((ends.length - passed.length) * RUN_MARK_BYTES);
          }
          expect(passed).toEqual(ends);
        },
      ),
    );
  });

  test('holds no more marks than there are, however many have passed', () => {
    const { ledger, passed } = ledgerWith([]);
    for (let end = 1; end <= 100_000; end += 1) {
      ledger.push(markAt(end));
      if (end > 10) ledger.settle(BigInt(end - 11), BigInt(end - 10));
    }
    expect(passed).toHaveLength(99_990);
    expect(passed.at(-1)).toBe(99_990);
    expect(ledger.bytes).toBe(10 * RUN_MARK_BYTES);
  });

  test('takes marks and asks while it passes others', () => {
    const passed: bigint[] = [];
    const ledger: RunLedger = new RunLedger(0n, ({ end }) => {
      passed.push(end);
      expect(ledger.head).toBe(4n);
      if (end === 2n) ledger.push(markAt(6));
    });
    ledger.push(markAt(2));
    ledger.push(markAt(4));
    ledger.settle(0n, 4n);
    expect(passed).toEqual([2n, 4n]);
    ledger.restart(4n);
    ledger.push(markAt(6));
    expect(ledger.bytes).toBe(RUN_MARK_BYTES);
  });
});
