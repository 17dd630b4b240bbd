/** The suite `dcb`: appends, conditions, reads and projections of the event store, on each of its engines. */

import { type OptionsOf, optionTable } from '../../../src/core/option-table.ts';
import { DRIVER_OPTION, type Suite, type Variant } from '../../suite.ts';
import type { Target } from '../../targets.ts';
import { SET_NAMES, SET_SIZES, type SetName, setEvents } from './data-set.ts';
import {
  DCB_ENGINES,
  DCB_OPERATIONS,
  DCB_WAYS_TO_OBJECT,
  type DcbEngine,
  type DcbOperation,
  type DcbOrder,
  type DcbWay,
  eventsPerAttempt,
  isAppend,
  isConditional,
  isWrite,
} from './order.ts';
import { LATER_REFERENCES, REFERENCE_SOURCE, REFERENCES } from './references.ts';

export const DCB_PARAMETERS = optionTable({
  engines: {
    kind: 'choices',
    choices: DCB_ENGINES,
    default: DCB_ENGINES,
    description:
      'Where the events are: SQLite in memory, in a file; Postgres; Postgres through a Durable Object that holds the store; a Durable Object',
  },
  sets: {
    kind: 'choices',
    choices: SET_NAMES,
    default: ['small'],
    description: 'The events that are there before: courses, students and enrolments, drawn by the seed',
  },
  operations: {
    kind: 'choices',
    choices: DCB_OPERATIONS,
    default: DCB_OPERATIONS,
    description: 'What is measured',
  },
  appenders: {
    kind: 'integers',
    min: 1,
    max: 100,
    default: [1, 10, 20, 100],
    description: 'Clients at the same time that append under a condition',
  },
  through: {
    kind: 'choice',
    choices: DCB_WAYS_TO_OBJECT,
    default: 'rpc',
    description:
      'How the clients reach the object: by RPC, or by the HTTP interface of a namespace, as the Worker does',
  },
  rounds: {
    kind: 'integer',
    min: 1,
    max: 100_000,
    default: 2_000,
    description: 'Conditional appends of one repetition; of all else a part or a multiple, by what it takes',
  },
  driver: DRIVER_OPTION,
});

export type DcbParameters = OptionsOf<typeof DCB_PARAMETERS>;

const ENGINE_TEXT: Record<DcbEngine, string> = {
  memory: 'SQLite in memory',
  file: 'SQLite in a file (WAL, synchronous NORMAL)',
  postgres: 'Postgres, one store',
  object: 'Postgres, through a Durable Object that holds the store',
  'object-sqlite': "a Durable Object's SQLite",
};

const OPERATION_TEXT: Record<DcbOperation, string> = {
  'append-1': 'one event',
  'append-10': '10 events in one append',
  'append-100': '100 events in one append',
  'append-1000': '1,000 events in one append',
  'if-own': 'one event, if nothing was added to a scope of its own: it holds',
  'if-shared': 'one event, if nothing was added to a scope that all share: it holds',
  conflict: 'one event under a condition that does not hold',
  race: 'one event, if nothing was added to the scope that all race for, read just before',
  'race-blind': 'the same without reading: a conflict says behind which event to go on',
  'read-simple': 'all events with one tag',
  'read-complex': 'all events that match one of four items',
  'read-stream': 'all events of the set, page by page',
  'project-1': 'one projection',
  'project-5': 'five projections in one read',
};

/** What is measured by one client, whatever `appenders` says. */
const SINGLE = 1;
/** Of the engines that are in one process with their clients, there is nothing to be seen but whether they group. */
const IN_PROCESS: readonly DcbEngine[] = ['memory', 'file', 'object-sqlite'];
const IN_PROCESS_CLIENTS = [1, 20];

/** The name of a variant: what the targets, the floors and the reports call it. */
export function dcbVariantName(
  engine: DcbEngine,
  set: SetName,
  operation: DcbOperation,
  way: DcbWay = 'store',
  clients = SINGLE,
): string {
  // Rows are written to an empty table: what is there before matters to nobody who does not look.
  if (way !== 'store' && isWrite(operation)) return `${way}: ${engine} ${operation}`;
  const name = `${engine} ${set} ${operation}`;
  if (way !== 'store') return `${way}: ${name}`;
  return clients === SINGLE ? name : `${name} ×${clients}`;
}

