import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EventStreamReader } from '../../workers/pages/parts/event-stream.ts';

describe('events of a stream', () => {
  const stream =
    ': ready\n\nevent: state\nid: 1\ndata: {"a":1}\n\n: keep-alive\n\nevent: progress\r\ndata: x\r\ndata:  y\r\n\r\ndata\n\n';
  const events = [
    { kind: 'state', id: '1', data: '{"a":1}' },
    { kind: 'progress', id: undefined, data: 'x\n y' },
    { kind: 'message', id: undefined, data: '' },
  ];

  test('are the same however their text is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: stream.length })), (cuts) => {
        const reader = new EventStreamReader();
        const ends = [...cuts.toSorted((left, right) => left - right), stream.length];
        const found = ends.flatMap((end, index) => reader.push(stream.slice(ends[index - 1] ?? 0, end)));
        expect(found).toEqual(events);
      }),
    );
  });

  test('that do not end are given up', () => {
    const reader = new EventStreamReader();
    expect(() => {
      for (let piece = 0; piece < 5; piece += 1) reader.push(`data: ${'x'.repeat(1_000_000)}`);
    }).toThrow('does not end');
  });
});
