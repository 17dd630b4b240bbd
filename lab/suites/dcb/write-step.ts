/** Appends with and without a condition, and the audit of all of them. */

import type { QueryItem } from '../../../src/events/engine.ts';
import type { NewEvent } from '../../../src/events/event.ts';
import type { EventStore } from '../../../src/events/event-store.ts';
import type { Step } from '../../jobs/step.ts';
import { auditWrites, type Before } from './audit.ts';
import type { BenchStore } from './bench-store.ts';
import type { EventFixture } from './fixture.ts';
import { type DcbJob, eventsPerAttempt, isConditional } from './job.ts';
import { Ledger } from './ledger.ts';
import { scopeTags } from './set-queries.ts';
import { attemptCondition, attemptEvents, SCOPE_TYPES, scopeEvents } from './written-events.ts';

/** Appends before the clock starts, with and without a condition. */
const WARM_APPENDS = 10;
const WARM_EVENT: NewEvent = { type: 'Warm', tags: ['warm'], data: null };

/** @param heapAttempts attempts that will be made after the clock */
export async function writeStep(fixture: EventFixture, job: DcbJob, heapAttempts: number): Promise<Step> {
  const { operation, operations, clients } = job;
  const { store, events, set } = fixture;
  const perAttempt = eventsPerAttempt(operation);
  const isIf = isConditional(operation);
  const scopes = isIf ? scopeTags(set, operation === 'if-own' || operation === 'conflict' ? clients : 1) : [];
  if (isIf) await events.append(scopeEvents(scopes));
  await warm(store);
  const before: Before = { head: await events.head(), firstOfScope: await firstOfScopes(events, scopes) };
  const attempts = operations + heapAttempts;
  const scopeOf = (client: number): string => scopes[client % Math.max(1, scopes.length)] ?? '';
  // Made before the clock starts, as a program has them; which client makes an attempt is known only then.
  const prepared = isIf
    ? []
    : Array.from({ length: attempts }, (_, attempt) => attemptEvents(operation, attempt, ''));
  const ledger = new Ledger(attempts);
  // How far each client has seen its scope. For `conflict` and `if-shared` that is nothing at all.
  const seesNothing = operation === 'conflict' || operation === 'if-shared';
  const seen = new Array<bigint>(clients).fill(seesNothing ? 0n : before.head);
  fixture.noteAdded((attempts + scopes.length + WARM_APPENDS * 2) * Math.max(1, perAttempt));
  return {
    async attempt(attempt, client) {
      const scope = scopeOf(client);
      const after = operation === 'race' ? await store.last(scopeQuery(scope)) : (seen[client] as bigint);
      const written = prepared[attempt] ?? attemptEvents(operation, attempt, scope);
      const answer = await store.append(written, attemptCondition(operation, scope, after));
      // The client's own event, or the one that was in its way.
      if (!seesNothing) seen[client] = answer.position;
      ledger.note(attempt, { client, scope, after, answer });
    },
    tally: () => ({
      units: (operation === 'conflict' ? ledger.conflicts : ledger.wins) * perAttempt,
      wins: isIf ? ledger.wins : null,
      conflicts: isIf ? ledger.conflicts : null,
    }),
    heapAttempts,
    audit: () => auditWrites(operation, events.iterate('all', { after: before.head }), ledger, before),
  };
}

/** What matches the condition on a scope, but for `if-shared`. */
function scopeQuery(scope: string): QueryItem[] {
  return [{ types: SCOPE_TYPES, tags: [scope] }];
}

/** What a connection does first takes longer: it is opened, and the server makes its plans. */
async function warm(store: BenchStore): Promise<void> {
  for (let count = 0; count < WARM_APPENDS; count += 1) {
    await store.append([WARM_EVENT], undefined);
    await store.append([WARM_EVENT], { failIfEventsMatch: [{ types: ['Cold'], tags: ['warm'] }], after: 0n });
  }
}

async function firstOfScopes(
  events: EventStore,
  scopes: readonly string[],
): Promise<ReadonlyMap<string, bigint>> {
  const first = new Map<string, bigint>();
  for (const scope of scopes) {
    const [event] = await events.read(scopeQuery(scope), { limit: 1 });
    if (event !== undefined) first.set(scope, event.position);
  }
  return first;
}