type DcbVariant = Pick<DcbOrder, 'engine' | 'set' | 'operation' | 'way' | 'clients'>;

/** What is measured, engine by engine, and the floors beside it. */
function dcbVariants({ engines, sets, operations, appenders }: DcbParameters): DcbVariant[] {
  const variants = new Map<string, DcbVariant>();
  const add = (variant: DcbVariant): void => {
    variants.set(nameOf(variant), variant);
  };
  for (const engine of DCB_ENGINES.filter((known) => engines.includes(known))) {
    for (const set of SET_NAMES.filter((known) => sets.includes(known))) {
      for (const operation of DCB_OPERATIONS.filter((known) => operations.includes(known))) {
        if (!isMeasured(engine, set, operation)) continue;
        for (const count of clientsOf(engine, operation, appenders)) {
          add({ engine, set, operation, way: 'store', clients: count });
        }
        for (const floor of floorsOf(engine, set, operation)) add(floor);
      }
    }
  }
  return [...variants.values()];
}

function nameOf({ engine, set, operation, way, clients }: DcbVariant): string {
  return dcbVariantName(engine, set, operation, way, clients);
}

function isMeasured(engine: DcbEngine, set: SetName, operation: DcbOperation): boolean {
  // An empty set has nothing to read; the one of 100,000 is there for what a larger table costs an append.
  if ((set === 'fresh' || set === '100k') && !isWrite(operation)) return false;
  // What an object adds is that all appends meet in it. Its reads are those of the store, and a way to it.
  return engine !== 'object' || isWrite(operation);
}

function clientsOf(
  engine: DcbEngine,
  operation: DcbOperation,
  clients: readonly number[],
): readonly number[] {
  if (!isConditional(operation)) return [SINGLE];
  if (!IN_PROCESS.includes(engine)) return clients;
  const few = clients.filter((count) => IN_PROCESS_CLIENTS.includes(count));
  return few.length === 0 ? clients.slice(0, 1) : few;
}

/** The bare statements that an operation is compared with, of which each is measured once. */
function floorsOf(engine: DcbEngine, set: SetName, operation: DcbOperation): DcbVariant[] {
  const titles = floorTitles(engine, set, operation);
  return Object.values(titles);
}

/** The floors by the titles of their columns. */
function floorTitles(engine: DcbEngine, set: SetName, operation: DcbOperation): Record<string, DcbVariant> {
  // The object's events are in Postgres, whose floors are the object's too.
  const at = engine === 'object' ? 'postgres' : engine;
  const one = (way: DcbWay, measured: DcbOperation): DcbVariant => ({
    engine: at,
    set,
    operation: measured,
    way,
    clients: SINGLE,
  });
  if (isWrite(operation)) {
    const bare = isConditional(operation) ? 'append-1' : operation;
    return { '× floor': one('floor', bare), '× indexed': one('indexed', bare) };
  }
  switch (operation) {
    case 'read-simple':
    case 'read-stream':
      return { '× indexed': one('indexed', operation) };
    default:
      return {};
  }
}

const REFERENCE_TITLE = 'system 4';

function referenceText(set: SetName, operation: DcbOperation, clients: number): string | undefined {
  const reference = REFERENCES[operation];
  // Its figures are of 61,000 events, which is `small`.
  if (reference === undefined || clients !== SINGLE || set !== 'small') return undefined;
  const { ms, eventsPerSecond, fault } = reference;
  if (eventsPerSecond !== undefined) return `${eventsPerSecond.toLocaleString('en-US')}/s`;
  return fault === undefined ? `${ms} ms` : `(${ms} ms)`;
}

