/** What the suite `store` measures, and what one repetition of it does. */

import { isBare, type Strategy } from '../../jobs/job.ts';
import type { Variant } from '../../suite.ts';
import {
  isWrite,
  messagesPerOperation,
  STORE_ENGINES,
  STORE_OPERATIONS,
  type StoreEngine,
  type StoreJob,
  type StoreOperation,
} from './job.ts';
import type { StoreParameters } from './parameters.ts';
import { REFERENCES } from './references.ts';

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
  strategy: Strategy = 'store',
  clients = 1,
): string {
  const name = `${engine} ${operation}`;
  if (isBare({ strategy })) return `${strategy}: ${name}`;
  if (strategy === 'stores') return `${name} ×${clients} stores`;
  return clients === 1 ? name : `${name} ×${clients}`;
}

type StoreVariant = Omit<StoreJob, 'operations' | 'others'>;

/** What is measured, engine by engine. Floors stand beside what they belong to, so that both meet the same machine. */
export function storeVariants({ engines, operations, writers }: StoreParameters): StoreVariant[] {
  const chosen = STORE_OPERATIONS.filter((operation) => operations.includes(operation));
  return STORE_ENGINES.filter((engine) => engines.includes(engine)).flatMap((engine) => {
    // Reads do not depend on how commits are synchronised: `file` has them.
    const own = chosen.filter((operation) => engine !== 'full' || isWrite(operation));
    const through = (strategy: Strategy, operation: StoreOperation, count: number): StoreVariant => ({
      engine,
      operation,
      strategy,
      clients: count,
    });
    return own.flatMap((operation) => [
      through('store', operation, 1),
      ...(isWrite(operation) && writers > 1 ? [through('store', operation, writers)] : []),
      ...(engine === 'postgres' && operation === 'write-1' && writers > 1
        ? [through('stores', operation, writers)]
        : []),
      ...floorsOf(operation, own).map((strategy) => through(strategy, operation, 1)),
    ]);
  });
}

/** The floors that are measured beside an operation. The big category has the floor of the small one. */
function floorsOf(operation: StoreOperation, all: readonly StoreOperation[]): Strategy[] {
  if (isWrite(operation)) return ['floor', 'indexed'];
  return operation === 'category-big' && all.includes('category-100') ? [] : ['floor'];
}

function floorOf(operation: StoreOperation, { operations }: StoreParameters): StoreOperation {
  return operation === 'category-big' && operations.includes('category-100') ? 'category-100' : operation;
}

export function variantOf(
  { engine, operation, strategy, clients }: StoreVariant,
  parameters: StoreParameters,
): Variant {
  const name = storeVariantName(engine, operation, strategy, clients);
  if (isBare({ strategy })) {
    const indexes = strategy === 'indexed' ? ', with indexes for streams, categories and ids' : '';
    return {
      name,
      role: 'floor',
      beside: storeVariantName(engine, operation),
      description: `${ENGINE_TEXT[engine]}: bare prepared statements for ${OPERATION_TEXT[operation]}${indexes}`,
    };
  }
  const by =
    strategy === 'stores'
      ? `, by ${clients} stores with a connection each`
      : clients > 1
        ? `, by ${clients} writers through one store`
        : '';
  const reference = clients === 1 ? referenceText(engine, operation) : undefined;
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

export const REFERENCE_TITLE = 'EventoDB µs';

export function referenceUs(engine: StoreEngine, operation: StoreOperation): number | undefined {
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
export function storeJobOf({ name }: Pick<Variant, 'name'>, parameters: StoreParameters): StoreJob {
  const variant = storeVariants(parameters).find(
    ({ engine, operation, strategy, clients }) =>
      storeVariantName(engine, operation, strategy, clients) === name,
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
