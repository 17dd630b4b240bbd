/** Why a lane stops when its checkpoint and its outbox do not fit together, in a sentence; and what an operator may do. */

import { SluiceError } from '../core/errors.ts';
import type { MissingChoice, MissingMessages } from '../outbox/missing-messages.ts';
import type { CheckpointSurvey } from '../writers/checkpoint-survey.ts';

/** What a lane knows of its checkpoint. */
export interface LanePositions {
  incarnation: string;
  /** The last known position of the checkpoint; null before the first batch. */
  fence: bigint | null;
  /** The first position that is not settled. */
  head: bigint;
  /** The first message that the outbox still has. */
  held: bigint;
  /** The next position to be given. */
  tail: bigint;
  /** How far the checkpoint may be. */
  maxSentPosition: bigint;
  /** Messages that wait to be written. */
  rows: number;
  /** What a database lacks whose checkpoint is at a position. */
  missingFrom(position: bigint): Omit<MissingMessages, 'sinceMs'>;
}

/**
 * How a lane that has stopped goes on.
 *
 * - `go-on`: the checkpoint fits, now that it was asked for; nothing is changed.
 * - `begin`: a new life in Postgres, whose checkpoint begins at `position`. `from` is the checkpoint that it takes over.
 * - `stop`: it stays as it is, and `error` says why.
 */
export type ResumePlan =
  | { do: 'go-on' }
  | {
      do: 'begin';
      position: bigint;
      from: { incarnation: string; position: bigint } | undefined;
      /** True where older checkpoints count other messages than the outbox. */
      isNewCount: boolean;
    }
  | { do: 'stop'; error: SluiceError };

/** What `resume` does about a lane that has stopped, after it has asked where the checkpoint is now. */
export function planResume(
  survey: CheckpointSurvey,
  lane: LanePositions,
  choice: MissingChoice | undefined,
): ResumePlan {
  const stop: ResumePlan = { do: 'stop', error: stopError(survey, lane) };
  const begin = { do: 'begin', position: lane.head, from: undefined, isNewCount: false } as const;
  if (survey.state === 'hidden') return choice === 'give-up' ? begin : stop;
  if (survey.state === 'missing') return choice === 'write-again' ? stop : begin;
  const { position, incarnation } = survey;
  if (position > lane.maxSentPosition)
    return choice === 'write-again' ? stop : { ...begin, isNewCount: true };
  const from = { incarnation, position };
  if (lane.fence === null || position >= lane.fence) {
    if (incarnation === lane.incarnation) return { do: 'go-on' };
    return { ...begin, from, position: later(position, lane.head) };
  }
  const { held } = lane.missingFrom(position);
  if (choice === 'give-up' || (choice === undefined && held === 0)) return { ...begin, from };
  if (choice === undefined || held === 0) return stop;
  return { ...begin, from, position: later(position, lane.held) };
}

// Math.max takes no bigint.
function later(one: bigint, other: bigint): bigint {
  if (one > other) return one;
  return other;
}

/** The error that a lane stops with. */
export function stopError(survey: CheckpointSurvey, lane: LanePositions): SluiceError {
  if (survey.state === 'hidden') {
    return new SluiceError(
      'checkpoint_missing',
      `The checkpoint of this shard cannot be seen: row security is active for its role on the table of checkpoints. Give the role a policy for all commands, or BYPASSRLS, then resume. Only if the checkpoint is really gone, resume with give-up: what was on its way may then come twice. ${WAITS}`,
    );
  }
  if (survey.state === 'missing') {
    const why = survey.isTableEmpty
      ? 'The table of checkpoints is empty: it was created or emptied since, or this is another database'
      : 'This is another database, or an older state of it, or the row was deleted';
    return new SluiceError(
      'checkpoint_missing',
      `The database has no checkpoint of this shard, which was at ${lane.fence ?? 0}. ${why}. Where the address was wrong, correct it and resume: the shard goes on as before. Resumed here, it writes only what it has not written yet. ${WAITS}`,
    );
  }
  const { position, movedAtMs, incarnation } = survey;
  if (position > lane.maxSentPosition) {
    const reused =
      lane.tail > lane.maxSentPosition
        ? `, and positions up to ${lane.tail} were given to other messages since`
        : '';
    return new SluiceError(
      'checkpoint_ahead',
      `The shard's storage is in the past: the database has messages of this shard up to position ${position}, and the storage knows of none sent beyond ${lane.maxSentPosition}${reused}. Where the address was wrong, correct it and resume. Resumed here, it writes the ${lane.rows} messages that it has; those of them that the database has already are then there twice. ${WAITS}`,
    );
  }
  if (lane.fence === null || position >= lane.fence) {
    return new SluiceError(
      'checkpoint_missing',
      `The database knows this shard by an earlier checkpoint${incarnation === lane.incarnation ? '' : ' only'}, at ${position}, which fits: resume, and the shard goes on from there. ${WAITS}`,
    );
  }
  const missing: MissingMessages = { ...lane.missingFrom(position), sinceMs: movedAtMs };
  return new SluiceError(
    'checkpoint_behind',
    `The database is in the past: its checkpoint is at ${position}, of ${new Date(movedAtMs).toISOString()}, and this shard has committed up to ${lane.fence}. ${counted(missing.messages)} missing there. ${waysOf(missing)}. ${WAITS}${namesOf(missing)}`,
    { details: { missing } },
  );
}

const WAITS = 'Nothing is written before an operator resumes the shard';

function counted(messages: number): string {
  return messages === 1 ? '1 message is' : `${messages} messages are`;
}

function waysOf({ messages, held }: MissingMessages): string {
  if (held === 0) return 'The shard no longer has them: resume gives them up';
  const which = held >= messages ? 'all of them' : `the last ${held} of them`;
  return `The shard still has ${which}: resume with write-again to write them, or with give-up to leave them missing`;
}

/** Ranges that the sentence names. The others are in the error's details. */
const NAMED_RANGES = 2;
const NAME_CHARACTERS = 32;

// Last, so that what is cut off where the text is too long are names.
function namesOf({ ranges, unlisted }: MissingMessages): string {
  if (ranges.length === 0) return '';
  const named = ranges.slice(0, NAMED_RANGES).map(({ producer, epoch, firstSequence, lastSequence }) => {
    const name = producer.length > NAME_CHARACTERS ? `${producer.slice(0, NAME_CHARACTERS)}…` : producer;
    return `${name} epoch ${epoch} sequences ${firstSequence} to ${lastSequence}`;
  });
  const rest = ranges.length - named.length;
  const more = unlisted > 0 ? ' and others' : rest > 0 ? ` and ${rest} more` : '';
  return `. Missing: ${named.join(', ')}${more}`;
}