function variantOf(variant: DcbVariant): Variant {
  const { engine, set, operation, way, clients } = variant;
  const name = nameOf(variant);
  if (way !== 'store') {
    const index = way === 'indexed' ? ' with an index of tags' : ' with a primary key';
    const place = isWrite(operation) ? '' : `, in the set ${set}`;
    return {
      name,
      role: 'floor',
      beside: besideOf(variant),
      description: `${ENGINE_TEXT[engine]}: bare prepared statements on a table${index} for ${OPERATION_TEXT[operation]}${place}`,
    };
  }
  const reference = referenceText(set, operation, clients);
  const floors = Object.entries(floorTitles(engine, set, operation)).map(([title, floor]) => [
    title,
    nameOf(floor),
  ]);
  return {
    name,
    role: 'measured',
    beside: besideOf(variant),
    description: `${ENGINE_TEXT[engine]}, ${set}: ${OPERATION_TEXT[operation]}${clients === SINGLE ? '' : `, by ${clients} clients`}`,
    ...(floors.length === 0 ? {} : { floors: Object.fromEntries(floors) }),
    ...(reference === undefined ? {} : { labels: { [REFERENCE_TITLE]: reference } }),
  };
}

/** What is divided by each other runs together: an operation on all sets and its floors, engine by engine. */
function besideOf({ engine, operation }: DcbVariant): string {
  const bare = isConditional(operation) ? 'append-1' : operation;
  return `${engine === 'object' ? 'postgres' : engine} ${bare}`;
}

/** Reads a variant back, with what one repetition of it does. */
export function dcbOrderOf(
  { name }: Pick<Variant, 'name'>,
  parameters: DcbParameters,
  seed: number,
): DcbOrder {
  const variant = dcbVariants(parameters).find((candidate) => nameOf(candidate) === name);
  if (variant === undefined) throw new RangeError(`The suite dcb has no variant ${name}`);
  return { ...variant, seed, through: parameters.through, operations: operationsOf(variant, parameters) };
}

/** Engines without a round trip take microseconds: more attempts make a repetition long enough to be timed. */
const IN_PROCESS_TIMES = 4;
/** Many clients get more done at a time; with few attempts each, their beginning and their end would be all of it. */
const CLIENTS_TIMES = 2;
/** Events of a repetition in large appends, in multiples of the rounds. */
const BATCH_TIMES = { 'append-10': 4, 'append-100': 10, 'append-1000': 20 } as const;
/** Large appends of a repetition at the least, where there are as many rounds; a median of fewer says little. */
const MIN_BATCHES = 10;
/** Events that a repetition iterates over, in multiples of the rounds: one time through a large set is enough. */
const STREAM_TIMES = 50;

function operationsOf({ engine, set, operation, clients }: DcbVariant, { rounds }: DcbParameters): number {
  const times = IN_PROCESS.includes(engine) ? IN_PROCESS_TIMES : 1;
  switch (operation) {
    case 'append-10':
    case 'append-100':
    case 'append-1000': {
      const events = rounds * BATCH_TIMES[operation] * (times > 1 ? 2 : 1);
      return Math.max(Math.min(MIN_BATCHES, rounds), Math.ceil(events / eventsPerAttempt(operation)));
    }
    case 'read-stream':
      return Math.max(1, Math.min(100, Math.floor((rounds * STREAM_TIMES) / setEvents(set))));
    case 'read-complex':
    case 'project-1':
    case 'project-5':
      return Math.max(1, Math.ceil((rounds / 4) * (times > 1 ? 2 : 1)));
    case 'read-simple':
      return Math.max(1, Math.ceil((rounds / 2) * (times > 1 ? 2 : 1)));
    default:
      return rounds * (clients > 1 ? CLIENTS_TIMES : 1) * (clients === 1 ? times : 1);
  }
}

/** Clients of the targets. */
const TARGET_CLIENTS = 20;
const TARGET_RACERS = 10;

/**
 * What a flat heap is: an iteration over the medium set never holds more beyond what was there before than a few of its
 * pages. A page of 1,000 of these events takes 0.3 MiB, and all 305,000 take 95 MiB (measured in Node 24).
 */
export const FLAT_HEAP_MIB = 2;

