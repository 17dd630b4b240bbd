import { describe, expect, test } from 'vitest';
import { auditWrites, compareRead, hasItsEnds } from '../../../../lab/suites/dcb/audit.ts';
import { DataSet } from '../../../../lab/suites/dcb/data-set.ts';
import type { DcbOperation } from '../../../../lab/suites/dcb/job.ts';
import { type Attempt, Ledger } from '../../../../lab/suites/dcb/ledger.ts';
import { compareStates } from '../../../../lab/suites/dcb/projections.ts';
import { attemptEvents } from '../../../../lab/suites/dcb/written-events.ts';
import type { StoredEvent } from '../../../../src/events/event.ts';

const CLEAN = { lost: 0, duplicated: 0, outOfOrder: 0 };
const HEAD = 100n;

/** An event as it is stored. */
function stored(
  position: bigint,
  event: { type: string; tags?: readonly string[]; data?: unknown },
): StoredEvent {
  return {
    position,
    type: event.type,
    tags: event.tags ?? [],
    data: event.data,
    metadata: null,
    id: undefined,
    timeUs: 0,
  };
}

interface Tried extends Partial<Attempt> {
  client: number;
}

/** Attempts as they were answered, and the log that an honest store would have. */
function run(operation: DcbOperation, tried: readonly Tried[]): { ledger: Ledger; log: StoredEvent[] } {
  const ledger = new Ledger(tried.length);
  const log: StoredEvent[] = [];
  for (const [number, { client, scope = '', after = 0n, answer }] of tried.entries()) {
    const events = attemptEvents(operation, number, scope);
    if (answer?.kind === 'conflict') {
      ledger.note(number, { client, scope, after, answer });
      continue;
    }
    for (const event of events) log.push(stored(HEAD + BigInt(log.length + 1), event));
    ledger.note(number, {
      client,
      scope,
      after,
      answer: answer ?? { kind: 'appended', position: HEAD + BigInt(log.length) },
    });
  }
  return { ledger, log };
}

function audit(
  operation: DcbOperation,
  log: readonly StoredEvent[],
  ledger: Ledger,
  firstOfScope: ReadonlyMap<string, bigint> = new Map(),
) {
  return auditWrites(operation, log, ledger, { head: HEAD, firstOfScope });
}

