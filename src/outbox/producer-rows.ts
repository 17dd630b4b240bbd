/** What storage says of producers: one row for each name, with all of its epochs that are remembered. */

import type { Sqlite } from '../database/sqlite.ts';
import { createProducer, type Producer } from './producer.ts';
import { ordinalOf } from './session-name.ts';

/** What a row says of the epochs of a name. */
export interface EpochsRow {
  epoch: number;
  committed: number;
  used_up_to: number;
  identity: string | null;
  past: string | null;
}

/** A row of the table, without its name. */
export interface ProducerRow extends EpochsRow {
  used_at_ms: number;
}

/**
 * Whose the newest epoch of a row is, as JSON. The epoch stands in it once more: a Sluice from before sessions, if it is
 * deployed again, begins epochs in the other columns and leaves this one as it was.
 */
type Identity = [
  epoch: number,
  instance: string | null,
  session: [id: string, previous: string | null, from: number] | null,
  ended: [id: string, upTo: number][],
];

/** An epoch before the newest, as JSON. */
type PastEpoch = [committed: number, usedUpTo: number, identity: Identity];

/** All that a shard knows of a producer, on its way to another one. */
export interface HandedOver {
  name: string;
  row: EpochsRow;
  /** As in `Producer`. */
  isFloor: boolean;
}

/**
 * The table of producers. One from before sessions gets the columns that it lacks: a Sluice of that time, if it is deployed
 * again, names the others in its statements and is not disturbed by these. Safe to call again.
 */
export function createProducerTable(sqlite: Sqlite): void {
  sqlite.run(
    'create table if not exists producers (name text primary key, epoch integer not null, committed integer not null, used_up_to integer not null, used_at_ms integer not null, identity text, past text) without rowid',
  );
  const [table] = sqlite.run<{ sql: string }>("select sql from sqlite_master where name = 'producers'");
  if (table?.sql.includes('identity text') === true) return;
  sqlite.run('alter table producers add column identity text');
  sqlite.run('alter table producers add column past text');
}

/** Sorts what several shards know of a producer, the furthest first. */
export function byReach({ row: one }: HandedOver, { row: other }: HandedOver): number {
  return (
    other.epoch - one.epoch ||
    Math.max(other.committed, other.used_up_to) - Math.max(one.committed, one.used_up_to) ||
    sessionsOf(other) - sessionsOf(one)
  );
}

// How many sessions the newest epoch had.
function sessionsOf({ identity }: EpochsRow): number {
  const [, , session] = identity === null ? [0, null, null] : (JSON.parse(identity) as Identity);
  return ordinalOf(session?.[0]);
}

/**
 * The epochs that a row tells of, the newest last.
 *
 * @param isFloor as in `Producer`
 */
export function epochsIn(
  name: string,
  { epoch, committed, used_up_to: usedUpTo, identity, past }: EpochsRow,
  isFloor: boolean,
): Producer[] {
  const older = past === null ? [] : (JSON.parse(past) as PastEpoch[]);
  const known = identity === null ? undefined : (JSON.parse(identity) as Identity);
  const newest: Identity = known?.[0] === epoch ? known : [epoch, null, null, []];
  return [...older, [committed, usedUpTo, newest] satisfies PastEpoch].map((stored) =>
    producerOf(name, stored, isFloor),
  );
}

function producerOf(name: string, [committed, usedUpTo, identity]: PastEpoch, isFloor: boolean): Producer {
  const [epoch, instance, session, ended] = identity;
  const next = Math.max(committed, usedUpTo) + 1;
  const producer = createProducer(name, epoch, next, committed, instance ?? undefined);
  producer.isFloor = isFloor;
  producer.endedSessions = ended.map(([id, upTo]) => ({ id, upTo }));
  if (session !== null) {
    const [id, previous, from] = session;
    producer.session = { id, previous: previous ?? undefined, from, hasCome: false };
  }
  return producer;
}

function identityOf({ epoch, instance, session, endedSessions }: Producer): Identity {
  return [
    epoch,
    instance ?? null,
    session === undefined ? null : [session.id, session.previous ?? null, session.from],
    endedSessions.map(({ id, upTo }) => [id, upTo]),
  ];
}

/** The row of a name, by its epochs, the newest last: name, epoch, committed, used_up_to, identity, past. */
export function rowOf(
  known: readonly Producer[],
): [string, number, number, number, string | null, string | null] {
  const newest = known.at(-1) as Producer;
  const past = known
    .slice(0, -1)
    .map((producer) => [producer.committed, producer.usedUpTo, identityOf(producer)] satisfies PastEpoch);
  const hasIdentity = newest.instance !== undefined || newest.session !== undefined;
  return [
    newest.name,
    newest.epoch,
    newest.committed,
    newest.usedUpTo,
    hasIdentity ? JSON.stringify(identityOf(newest)) : null,
    past.length === 0 ? null : JSON.stringify(past),
  ];
}

/** What another shard is given of a producer, by its epochs, the newest last. */
export function handedOverOf(known: readonly Producer[]): HandedOver {
  const [name, epoch, committed, used_up_to, identity, past] = rowOf(known);
  return {
    name,
    row: { epoch, committed, used_up_to, identity, past },
    isFloor: known.some(({ isFloor }) => isFloor),
  };
}
