import { describe, expect, test } from 'vitest';
import { errorText } from '../../../src/core/errors.ts';
import { type LanePositions, planResume, stopError } from '../../../src/ingest/checkpoint-stop.ts';
import type { MissingRange } from '../../../src/outbox/missing-messages.ts';
import type { CheckpointSurvey } from '../../../src/writers/checkpoint-survey.ts';

const AT_MS = Date.UTC(2026, 10, 30, 12, 0, 0);

/** A lane that has committed up to 100, and has 20 more; of the 100 it still has the last 40. */
function laneWith(given: Partial<LanePositions> = {}): LanePositions {
  const ranges: MissingRange[] = [
    { producer: 'sensor-1', epoch: 7, firstSequence: 61, lastSequence: 100, messages: 40 },
  ];
  return {
    incarnation: 'own',
    fence: 100n,
    head: 100n,
    held: 60n,
    tail: 120n,
    maxSentPosition: 110n,
    rows: 20,
    missingFrom: (position) => {
      const held = position < 60n ? 40 : Number(100n - position);
      return { messages: Number(100n - position), held, ranges: held > 0 ? ranges : [], unlisted: 0 };
    },
    ...given,
  };
}

function at(position: bigint, incarnation = 'own'): CheckpointSurvey {
  return { state: 'found', incarnation, position, movedAtMs: AT_MS };
}

const MISSING: CheckpointSurvey = { state: 'missing', isTableEmpty: false };
const HIDDEN: CheckpointSurvey = { state: 'hidden' };
const HELD_NOTHING = laneWith({
  held: 100n,
  missingFrom: (position) => ({ messages: Number(100n - position), held: 0, ranges: [], unlisted: 0 }),
});

describe('resume', () => {
  test.each([
    ['where the lane left it', at(100n)],
    ['at the end of a batch whose answer was lost', at(110n)],
  ])('goes on as before where the checkpoint is %s, whatever is chosen', (_, survey) => {
    for (const choice of [undefined, 'write-again', 'give-up'] as const)
      expect(planResume(survey, laneWith(), choice)).toEqual({ do: 'go-on' });
  });

  test('takes over an older checkpoint that fits, at its place', () => {
    const from = { incarnation: 'older', position: 110n };
    expect(planResume(at(110n, 'older'), laneWith(), undefined)).toEqual({
      do: 'begin',
      position: 110n,
      from,
      isNewCount: false,
    });
  });

  test('asks what becomes of missing messages, as long as the lane has some of them', () => {
    const from = { incarnation: 'own', position: 70n };
    const begin = { do: 'begin', from, isNewCount: false };
    expect(planResume(at(70n), laneWith(), undefined)).toMatchObject({
      do: 'stop',
      error: { code: 'checkpoint_behind' },
    });
    expect(planResume(at(70n), laneWith(), 'write-again')).toEqual({ ...begin, position: 70n });
    expect(planResume(at(70n), laneWith(), 'give-up')).toEqual({ ...begin, position: 100n });
  });

  test('writes again from the first that it has, where that is after the checkpoint', () => {
    expect(planResume(at(10n), laneWith(), 'write-again')).toMatchObject({ do: 'begin', position: 60n });
  });

  test('has nothing to ask where it has none of the missing messages, and cannot write them', () => {
    expect(planResume(at(10n), HELD_NOTHING, undefined)).toMatchObject({ do: 'begin', position: 100n });
    expect(planResume(at(10n), HELD_NOTHING, 'write-again')).toMatchObject({ do: 'stop' });
  });

  test('begins at its head where there is no checkpoint, and takes none over where it counts other messages', () => {
    const begin = { do: 'begin', position: 100n, from: undefined };
    expect(planResume(MISSING, laneWith(), undefined)).toEqual({ ...begin, isNewCount: false });
    expect(planResume(at(111n), laneWith(), undefined)).toEqual({ ...begin, isNewCount: true });
    for (const survey of [MISSING, HIDDEN, at(111n)])
      expect(planResume(survey, laneWith(), 'write-again')).toMatchObject({ do: 'stop' });
  });

  test('does not take a hidden checkpoint for a missing one, unless it is told so', () => {
    expect(planResume(HIDDEN, laneWith(), undefined)).toMatchObject({ do: 'stop' });
    expect(planResume(HIDDEN, laneWith(), 'give-up')).toMatchObject({ do: 'begin', position: 100n });
  });
});