function dcbTargets(_parameters: DcbParameters): Target[] {
  const targets: Target[] = [
    {
      title: 'postgres, small: appends of 1,000',
      variant: dcbVariantName('postgres', 'small', 'append-1000'),
      metric: 'perSecond',
      bound: { atLeast: 100_000 },
      unit: ' events/s',
    },
  ];
  for (const set of ['fresh', 'small', '100k'] as const) {
    targets.push({
      title: `object, ${set}: conditional appends of ${TARGET_CLIENTS} clients on scopes of their own`,
      variant: dcbVariantName('object', set, 'if-own', 'store', TARGET_CLIENTS),
      metric: 'perSecond',
      bound: { atLeast: 5_000 },
      unit: '/s',
    });
  }
  for (const engine of ['postgres', 'object'] as const) {
    targets.push({
      title: `${engine}, small: ${TARGET_RACERS} racers on one scope`,
      variant: dcbVariantName(engine, 'small', 'race', 'store', TARGET_RACERS),
      metric: 'perSecond',
      bound: { atLeast: 500 },
      unit: ' wins/s',
    });
  }
  targets.push({
    title: 'postgres, small: read by tag, against the bare indexed SELECT',
    variant: dcbVariantName('postgres', 'small', 'read-simple'),
    metric: 'usPerOperation',
    per: dcbVariantName('postgres', 'small', 'read-simple', 'indexed'),
    bound: { atMost: 1.5 },
    unit: '×',
  });
  for (const engine of ['memory', 'file', 'postgres'] as const) {
    targets.push({
      title: `${engine}, medium: heap of an iteration over everything, at its peak`,
      variant: dcbVariantName(engine, 'medium', 'read-stream'),
      metric: 'peakHeapMiB',
      bound: { atMost: FLAT_HEAP_MIB },
      unit: ' MiB',
    });
  }
  for (const operation of DCB_OPERATIONS.filter(isAppend)) {
    targets.push({
      title: `postgres, small ${operation}, against system 4`,
      variant: dcbVariantName('postgres', 'small', operation),
      metric: 'perSecond',
      bound: { atLeast: REFERENCES[operation]?.eventsPerSecond ?? 0 },
      unit: ' events/s',
    });
  }
  return targets;
}

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
    const { operation, operations } = dcbOrderOf(variant, parameters, 0);
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
    'if-own: each client has a scope (a course) and knows how far it has seen it. if-shared: all ask for the same, which is not there. conflict: each asks from the beginning, and something is there. race: a client reads the last event of the scope, then tries; both are in the time. race-blind: it tries again behind the event that a conflict names, which nobody does who has to know what happened; it shows what the reads cost.',
    '× floor: µs/op against the repetition beside it of bare prepared statements, one client, without any checks, into an empty table of the same columns with a primary key (one commit round trip; for a batch one transaction, on Postgres one COPY). × indexed: the same with an index of tags (Postgres: GIN without its pending list; SQLite: a table of tags), for reads the bare SELECT on the same set; read-stream: pages of 1,000 by primary key.',
    'Every repetition is judged by the log: each accepted event is there once, in order, all events of an append together; every accepted condition holds when the log is replayed; every conflict names the first event that matches; wins and conflicts are the attempts. All queries are compared with the set field by field, projections with the states that the set gives, none of which is empty.',
    'heap B/op: bytes that one attempt allocates in this process, collected or not, by sampling of all allocations behind the clock; buffers outside of the heap are not in it. peak heap: what is in use, garbage collected, at its highest while everything is gone through, beyond what was in use before. Inside a Durable Object nobody can tell: workerd shows no figures of the heap.',
    `Flat: a peak of at most ${FLAT_HEAP_MIB} MiB for the medium set, which is six pages of 1,000 events; all of its events take 95 MiB.`,
    `system 4: ${REFERENCE_SOURCE}. In brackets: not comparable. ${faultsText()} Its conditional appends (${LATER_REFERENCES.conditionalAppendsPerSecond.toLocaleString('en-US')}/s, and ${LATER_REFERENCES.appendsPerSecond}/s for plain ones, by one user) are of a later revision, on another set, and its check lets several racers win.`,
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
