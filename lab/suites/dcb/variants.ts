/** What the suite `dcb` measures, and what one repetition of it does. */

import { isBare, type Strategy } from '../../jobs/job.ts';
import type { Variant } from '../../suite.ts';
import { SET_NAMES, type SetName, setEvents } from './data-set.ts';
import {
  DCB_ENGINES,
  DCB_OPERATIONS,
  type DcbEngine,
  type DcbJob,
  type DcbOperation,
  eventsPerAttempt,
  isConditional,
  isWrite,
} from './job.ts';
import type { DcbParameters } from './parameters.ts';
import { REFERENCES } from './references.ts';

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
  'if-own': 'one event, if nothing was added to its own scope: it holds',
  'if-shared': 'one event, if nothing was added to a scope that all share: it holds',
  conflict: 'one event under a condition that does not hold',
  race: 'one event, if nothing was added to the scope that all race for, read just before',
  'race-blind': 'the same without reading: a conflict says after which event to go on',
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
  strategy: Strategy = 'store',
  clients = SINGLE,
): string {
  // Rows are written to an empty table: what is there before matters to nobody who does not look.
  if (isBare({ strategy }) && isWrite(operation)) return `${strategy}: ${engine} ${operation}`;
  const name = `${engine} ${set} ${operation}`;
  if (isBare({ strategy })) return `${strategy}: ${name}`;
  return clients === SINGLE ? name : `${name} ×${clients}`;
}

type DcbVariant = Pick<DcbJob, 'engine' | 'set' | 'operation' | 'strategy' | 'clients'>;

/** What is measured, engine by engine, and the floors beside it. */
export function dcbVariants({ engines, sets, operations, appenders }: DcbParameters): DcbVariant[] {
  const variants = new Map<string, DcbVariant>();
  const add = (variant: DcbVariant): void => {
    variants.set(nameOf(variant), variant);
  };
  for (const engine of DCB_ENGINES.filter((known) => engines.includes(known))) {
    for (const set of SET_NAMES.filter((known) => sets.includes(known))) {
      for (const operation of DCB_OPERATIONS.filter((known) => operations.includes(known))) {
        if (!isMeasured(engine, set, operation)) continue;
        for (const count of clientsOf(engine, operation, appenders)) {
          add({ engine, set, operation, strategy: 'store', clients: count });
        }
        for (const floor of floorsOf(engine, set, operation)) add(floor);
      }
    }
  }
  return [...variants.values()];
}

function nameOf({ engine, set, operation, strategy, clients }: DcbVariant): string {
  return dcbVariantName(engine, set, operation, strategy, clients);
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
  const one = (strategy: Strategy, measured: DcbOperation): DcbVariant => ({
    engine: at,
    set,
    operation: measured,
    strategy,
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

export const REFERENCE_TITLE = 'go-crablet';

function referenceText(set: SetName, operation: DcbOperation, clients: number): string | undefined {
  const reference = REFERENCES[operation];
  // Its figures are of 61,000 events, which is `small`.
  if (reference === undefined || clients !== SINGLE || set !== 'small') return undefined;
  const { ms, eventsPerSecond, fault } = reference;
  if (eventsPerSecond !== undefined) return `${eventsPerSecond.toLocaleString('en-US')}/s`;
  return fault === undefined ? `${ms} ms` : `(${ms} ms)`;
}

export function variantOf(variant: DcbVariant): Variant {
  const { engine, set, operation, strategy, clients } = variant;
  const name = nameOf(variant);
  if (isBare({ strategy })) {
    const index = strategy === 'indexed' ? ' with an index of tags' : ' with a primary key';
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
export function dcbJobOf({ name }: Pick<Variant, 'name'>, parameters: DcbParameters, seed: number): DcbJob {
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
