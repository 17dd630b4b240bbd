/** The suite `store`: writes and reads of the message store, on each of its engines, beside bare statements. */

import { type OptionsOf, optionTable } from '../../../src/core/option-table.ts';
import { DRIVER_OPTION, type Suite, type Variant } from '../../suite.ts';
import type { Target } from '../../targets.ts';
import {
  isWrite,
  messagesPerOperation,
  STORE_ENGINES,
  STORE_OPERATIONS,
  type StoreEngine,
  type StoreOperation,
  type StoreOrder,
  type StoreWay,
} from './store-order.ts';
import { REFERENCE_SOURCE, REFERENCES } from './store-references.ts';

export const STORE_PARAMETERS = optionTable({
  engines: {
    kind: 'choices',
    choices: STORE_ENGINES,
    default: STORE_ENGINES,
    description:
      'Where the messages are: SQLite in memory, in a file, in a file with synchronous FULL; Postgres; a Durable Object',
  },
  operations: {
    kind: 'choices',
    choices: STORE_OPERATIONS,
    default: STORE_OPERATIONS,
    description: 'What is measured',
  },
  writers: {
    kind: 'integer',
    min: 1,
    max: 100,
    default: 10,
    description: 'Writers at the same time, beside a single one; 1: only the single one',
  },
  rounds: {
    kind: 'integer',
    min: 1,
    max: 100_000,
    default: 2_000,
    description:
      'Single writes and reads of one repetition; engines without a round trip take several times as many',
  },
  others: {
    kind: 'integer',
    min: 0,
    max: 10_000_000,
    default: 1_000_000,
    description: 'Messages of other categories beside the category that category-big reads',
  },
  driver: DRIVER_OPTION,
});

export type StoreParameters = OptionsOf<typeof STORE_PARAMETERS>;

const ENGINE_TEXT: Record<StoreEngine, string> = {
  memory: 'SQLite in memory',
  file: 'SQLite in a file (WAL, synchronous NORMAL)',
  full: 'SQLite in a file (WAL, synchronous FULL)',
  postgres: 'Postgres',
  object: "a Durable Object's SQLite",
};

const OPERATION_TEXT: Record<StoreOperation, string> = {
  'write-1': 'one message to a new stream',
  'write-10': '10 messages to a new stream',
  'write-100': '100 messages to a new stream',
  'write-1000': '1,000 messages to a new stream',
  'read-10': 'the first 10 of a stream of 100',
  'category-100': 'a category of 100',
  'category-big': 'the same category among many other messages',
};

/** The name of a variant: what the targets, the floors and the reports call it. */
export function storeVariantName(
  engine: StoreEngine,
  operation: StoreOperation,
  way: StoreWay = 'store',
  writers = 1,
): string {
  const name = `${engine} ${operation}`;
  if (way === 'floor' || way === 'indexed') return `${way}: ${name}`;
  if (way === 'stores') return `${name} ×${writers} stores`;
  return writers === 1 ? name : `${name} ×${writers}`;
}

interface StoreVariant {
  engine: StoreEngine;
  operation: StoreOperation;
  way: StoreWay;
  writers: number;
}

/** What is measured, engine by engine. Floors stand beside what they belong to, so that both meet the same machine. */
function storeVariants({ engines, operations, writers }: StoreParameters): StoreVariant[] {
  const chosen = STORE_OPERATIONS.filter((operation) => operations.includes(operation));
  return STORE_ENGINES.filter((engine) => engines.includes(engine)).flatMap((engine) => {
    // Reads do not depend on how commits are synchronised: `file` has them.
    const own = chosen.filter((operation) => engine !== 'full' || isWrite(operation));
    const through = (way: StoreWay, operation: StoreOperation, count: number): StoreVariant => ({
      engine,
      operation,
      way,
      writers: count,
    });
    return own.flatMap((operation) => [
      through('store', operation, 1),
      ...(isWrite(operation) && writers > 1 ? [through('store', operation, writers)] : []),
      ...(engine === 'postgres' && operation === 'write-1' && writers > 1
        ? [through('stores', operation, writers)]
        : []),
      ...floorsOf(operation, own).map((way) => through(way, operation, 1)),
    ]);
  });
}

