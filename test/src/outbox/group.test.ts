import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeRuns, encodeGroup, RUN_CHARACTERS, type StoredRun } from '../../../src/outbox/group.ts';
import {
  type Chunk,
  createProducer,
  type Producer,
  type Run,
  untrackedProducer,
} from '../../../src/outbox/producer.ts';

const PRODUCER_CHARACTERS = [...'ABCXYZabcxyz0123456789._:@-'];

function runOf(producer: Producer, firstSequence: number, receivedAtMs: number, chunks: Chunk[]): Run {
  const rows = chunks.reduce((sum, { payloads }) => sum + payloads.length, 0);
  return { producer, epoch: producer.epoch, firstSequence, receivedAtMs, chunks, singles: undefined, rows };
}

const payload = fc.constantFrom('1', '"a"', '"\\n"', '"é😀"', '[1,\t2]', '{"a":{"b":[]}}', '""');
const chunk = fc.array(payload, { minLength: 1, maxLength: 5 }).chain((payloads) =>
  fc.boolean().map(
    (hasText): Chunk => ({
      payloads,
      plain: payloads.map((text) => !/[\\\p{Cc}]/u.test(text)),
      text: hasText ? payloads.join('\n') : undefined,
    }),
  ),
);
const whole = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const name = fc.string({ unit: fc.constantFrom(...PRODUCER_CHARACTERS), minLength: 1, maxLength: 128 });
const run = fc
  .record({
    // Few names, so that neighbours share theirs.
    name: fc.oneof(fc.constantFrom('a', 'b'), name),
    epoch: fc.oneof(fc.constant(0), whole),
    first: whole,
    isTracked: fc.boolean(),
    receivedAtMs: fc.nat({ max: 8_640_000_000_000_000 }),
    chunks: fc.array(chunk, { minLength: 1, maxLength: 3 }),
  })
  .map(({ name: given, epoch, first, isTracked, receivedAtMs, chunks }) => {
    const producer = isTracked ? createProducer(given, epoch, 1) : untrackedProducer(given, epoch, 1);
    return runOf(producer, first, receivedAtMs, chunks);
  });

describe('a group', () => {
  test('comes back as it was', () => {
    fc.assert(
      fc.property(fc.array(run, { minLength: 1, maxLength: 8 }), (runs) => {
        const { rows, runs: text, body } = encodeGroup(runs);
        const payloads = runs.flatMap(({ chunks }) => chunks.flatMap((given) => given.payloads));
        expect(body.split('\n')).toEqual(payloads);
        expect(rows).toBe(payloads.length);
        expect(decodeRuns(text)).toEqual(
          runs.map(({ producer, epoch, firstSequence, receivedAtMs, chunks, rows: count }): StoredRun => {
            const plain = chunks.flatMap((given) => given.plain);
            return {
              producer: producer.name,
              epoch,
              firstSequence,
              rows: count,
              receivedAtMs,
              plain: plain.includes(false) ? plain.map((isPlain) => (isPlain ? '1' : '0')).join('') : '',
              isTracked: producer.isTracked,
            };
          }),
        );
      }),
      { numRuns: 500 },
    );
  });

  test('has no more text for a run than is counted for it, beside the messages that need an escape', () => {
    fc.assert(
      fc.property(fc.array(run, { minLength: 1, maxLength: 8 }), (runs) => {
        const escaped = runs.filter(({ chunks }) => chunks.some(({ plain }) => plain.includes(false)));
        const digits = escaped.reduce((sum, { rows }) => sum + rows, 0);
        const names = runs.reduce((sum, { producer }) => sum + producer.name.length, 0);
        expect(encodeGroup(runs).runs.length).toBeLessThanOrEqual(
          runs.length * RUN_CHARACTERS + names + digits,
        );
      }),
    );
  });

  test('of one frame is the text of that frame', () => {
    const text = '{"a":1}\n"\\u00e9"\n3';
    const frame = { payloads: text.split('\n'), plain: [true, false, true], text };
    expect(encodeGroup([runOf(createProducer('p', 7, 1), 5, 99, [frame])])).toEqual({
      rows: 3,
      runs: '[["p",7,5,3,99,1,"101"]]',
      body: text,
    });
  });
});
