/** `decideHello` against the tables of PROTOCOL.md, "hello": each row of a table has its case here, and each case its row. */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { MAX_EPOCH_AHEAD_MS } from '../../../src/core/limits.ts';
import { decideHello, type HelloDecision } from '../../../src/ingest/hello.ts';
import { createProducer, type Producer } from '../../../src/outbox/producer.ts';
import { sessionName } from '../../../src/outbox/session-name.ts';
import type { HelloIntent } from '../../../src/protocol/sluice-v1.ts';

const protocol = readFileSync(new URL('../../../PROTOCOL.md', import.meta.url), 'utf8');

const NOW = 1_700_000_000_000;

interface KnownEpoch {
  epoch?: number;
  instance?: string;
  /** How many sessions it had; 0: none. */
  sessions?: number;
  /** True where a batch came in the newest of them. */
  hasCome?: boolean;
  nextSequence?: number;
}

/** What a shard knows of an epoch whose sessions are `1.s`, `2.s`, ...; each went on from the one before. */
function known({
  epoch = 5,
  instance = 'this',
  sessions = 1,
  hasCome = false,
  nextSequence = 1,
}: KnownEpoch): Producer {
  const producer = createProducer('p', epoch, nextSequence, nextSequence - 1, instance);
  if (sessions === 0) return producer;
  producer.session = {
    id: sessionName(sessions, 's'),
    previous: sessions > 1 ? sessionName(sessions - 1, 's') : undefined,
    from: nextSequence,
    hasCome,
  };
  producer.endedSessions = Array.from({ length: sessions - 1 }, (_, index) => ({
    id: sessionName(index + 1, 's'),
    upTo: (index + 1) * 10,
  }));
  return producer;
}

const begin = (epoch?: number, instance: string | null = 'this'): HelloIntent => ({
  intent: 'begin',
  epoch,
  instance: instance ?? undefined,
});
const resume = (session: number, epoch = 5): HelloIntent => ({
  intent: 'resume',
  epoch,
  instance: 'this',
  session: sessionName(session, 's'),
  next: 21,
});
const recover = (session?: number): HelloIntent => ({
  intent: 'recover',
  instance: 'this',
  session: session === undefined ? undefined : sessionName(session, 's'),
  next: 21,
});

/** A case of a row: a hello, what the shard knows of the producer, and what of the decision the row says. */
type Case = [hello: HelloIntent, epochs: readonly KnownEpoch[], decision: Partial<HelloDecision> & object];

const fenced = { kind: 'refuse', code: 'fenced' } as const;

