/** The suite `dcb`: appends, conditions, reads and projections of the event store, on each of its engines. */

import type { Suite } from '../../suite.ts';
import { SET_NAMES, SET_SIZES, type SetName } from './data-set.ts';
import { DCB_OPERATIONS, eventsPerAttempt } from './job.ts';
import { DCB_PARAMETERS } from './parameters.ts';
import { LATER_REFERENCES, REFERENCE_SOURCE, REFERENCES } from './references.ts';
import { dcbTargets, FLAT_HEAP_MIB } from './targets.ts';
import { dcbJobOf, dcbVariants, REFERENCE_TITLE, variantOf } from './variants.ts';

export const dcbSuite: Suite<typeof DCB_PARAMETERS> = {
  name: 'dcb',
  title: 'The event store, on each of its engines',
  unit: 'events',
  parameters: DCB_PARAMETERS,
  presets: {
    // Ends within half a minute, the start of Postgres and the Worker included.
    quick: { rounds: 50, sets: ['tiny'], appenders: [1, 20] },
    full: { rounds: 5_000, sets: SET_NAMES },
  },
  variants: (parameters) => dcbVariants(parameters).map(variantOf),
  unitsPerRep(variant, parameters) {
    const { operation, operations } = dcbJobOf(variant, parameters, 0);
    return operations * Math.max(1, eventsPerAttempt(operation));
  },
  keepsOrder: true,
  labels: [REFERENCE_TITLE],
  sharesOf: [],
  columns: [
    { title: 'µs/op', metric: 'usPerOperation', digits: 1 },
    { title: 'p99 µs', metric: 'p99Us', digits: 1 },
    { title: 'wins', metric: 'wins', digits: 0 },
    { title: 'conflicts', metric: 'conflicts', digits: 0 },
    { title: 'heap B/op', metric: 'heapBytesPerOperation', digits: 0 },
    { title: 'peak heap MiB', metric: 'peakHeapMiB', digits: 2 },
  ],
  targets: dcbTargets,
  notes: ({ engines, sets, through }) => [
    `Sets: ${sets.map((set) => setText(set)).join('; ')}. Drawn by the seed: 20 % of the courses popular, 60 % average, 20 % less; 40/30/20/10 % of the students in their first to fourth year; 3 to 8 courses for a student (tiny: 1 to 3), none twice, none full. Each event of a set was appended by itself. What is read is chosen by the seed.`,
    'events/s: events appended or read. Of conflict, refusals; of race and race-blind, wins: the attempts in between are the conflicts. µs/op: the time of a repetition divided by its attempts; with several clients it is below what one of them waits. p99 µs: the wait for a single attempt.',
    'if-own: each client has a scope (a course) and knows how far it has seen it. if-shared: all ask for the same, which is not there. conflict: each asks from the beginning, and something is there. race: a client reads the last event of the scope, then tries; both are in the time. race-blind: it tries again after the event that a conflict names, which nobody does who has to know what happened; it shows what the reads cost.',
    '× floor: µs/op against the repetition beside it of bare prepared statements, one client, without any checks, into an empty table of the same columns with a primary key (one commit round trip; for a batch one transaction, on Postgres one COPY). × indexed: the same with an index of tags (Postgres: GIN without its pending list; SQLite: a table of tags), for reads the bare SELECT on the same set; read-stream: pages of 1,000 by primary key.',
    'Every repetition is judged by the log: each accepted event is there once, in order, all events of an append together; every accepted condition holds when the log is replayed; every conflict names the first event that matches; wins and conflicts are the attempts. All queries are compared with the set field by field, projections with the states that the set gives, none of which is empty.',
    'heap B/op: bytes that one attempt allocates in this process, collected or not, by sampling of all allocations outside of the measured time; buffers outside of the heap are not in it. peak heap: what is in use, garbage collected, at its highest while everything is gone through, beyond what was in use before. Inside a Durable Object nobody can tell: workerd shows no figures of the heap.',
    `Flat: a peak of at most ${FLAT_HEAP_MIB} MiB for the medium set, which is six pages of 1,000 events; all of its events take 95 MiB.`,
    `go-crablet: ${REFERENCE_SOURCE}. In brackets: not comparable. ${faultsText()} Its conditional appends (${LATER_REFERENCES.conditionalAppendsPerSecond.toLocaleString('en-US')}/s, and ${LATER_REFERENCES.appendsPerSecond}/s for plain ones, by one user) are of a later revision, on another set, and its check lets several racers win.`,
    ...(engines.includes('object')
      ? [
          through === 'rpc'
            ? 'object: the clients are a loop in one Durable Object, the store is in another, and each attempt is a call by RPC, which costs about 0.1 ms of the one thread that both share with the store. The way from a client to the Worker, and JSON, are not in it; --through http has the latter.'
            : 'object: the clients are a loop in a Durable Object that calls `/append` and `/read` of a namespace’s object as the Worker does, JSON and token included; a request between objects costs about 0.3 ms of the one thread that both share with the store. The way from a client to the Worker is not in it.',
        ]
      : []),
    ...(engines.includes('object-sqlite')
      ? [
          "object-sqlite: the loop runs inside the Durable Object and is timed from outside: a deployed Worker's clock stands still without I/O, so there is no p99. What it writes in one turn of its event loop it commits at once; each append alone would also wait for its commit.",
        ]
      : []),
  ],
};

function setText(set: SetName): string {
  const { courses, students, enrolments } = SET_SIZES[set];
  if (courses === 0) return `${set} (nothing)`;
  const [first, second, third] = [courses, students, enrolments].map((count) =>
    count.toLocaleString('en-US'),
  );
  return `${set} (${first} courses, ${second} students, ${third} enrolments)`;
}

function faultsText(): string {
  return DCB_OPERATIONS.flatMap((operation) => {
    const fault = REFERENCES[operation]?.fault;
    return fault === undefined ? [] : [`${operation}: ${fault}.`];
  }).join(' ');
}
