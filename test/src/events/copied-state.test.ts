import fc from 'fast-check';
import { expect, test } from 'vitest';
import { copiedState } from '../../../src/events/copied-state.ts';

test('data is copied all the way down', () => {
  const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true });
  fc.assert(
    fc.property(anything, (state) => {
      expect(copiedState(state)).toStrictEqual(state);
    }),
  );
  const state = { list: [{ n: 1 }], map: new Map([['a', { n: 1 }]]), date: new Date(5), none: null };
  const copy = copiedState(state);
  (copy.list[0] as { n: number }).n = 2;
  (copy.map.get('a') as { n: number }).n = 2;
  copy.date.setTime(6);
  expect(state).toEqual({ list: [{ n: 1 }], map: new Map([['a', { n: 1 }]]), date: new Date(5), none: null });
});

test('what has a class stays what it is, and what refers to itself ends', () => {
  class Own {
    #secret = 7;
    secret = (): number => this.#secret;
  }
  const own = new Own();
  const state: { own: Own; bytes: Uint8Array; self?: unknown } = { own, bytes: new Uint8Array(2) };
  state.self = state;
  const copy = copiedState(state);
  expect(copy).not.toBe(state);
  expect(copy.self).toBe(copy);
  expect([copy.own, copy.bytes]).toEqual([own, state.bytes]);
  expect(copy.own).toBe(own);
  const named = JSON.parse('{"__proto__":{"a":1}}') as object;
  expect(Object.keys(copiedState(named))).toEqual(['__proto__']);
});