describe('the audit of appends', () => {
  const TWO = [{ client: 0 }, { client: 0 }];

  test('finds nothing where there is nothing', async () => {
    const { ledger, log } = run('append-10', TWO);
    expect(await audit('append-10', log, ledger)).toEqual({ ...CLEAN, sent: 20, refused: 0, found: 20 });
  });

  test.each([
    { what: 'the last event is missing', change: (log: StoredEvent[]) => log.slice(0, -1), lost: 1 },
    { what: 'an append is missing', change: (log: StoredEvent[]) => log.slice(10), lost: 10 },
    {
      what: 'an event is there twice',
      change: (log: StoredEvent[]) => [...log, { ...(log[3] as StoredEvent), position: 500n }],
      duplicated: 1,
    },
    {
      what: 'an event of somebody else is there',
      change: (log: StoredEvent[]) => [...log, stored(500n, { type: 'Other' })],
      duplicated: 1,
    },
    {
      what: 'an event has other data',
      change: (log: StoredEvent[]) =>
        log.map((event, index) => (index === 19 ? { ...event, data: {} } : event)),
      lost: 1,
      duplicated: 1,
    },
    {
      what: 'an event has metadata that nobody wrote',
      change: (log: StoredEvent[]) =>
        log.map((event, index) => (index === 19 ? { ...event, metadata: {} } : event)),
      lost: 1,
      duplicated: 1,
    },
    {
      what: 'an event has one tag more',
      change: (log: StoredEvent[]) =>
        log.map((event, index) => (index === 19 ? { ...event, tags: [...event.tags, 'more:1'] } : event)),
      lost: 1,
      duplicated: 1,
    },
    {
      what: 'two events have changed places',
      change: ([first, second, ...more]: StoredEvent[]) => [
        { ...(second as StoredEvent), position: 101n },
        { ...(first as StoredEvent), position: 102n },
        ...more,
      ],
      // What follows the one that is not at its place is not at its own either.
      lost: 9,
      duplicated: 9,
    },
    {
      what: 'a position does not rise',
      change: (log: StoredEvent[]) =>
        log.map((event, index) => (index === 5 ? { ...event, position: 101n } : event)),
      outOfOrder: 1,
    },
  ])('tells that $what', async ({ change, what: _, ...faults }) => {
    const { ledger, log } = run('append-10', TWO);
    expect(await audit('append-10', change(log), ledger)).toMatchObject({ ...CLEAN, ...faults });
  });

  test('tells of an answer that names another position', async () => {
    const { ledger, log } = run('append-10', [
      { client: 0, answer: { kind: 'appended', position: HEAD + 9n } },
      { client: 1 },
    ]);
    expect(await audit('append-10', log, ledger)).toMatchObject({ ...CLEAN, outOfOrder: 1 });
  });

  test('tells of an append with events of another one between its own', async () => {
    const { ledger, log } = run('append-10', [{ client: 0 }, { client: 1 }]);
    const mixed = [...log.slice(0, 5), ...log.slice(10), ...log.slice(5, 10)].map((event, index) => ({
      ...event,
      position: HEAD + BigInt(index + 1),
    }));
    const { outOfOrder, lost, duplicated } = await audit('append-10', mixed, ledger);
    expect({ lost, duplicated }).toEqual({ lost: 0, duplicated: 0 });
    // The place where the first goes on, and the answers of both, which name other positions.
    expect(outOfOrder).toBe(3);
  });

  test('tells of an attempt that was never answered', async () => {
    const { ledger, log } = run('append-1', TWO);
    ledger.attempts.push(undefined);
    expect(await audit('append-1', log, ledger)).toMatchObject({ ...CLEAN, sent: 3, lost: 1 });
  });

  test('tells of a client whose later event is before its earlier one', async () => {
    const ledger = new Ledger(2);
    const log = [1, 0].map((attempt, index) =>
      stored(HEAD + BigInt(index + 1), attemptEvents('append-1', attempt, '')[0] as StoredEvent),
    );
    ledger.note(0, { client: 7, scope: '', after: 0n, answer: { kind: 'appended', position: HEAD + 2n } });
    ledger.note(1, { client: 7, scope: '', after: 0n, answer: { kind: 'appended', position: HEAD + 1n } });
    expect(await audit('append-1', log, ledger)).toMatchObject({ ...CLEAN, outOfOrder: 1 });
  });
});

