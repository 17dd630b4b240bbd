import { describe, expect, test } from 'vitest';
import type { FaultKind } from '../../../src/database/fault-kind.ts';
import { type Evidence, PATIENCE, type Verdict, verdictOn } from '../../../src/ingest/verdict.ts';

const KINDS: readonly FaultKind[] = [
  'outage',
  'database',
  'message',
  'duplicate',
  'value',
  'partition',
  'passing',
  'unclear',
];
const BEFORE: readonly Evidence['before'][] = ['taken', 'refused', 'own-refused', 'none'];
const OTHERS: readonly Evidence['others'][] = ['later-taken', 'taken', 'none'];

const everything: Evidence[] = KINDS.flatMap((kind) =>
  BEFORE.flatMap((before) =>
    OTHERS.flatMap((others) =>
      [1, 2].flatMap((producers) =>
        [1, PATIENCE, PATIENCE + 1].map((tries) => ({ kind, before, others, producers, tries })),
      ),
    ),
  ),
);

function those(filter: Partial<Evidence>): Evidence[] {
  const found = everything.filter((evidence) =>
    Object.entries(filter).every(([key, value]) => evidence[key as keyof Evidence] === value),
  );
  expect(found.length).toBeGreaterThan(0);
  return found;
}

function expectAll(evidence: readonly Evidence[], act: Verdict['do']): void {
  for (const one of evidence) expect({ ...one, do: verdictOn(one).do }).toEqual({ ...one, do: act });
}

describe('whatever else is known,', () => {
  test('an outage is tried again', () => expectAll(those({ kind: 'outage' }), 'retry'));
  test('what is about the database pauses', () => expectAll(those({ kind: 'database' }), 'pause'));
  test('a fault that the message itself has condemns', () => {
    expectAll(those({ kind: 'message' }), 'condemn');
    expectAll(those({ kind: 'duplicate' }), 'condemn');
  });
  test('what usually passes is tried again a few times', () => {
    expectAll(those({ kind: 'passing', tries: 1 }), 'retry');
    expectAll(those({ kind: 'passing', tries: PATIENCE }), 'retry');
  });
  test('a row of another producer that was good before and is refused alike acquits', () => {
    for (const kind of ['value', 'partition', 'unclear'] as const)
      expectAll(those({ kind, before: 'refused' }), 'pause');
    expectAll(those({ kind: 'passing', before: 'refused' }), 'retry');
  });
});

describe('another row that is taken condemns,', () => {
  const tries = PATIENCE + 1;
  test('one from before, or one of now', () => {
    for (const kind of ['value', 'unclear', 'passing'] as const) {
      expectAll(those({ kind, tries, before: 'taken' }), 'condemn');
      expectAll(those({ kind, tries, before: 'none', others: 'taken' }), 'condemn');
      expectAll(those({ kind, tries, before: 'none', others: 'later-taken' }), 'condemn');
      // Rows of the producer alone are refused now as well: it is locked out, and nobody else.
      expectAll(those({ kind, tries, before: 'own-refused', others: 'later-taken' }), 'condemn');
    }
  });

  test('but for a partition only one that came later, and of one producer alone', () => {
    expectAll(those({ kind: 'partition', before: 'taken', others: 'later-taken', producers: 1 }), 'condemn');
    expectAll(those({ kind: 'partition', before: 'taken', others: 'later-taken', producers: 2 }), 'pause');
    expectAll(those({ kind: 'partition', others: 'taken' }), 'pause');
    expectAll(those({ kind: 'partition', others: 'none' }), 'pause');
  });
});

describe('without any other row', () => {
  const nothing = { before: 'none', others: 'none', tries: PATIENCE + 1 } as const;
  test('a value that the error names condemns, unless several producers are refused alike', () => {
    expectAll(those({ kind: 'value', ...nothing, producers: 1 }), 'condemn');
    expectAll(those({ kind: 'value', ...nothing, producers: 2 }), 'pause');
    expectAll(those({ kind: 'value', others: 'none', before: 'own-refused' }), 'pause');
  });
  test('anything else waits', () => {
    expectAll(those({ kind: 'unclear', ...nothing }), 'pause');
    expectAll(those({ kind: 'partition', ...nothing }), 'pause');
    expectAll(those({ kind: 'passing', ...nothing }), 'retry');
  });
});

test('a wait for another row is told as one, and so is a fault of the table', () => {
  for (const evidence of everything) {
    const { do: act, why, isUndecided } = verdictOn(evidence);
    if (act === 'condemn') expect(why).toBe('');
    if (isUndecided) expect(act).not.toBe('condemn');
    if (why !== '') expect(why).toMatch(/^[A-Z].*[^.]$/);
  }
  const refused = verdictOn({ kind: 'unclear', tries: 1, producers: 2, before: 'refused', others: 'none' });
  expect(refused).toMatchObject({ isUndecided: false, why: expect.stringContaining('rules have changed') });
});
