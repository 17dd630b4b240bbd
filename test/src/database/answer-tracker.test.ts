import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AnswerTracker } from '../../../src/database/answer-tracker.ts';

/** A message of Postgres: a type byte, a length that counts itself, the content. */
function message(type: string, content: Uint8Array = new Uint8Array()): Uint8Array {
  const bytes = new Uint8Array(5 + content.length);
  bytes[0] = type.charCodeAt(0);
  new DataView(bytes.buffer).setUint32(1, 4 + content.length);
  bytes.set(content, 5);
  return bytes;
}

const READY = message('Z', new TextEncoder().encode('I'));

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

describe('the answer tracker', () => {
  test('awaits nothing before it is asked, and then until ReadyForQuery', () => {
    const tracker = new AnswerTracker();
    expect(tracker.isAwaited).toBe(false);
    tracker.asked();
    tracker.received(message('C', new TextEncoder().encode('SELECT 1\0')));
    expect(tracker.isAwaited).toBe(true);
    tracker.received(READY);
    expect(tracker.isAwaited).toBe(false);
  });

  test('does not take the bytes of ReadyForQuery inside of a row for the end', () => {
    const tracker = new AnswerTracker();
    tracker.asked();
    tracker.received(message('D', join([READY, READY])));
    expect(tracker.isAwaited).toBe(true);
    tracker.received(READY);
    expect(tracker.isAwaited, 'the control').toBe(false);
  });

  test('knows the end however the answer is cut', () => {
    const parts = fc.array(
      fc.record({
        type: fc.constantFrom('C', 'D', 'G', 'N', 'T'),
        content: fc.uint8Array({ maxLength: 20 }),
      }),
    );
    fc.assert(
      fc.property(parts, fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }), (messages, cuts) => {
        const tracker = new AnswerTracker();
        tracker.asked();
        const bytes = join([...messages.map(({ type, content }) => message(type, content)), READY]);
        for (let at = 0, cut = 0; at < bytes.length; cut += 1) {
          const to = Math.min(bytes.length, at + (cuts[cut % cuts.length] as number));
          expect(tracker.isAwaited).toBe(true);
          tracker.received(bytes.subarray(at, to));
          at = to;
        }
        expect(tracker.isAwaited).toBe(false);
      }),
    );
  });
});