/** The floors that are measured beside an operation. The big category has the floor of the small one. */
function floorsOf(operation: StoreOperation, all: readonly StoreOperation[]): StoreWay[] {
  if (isWrite(operation)) return ['floor', 'indexed'];
  return operation === 'category-big' && all.includes('category-100') ? [] : ['floor'];
}

function floorOf(operation: StoreOperation, { operations }: StoreParameters): StoreOperation {
  return operation === 'category-big' && operations.includes('category-100') ? 'category-100' : operation;
}

function variantOf({ engine, operation, way, writers }: StoreVariant, parameters: StoreParameters): Variant {
  const name = storeVariantName(engine, operation, way, writers);
  if (way === 'floor' || way === 'indexed') {
    const indexes = way === 'indexed' ? ', with indexes for streams, categories and ids' : '';
    return {
      name,
      role: 'floor',
      beside: storeVariantName(engine, operation),
      description: `${ENGINE_TEXT[engine]}: bare prepared statements for ${OPERATION_TEXT[operation]}${indexes}`,
    };
  }
  const by =
    way === 'stores'
      ? `, by ${writers} stores with a connection each`
      : writers > 1
        ? `, by ${writers} writers through one store`
        : '';
  const reference = writers === 1 ? referenceText(engine, operation) : undefined;
  return {
    name,
    role: 'measured',
    beside: storeVariantName(engine, operation === 'category-big' ? 'category-100' : operation),
    description: `${ENGINE_TEXT[engine]}: ${OPERATION_TEXT[operation]}${by}`,
    floors: {
      '× floor': storeVariantName(engine, floorOf(operation, parameters), 'floor'),
      ...(isWrite(operation) ? { '× indexed': storeVariantName(engine, operation, 'indexed') } : {}),
    },
    ...(reference === undefined ? {} : { labels: { [REFERENCE_TITLE]: reference } }),
  };
}

const REFERENCE_TITLE = 'system 1 µs';

function referenceUs(engine: StoreEngine, operation: StoreOperation): number | undefined {
  if (engine !== 'memory' && engine !== 'file' && engine !== 'postgres') return undefined;
  const { write, read, category } = REFERENCES[engine];
  const figures: Partial<Record<StoreOperation, number>> = {
    'write-1': write,
    'read-10': read,
    'category-100': category,
  };
  return figures[operation];
}

function referenceText(engine: StoreEngine, operation: StoreOperation): string | undefined {
  const figure = referenceUs(engine, operation);
  if (figure === undefined) return undefined;
  return engine === 'postgres' ? `target ${figure}` : String(figure);
}

/** Reads a variant back, with what one repetition of it does. */
export function storeOrderOf({ name }: Pick<Variant, 'name'>, parameters: StoreParameters): StoreOrder {
  const variant = storeVariants(parameters).find(
    ({ engine, operation, way, writers }) => storeVariantName(engine, operation, way, writers) === name,
  );
  if (variant === undefined) throw new RangeError(`The suite store has no variant ${name}`);
  return { ...variant, operations: operationsOf(variant, parameters), others: parameters.others };
}

/** Engines without a round trip take microseconds: more of them make a repetition long enough to be timed from outside. */
const IN_PROCESS: readonly StoreEngine[] = ['memory', 'file', 'object'];
/** Messages that the batches of a repetition write, in single writes of the same repetition. */
const BATCH_MESSAGES = 10;
/** Batches of a repetition at the least; a median of fewer says little. */
const MIN_BATCHES = 20;

function operationsOf({ engine, operation }: StoreVariant, { rounds }: StoreParameters): number {
  const isInProcess = IN_PROCESS.includes(engine);
  switch (operation) {
    case 'write-1':
      return rounds * (isInProcess ? 10 : 1);
    case 'read-10':
      return rounds * (isInProcess ? 5 : 1);
    case 'category-100':
    case 'category-big':
      return rounds;
    default: {
      const messages = rounds * BATCH_MESSAGES * (isInProcess ? 4 : 1);
      return Math.max(Math.min(MIN_BATCHES, rounds), Math.ceil(messages / messagesPerOperation(operation)));
    }
  }
}

