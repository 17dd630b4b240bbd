import { expect, test } from 'vitest';
import { MAX_CREDIT_BYTES, MAX_OVER_CREDIT } from '../../../src/core/limits.ts';
import { ClientCredit } from '../../../src/ingest/client-credit.ts';
import { NO_CREDIT } from '../../../src/ingest/credit.ts';

const MESSAGE_BYTES = 100;

test('a client with credit is never beyond it, whatever it sends: the room decides', () => {
  const credit = new ClientCredit(MESSAGE_BYTES);
  expect([credit.isNone, credit.isOverrunBy(1e9)]).toEqual([false, false]);
  credit.note({ messages: 10, bytes: 1_000 });
  expect([credit.isNone, credit.isOverrunBy(1e9)]).toEqual([false, false]);
});

test('one that has none may have on its way what it was granted before, a quarter more, and a message', () => {
  const credit = new ClientCredit(MESSAGE_BYTES);
  credit.note({ messages: 10, bytes: 1_000 });
  credit.note(NO_CREDIT);
  expect(credit.isNone).toBe(true);
  expect(credit.isOverrunBy(1_350)).toBe(false);
  expect(credit.isOverrunBy(1)).toBe(true);
  credit.note({ messages: 10, bytes: 1_000 });
  credit.note(NO_CREDIT);
  expect(credit.isOverrunBy(1_350)).toBe(false);
});

test('a credit that shrinks leaves room for what was on its way under the one before', () => {
  const credit = new ClientCredit(MESSAGE_BYTES);
  credit.note({ messages: 10, bytes: 1_000 });
  credit.note({ messages: 1, bytes: 10 });
  credit.note(NO_CREDIT);
  expect(credit.isOverrunBy(725)).toBe(false);
  expect(credit.isOverrunBy(1)).toBe(true);
});

test('after a hibernation, the widest window may be on its way', () => {
  const credit = new ClientCredit(MESSAGE_BYTES);
  credit.assumeNone();
  expect(credit.isNone).toBe(true);
  expect(credit.isOverrunBy(MAX_CREDIT_BYTES * 1.25 + MESSAGE_BYTES)).toBe(false);
  expect(credit.isOverrunBy(1)).toBe(true);
});

test('too many refusals without a credit in between are no mistake', () => {
  const credit = new ClientCredit(MESSAGE_BYTES);
  credit.note(NO_CREDIT);
  for (let refusals = 1; refusals < MAX_OVER_CREDIT; refusals += 1) expect(credit.isIgnored()).toBe(false);
  credit.note({ messages: 1, bytes: 10 });
  for (let refusals = 1; refusals < MAX_OVER_CREDIT; refusals += 1) expect(credit.isIgnored()).toBe(false);
  expect(credit.isIgnored()).toBe(true);
});