/** By the first cells of each row, as they stand in PROTOCOL.md. */
const TABLES: Record<'Begin' | 'Resume' | 'Recover', Record<string, readonly Case[]>> = {
  Begin: {
    'there is none, or it is of another instance': [
      [begin(), [], { kind: 'begin', epoch: NOW, next: 1 }],
      [begin(7), [], { kind: 'begin', epoch: 7, next: 1 }],
      [begin(), [{ instance: 'other' }], { kind: 'begin', epoch: NOW }],
      [begin(7), [{ instance: 'other' }], { kind: 'begin', epoch: 7 }],
      [begin(), [{ instance: 'other', epoch: NOW + 3 }], { kind: 'begin', epoch: NOW + 4 }],
      [begin(undefined, null), [{ hasCome: true }], { kind: 'begin', epoch: NOW }],
    ],
    'is of the same `instance`, and nothing came in it': [
      [begin(), [{}], { kind: 'continue', ordinal: 2, previous: '1.s' }],
      // Its epoch is asked for again.
      [begin(5), [{}], { kind: 'continue', ordinal: 2 }],
    ],
    'is of the same `instance`, and something came in it': [
      [begin(), [{ hasCome: true }], fenced],
      [begin(9), [{ hasCome: true }], fenced],
      [begin(), [{ sessions: 0, nextSequence: 2 }], fenced],
    ],
    'is of another instance, and an older epoch is of this one': [
      [begin(9), [{}, { epoch: 6, instance: 'other' }], fenced],
    ],
    'is equal to the given `epoch`, or higher': [
      [begin(5), [{ instance: 'other' }], { ...fenced, reason: 'the current epoch is 5' }],
      [begin(4), [{ instance: 'other' }], { ...fenced, reason: 'the current epoch is 5' }],
    ],
  },
  Resume: {
    'is `epoch` | is the newest': [
      [resume(1), [{ hasCome: true }], { kind: 'continue', ordinal: 2, previous: '1.s', isForgetful: false }],
      // From before sessions.
      [resume(1), [{ sessions: 0 }], { kind: 'continue', ordinal: 2, isForgetful: false }],
    ],
    'is `epoch` | is the one that the newest went on from, and nothing came in the newest': [
      [resume(1), [{ sessions: 2 }], { kind: 'continue', ordinal: 3, previous: '1.s', isForgetful: false }],
    ],
    'is `epoch` | is an older one': [
      [resume(1), [{ sessions: 2, hasCome: true }], fenced],
      [resume(1), [{ sessions: 3 }], fenced],
    ],
    'is `epoch` | is newer than any that the server knows, by a million sessions at most': [
      [resume(3), [{ sessions: 2 }], { kind: 'continue', ordinal: 4, isForgetful: true }],
    ],
    'is higher than `epoch` | any': [
      [resume(1), [{ epoch: 6 }], { ...fenced, reason: 'the current epoch is 6' }],
    ],
    'is lower than `epoch`, or there is none | any': [
      [resume(2), [], { kind: 'begin', epoch: 5, next: 21, ordinal: 3, previous: '2.s' }],
      [resume(2), [{ epoch: 4 }], { kind: 'begin', epoch: 5, next: 21 }],
    ],
  },
  Recover: {
    'knows the instance': [
      [recover(1), [{ nextSequence: 21 }], { kind: 'recover', sure: undefined, ordinal: undefined }],
      [recover(), [{ nextSequence: 31 }], { kind: 'recover', sure: undefined, ordinal: undefined }],
      [recover(1), [{}, { epoch: 6, instance: 'other' }], { kind: 'recover', sure: undefined }],
    ],
    'knows the instance, and `session` is not its newest': [
      [recover(1), [{ sessions: 2, nextSequence: 31 }], { kind: 'recover', sure: 10, ordinal: 3 }],
      // Nothing came after that session.
      [recover(1), [{ sessions: 2, nextSequence: 11 }], { kind: 'recover', sure: undefined, ordinal: 3 }],
    ],
    'knows the instance, and has not come as far as `next`': [
      [recover(1), [{ nextSequence: 20 }], { kind: 'recover', sure: undefined, ordinal: 2 }],
      [recover(), [{ nextSequence: 20 }], { kind: 'recover', sure: undefined, ordinal: 2 }],
    ],
    'does not know the instance': [
      [recover(1), [], { kind: 'begin', epoch: NOW, next: 21, ordinal: undefined }],
      [recover(1), [{ instance: 'other', epoch: NOW + 3 }], { kind: 'begin', epoch: NOW + 4, next: 21 }],
    ],
  },
};

/** The rows of a table in PROTOCOL.md, all cells but the last joined. */
function rowsOfTable(title: string): string[] {
  const [, rest = ''] = protocol.split(new RegExp(`^\\*\\*${title}\\*\\*`, 'm'));
  const lines = rest.split('\n');
  const first = lines.findIndex((line) => line.startsWith('|'));
  const end = lines.findIndex((line, index) => index > first && !line.startsWith('|'));
  return lines.slice(first + 2, end).map((line) => line.slice(2, line.lastIndexOf(' | ')));
}

describe.each(Object.entries(TABLES))('%s', (title, cases) => {
  test('has a case for each row of the table in PROTOCOL.md, in its order', () => {
    expect(Object.keys(cases)).toEqual(rowsOfTable(title));
  });

  test.each(
    Object.entries(cases).flatMap(([row, rowCases]) =>
      rowCases.map((one, index) => [row, index, one] as const),
    ),
  )('%s (%i)', (_, __, [hello, epochs, decision]) => {
    const producers = epochs.map(known);
    const before = structuredClone(producers);
    const decided = decideHello(hello, producers, NOW);
    expect(decided).toMatchObject(decision);
    // It only decides.
    expect(producers).toEqual(before);
    if (decided.kind === 'continue') expect(decided.producer).toBe(producers.at(-1));
    if (decided.kind === 'recover') expect(decided.producer.instance).toBe('this');
  });
});

describe('an epoch that is more than a day ahead of the clock', () => {
  const ahead = NOW + MAX_EPOCH_AHEAD_MS + 1;

  test('is refused, also in a resume of an epoch that is not known', () => {
    const refusal = { kind: 'refuse', code: 'invalid_hello' };
    expect(decideHello(begin(ahead), [], NOW)).toMatchObject(refusal);
    expect(decideHello(resume(1, ahead), [], NOW)).toMatchObject(refusal);
  });

  test('the control: a day ahead begins, and a resume of what is known goes on', () => {
    expect(decideHello(begin(ahead - 1), [], NOW)).toMatchObject({ kind: 'begin', epoch: ahead - 1 });
    expect(decideHello(resume(1, ahead), [known({ epoch: ahead })], NOW)).toMatchObject({ kind: 'continue' });
  });
});