/** SQLite within two of its bare statements; system 1's figures and targets; and what is demanded of Postgres. */
function storeTargets({ engines, writers }: StoreParameters): Target[] {
  const targets: Target[] = [];
  for (const engine of engines) {
    for (const operation of STORE_OPERATIONS) {
      const variant = storeVariantName(engine, operation);
      const reference = referenceUs(engine, operation);
      const isPostgres = engine === 'postgres';
      if (operation === 'category-big') {
        targets.push({
          title: `${variant}, against ${storeVariantName(engine, 'category-100')}`,
          variant,
          metric: 'usPerOperation',
          per: storeVariantName(engine, 'category-100'),
          bound: { atMost: 1.2 },
          unit: '×',
        });
      } else if (!isPostgres || operation === 'write-1') {
        targets.push({
          title: `${variant}, against ${isPostgres ? 'one prepared INSERT' : 'its floor'}`,
          variant,
          metric: 'usPerOperation',
          per: storeVariantName(engine, operation, 'floor'),
          bound: { atMost: isPostgres ? 1.3 : 2 },
          unit: '×',
        });
      }
      if (reference !== undefined) {
        targets.push({
          title: `${variant}, against system 1`,
          variant,
          metric: 'usPerOperation',
          bound: { atMost: reference },
          unit: ' µs',
        });
      }
    }
  }
  const single = storeVariantName('postgres', 'write-1');
  targets.push(
    {
      title: `postgres: ${writers} writers through one store, against one writer`,
      variant: storeVariantName('postgres', 'write-1', 'store', writers),
      metric: 'perSecond',
      per: single,
      bound: { atLeast: 3 },
      unit: '×',
    },
    {
      title: `postgres: ${writers} writers through ${writers} stores, against one writer`,
      variant: storeVariantName('postgres', 'write-1', 'stores', writers),
      metric: 'perSecond',
      per: single,
      bound: { atLeast: 1 },
      unit: '×',
    },
    {
      title: 'postgres: batches of 1,000',
      variant: storeVariantName('postgres', 'write-1000'),
      metric: 'perSecond',
      bound: { atLeast: 60_000 },
      unit: ' messages/s',
    },
  );
  // A single writer has nobody to be compared with.
  return targets.filter(({ variant, per }) => variant !== per);
}

export const storeSuite: Suite<typeof STORE_PARAMETERS> = {
  name: 'store',
  title: 'The message store, on each of its engines',
  unit: 'messages',
  parameters: STORE_PARAMETERS,
  presets: {
    // Ends within half a minute, the start of Postgres and the Worker included.
    quick: { rounds: 200, others: 10_000 },
    full: { rounds: 5_000, others: 1_000_000 },
  },
  variants: (parameters) => storeVariants(parameters).map((variant) => variantOf(variant, parameters)),
  unitsPerRep(variant, parameters) {
    const { operation, operations } = storeOrderOf(variant, parameters);
    return operations * messagesPerOperation(operation);
  },
  keepsOrder: true,
  labels: [REFERENCE_TITLE],
  sharesOf: [],
  columns: [
    { title: 'µs/op', metric: 'usPerOperation', digits: 1 },
    { title: 'p99 µs', metric: 'p99Us', digits: 1 },
    { title: 'prepared in s', metric: 'preparedSeconds', digits: 1 },
  ],
  targets: storeTargets,
  notes: ({ writers, others, engines }) => [
    'µs/op: the time of a repetition divided by its operations, median over the repetitions; with several writers it is below what one of them waits. p99 µs: the wait for a single operation.',
    '× floor: µs/op against the repetition beside it of bare prepared statements on the same engine, one writer, without any checks, into a table of the same columns with a primary key and no index; for a batch they are one transaction, on Postgres one COPY. × indexed: the same into a table with indexes for streams, categories and ids. What is read has its index. On Postgres the store names its statements too (`preparesStatements`), as connections of its own allow.',
    `×${writers}: so many writers at the same time through one store; "stores": each through its own, with a connection of its own.`,
    `category-big: among ${others} messages of 100 other categories, imported once and not part of the time.`,
    'Every message that was written is read back and compared; of reads, the ends of each and every field of the last are.',
    `system 1: ${REFERENCE_SOURCE}.`,
    ...(engines.includes('object')
      ? [
          "object: the loop runs inside the Durable Object and is timed from outside, one request for a repetition: a deployed Worker's clock stands still without I/O, so there is no p99. What it writes in one turn of its event loop it commits at once, so the loop shows what operations cost the processor; each of them alone would also wait for its commit.",
        ]
      : []),
  ],
};