describe('the audit of conditional appends', () => {
  const scope = 'course:c1';
  const before = new Map([[scope, 40n]]);
  const won = (client: number, after: bigint): Tried => ({ client, scope, after });
  const refused = (client: number, after: bigint, position: bigint): Tried => ({
    client,
    scope,
    after,
    answer: { kind: 'conflict', position },
  });

  test('replays a race: one winner for each position, and conflicts that name it', async () => {
    const { ledger, log } = run('race', [
      won(0, HEAD),
      refused(1, HEAD, HEAD + 1n),
      won(1, HEAD + 1n),
      refused(0, HEAD, HEAD + 1n),
    ]);
    expect(await audit('race', log, ledger, before)).toEqual({ ...CLEAN, sent: 4, refused: 2, found: 2 });
  });

  test('tells of two winners', async () => {
    const { ledger, log } = run('race', [won(0, HEAD), won(1, HEAD)]);
    expect(await audit('race', log, ledger, before)).toMatchObject({ ...CLEAN, outOfOrder: 1 });
  });

  test('tells of a winner that an event from before should have refused', async () => {
    const { ledger, log } = run('race', [won(0, 39n)]);
    expect(await audit('race', log, ledger, before)).toMatchObject({ ...CLEAN, outOfOrder: 1 });
    const behind = run('race', [won(0, 40n)]);
    expect(await audit('race', behind.log, behind.ledger, before), 'the control').toMatchObject(CLEAN);
  });

  test('tells of a conflict with nothing, and of one with another event than the first', async () => {
    for (const position of [HEAD + 1n, HEAD + 2n]) {
      const { ledger, log } = run('race', [won(0, HEAD), won(0, HEAD + 1n), refused(1, HEAD, position)]);
      expect(await audit('race', log, ledger, before)).toMatchObject({
        ...CLEAN,
        outOfOrder: position === HEAD + 1n ? 0 : 1,
      });
    }
    const none = run('race', [refused(1, HEAD, HEAD + 1n)]);
    expect(await audit('race', none.log, none.ledger, before)).toMatchObject({ ...CLEAN, outOfOrder: 1 });
  });

  test('tells of an event that was refused and is there all the same', async () => {
    const { ledger, log } = run('conflict', [refused(0, 0n, 40n)]);
    expect(await audit('conflict', log, ledger, before)).toEqual({ ...CLEAN, sent: 1, refused: 1, found: 0 });
    const event = stored(HEAD + 1n, attemptEvents('conflict', 0, scope)[0] as StoredEvent);
    expect(await audit('conflict', [event], ledger, before)).toMatchObject({ duplicated: 1 });
  });

  test('tells of an event in the scope of another client', async () => {
    const { ledger, log } = run('if-own', [won(0, HEAD)]);
    const elsewhere = log.map((event) => ({ ...event, tags: ['course:c2', event.tags[1] as string] }));
    expect(await audit('if-own', elsewhere, ledger, before)).toMatchObject({ lost: 1, duplicated: 1 });
  });

  test('lets all win that ask for what is not there', async () => {
    const { ledger, log } = run('if-shared', [won(0, 0n), won(1, 0n)]);
    expect(await audit('if-shared', log, ledger, before)).toMatchObject(CLEAN);
    const other = run('if-own', [won(0, 0n), won(1, 0n)]);
    expect((await audit('if-own', other.log, other.ledger, before)).outOfOrder, 'the control').toBe(2);
  });
});

describe('the audit of reads', () => {
  const set = new DataSet('tiny', 1);
  const expected = [0, 15, 16];
  const read = expected.map((number, index) => stored(BigInt(index + 1), set.event(number)));

  test('takes what is right', () => {
    expect(compareRead(set, read, expected)).toEqual({ sent: 3, right: 3, wrong: 0 });
    expect(hasItsEnds(set, read, expected)).toBe(true);
  });

  test.each([
    { what: 'an event too few', events: read.slice(1), right: 0, wrong: 2 },
    { what: 'an event too many', events: [...read, stored(9n, set.event(0))], right: 3, wrong: 1 },
    { what: 'nothing', events: [], right: 0, wrong: 0 },
    {
      what: 'an event with other data',
      events: read.map((event, index) => (index === 1 ? { ...event, data: {} } : event)),
      right: 2,
      wrong: 1,
    },
    {
      what: 'positions that do not rise',
      events: read.map((event) => ({ ...event, position: 1n })),
      right: 1,
      wrong: 2,
    },
  ])('tells of $what', ({ events, right, wrong }) => {
    expect(compareRead(set, events, expected)).toEqual({ sent: 3, right, wrong });
    if (events.length !== 3) expect(hasItsEnds(set, events, expected)).toBe(false);
  });

  test('of states counts those that are other, missing or empty as wrong', () => {
    expect(compareStates({ a: 1, b: true }, { a: 1, b: true })).toEqual({ right: 2, wrong: 0 });
    expect(compareStates({ a: 2, b: true }, { a: 1, b: true })).toEqual({ right: 1, wrong: 1 });
    expect(compareStates({ a: 1 }, { a: 1, b: true })).toEqual({ right: 1, wrong: 1 });
    expect(compareStates({ a: 0, b: false }, { a: 0, b: false })).toEqual({ right: 0, wrong: 2 });
  });
});