describe('the reason of a stop', () => {
  test('of a database in the past says whose messages are missing, since when, and what can be done', () => {
    const error = stopError(at(60n), laneWith());
    expect(error.code).toBe('checkpoint_behind');
    expect(error.message).toContain('its checkpoint is at 60, of 2026-11-30T12:00:00.000Z');
    expect(error.message).toContain('40 messages are missing there');
    expect(error.message).toContain('The shard still has all of them: resume with write-again');
    expect(error.message).toContain('Missing: sensor-1 epoch 7 sequences 61 to 100');
    expect(error.details).toEqual({
      missing: {
        messages: 40,
        sinceMs: AT_MS,
        held: 40,
        ranges: [{ producer: 'sensor-1', epoch: 7, firstSequence: 61, lastSequence: 100, messages: 40 }],
        unlisted: 0,
      },
    });
    expect(stopError(at(99n), laneWith()).message).toContain('1 message is missing there');
    expect(stopError(at(10n), laneWith()).message).toContain('still has the last 40 of them');
    expect(stopError(at(10n), HELD_NOTHING).message).toContain('no longer has them: resume gives them up');
  });

  test('is cut at names, and never at what to do', () => {
    const ranges = Array.from({ length: 50 }, (_, index) => ({
      producer: `${index}-${'n'.repeat(200)}`,
      epoch: Number.MAX_SAFE_INTEGER,
      firstSequence: 1,
      lastSequence: Number.MAX_SAFE_INTEGER,
      messages: 1,
    }));
    const lane = laneWith({
      fence: 2n ** 60n,
      missingFrom: () => ({ messages: 2 ** 50, held: 2 ** 49, ranges, unlisted: 5 }),
    });
    const text = errorText(stopError(at(2n ** 59n, 'own'), { ...lane, maxSentPosition: 2n ** 61n }));
    expect(text).toContain('Nothing is written before an operator resumes the shard');
    expect(text).toContain('Missing: 0-nnn');
    expect(text.length).toBeLessThanOrEqual(500);
  });

  test('of a storage in the past says up to where it had sent, also where new messages have the same positions', () => {
    const plain = stopError(at(200n), laneWith({ maxSentPosition: 110n, tail: 110n }));
    expect(plain).toMatchObject({ code: 'checkpoint_ahead' });
    expect(plain.message).toContain('up to position 200, and the storage knows of none sent beyond 110.');
    const equal = stopError(at(200n), laneWith({ maxSentPosition: 110n, tail: 200n, rows: 100 }));
    expect(equal.message).toContain(
      'up to position 200, and the storage knows of none sent beyond 110, and positions up to 200 were given to other messages since.',
    );
    expect(equal.message).toContain('it writes the 100 messages that it has');
  });

  test('of a checkpoint that is not there tells an empty table and row security from another database', () => {
    expect(stopError(MISSING, laneWith()).message).toContain('This is another database, or an older state');
    const empty = stopError({ state: 'missing', isTableEmpty: true }, laneWith());
    expect(empty.message).toContain('The table of checkpoints is empty');
    const hidden = stopError(HIDDEN, laneWith());
    expect(hidden.message).toContain('row security is active for its role');
    for (const { code, message } of [empty, hidden]) {
      expect(code).toBe('checkpoint_missing');
      expect(message.length).toBeLessThanOrEqual(500);
    }
  });
});
