/** What a caller wants read, as an engine takes it: checked, with the defaults filled in. */

import { DEFAULT_LIST_NAMES, DEFAULT_READ_MESSAGES, MAX_LIST_NAMES } from '../core/limits.ts';
import { checkObject, checkPosition, invalidOptions, limitOf, UNLIMITED } from '../store/options.ts';
import type { ListNames, ReadCategory, ReadStream } from './engine.ts';
import { checkCategory, checkConsumerGroup, checkStreamWithId, nameFault } from './names.ts';

/** Where a read of a stream begins; at most one of the two. Both are inclusive. Default: position 0. */
export interface StreamStart {
  position?: bigint;
  globalPosition?: bigint;
}

export interface StreamReadOptions extends StreamStart {
  /** Messages returned at most. Default: 1,000. */
  batchSize?: number | 'unlimited';
}

export interface CategoryFilter {
  /** Where to begin, inclusive. Default: 1. */
  globalPosition?: bigint;
  /** Only messages whose `metadata.correlationStreamName` is of this category. */
  correlation?: string;
  /** Only the streams of one member of a consumer group: `abs(hash64(cardinalId)) mod size = member`. */
  consumer?: { member: number; size: number };
}

export interface CategoryReadOptions extends CategoryFilter {
  /** Messages returned at most. Default: 1,000. */
  batchSize?: number | 'unlimited';
}

export interface ListOptions {
  /** Only names that begin with it. Default: all. */
  prefix?: string;
  /** Only names after it, in byte order: the last name of the page before. Default: from the start. */
  after?: string;
  /** 1 to 1,000. Default: 100. */
  limit?: number;
}

/** What a page of an iteration may hold. Default: 1,000 messages; fewer where they are large. */
export interface PageOptions {
  batchSize?: number;
}

export function streamRead(stream: string, options: StreamReadOptions): ReadStream {
  checkStreamWithId(stream);
  checkObject('options', options);
  const { position, globalPosition, batchSize } = options;
  if (position !== undefined && globalPosition !== undefined)
    throw invalidOptions('Give position or globalPosition, not both', 'globalPosition');
  if (globalPosition !== undefined) checkPosition('globalPosition', globalPosition);
  else if (position !== undefined) checkPosition('position', position);
  return {
    stream,
    position: globalPosition === undefined ? (position ?? 0n) : null,
    globalPosition: globalPosition ?? null,
    limit: limitOf('batchSize', batchSize, DEFAULT_READ_MESSAGES),
  };
}

export function categoryRead(name: string, options: CategoryReadOptions): ReadCategory {
  if (name !== '') checkCategory(name);
  checkObject('options', options);
  const { globalPosition = 1n, batchSize, correlation, consumer } = options;
  if (consumer !== undefined) checkObject('consumer', consumer);
  checkPosition('globalPosition', globalPosition);
  if (correlation !== undefined) checkCorrelation(correlation);
  return {
    category: name,
    globalPosition,
    limit: limitOf('batchSize', batchSize, DEFAULT_READ_MESSAGES),
    correlation: correlation ?? null,
    consumer: consumer === undefined ? null : checkConsumerGroup(consumer),
  };
}

function checkCorrelation(correlation: unknown): void {
  const fault = nameFault(correlation);
  if (fault !== undefined) throw invalidOptions(`The correlation ${fault}`, 'correlation');
  if ((correlation as string).includes('-'))
    throw invalidOptions(
      `Correlation must be a category (Correlation: ${String(correlation)})`,
      'correlation',
    );
}

/** A page has a size: an iteration that read everything at once would be no iteration. */
export function pageRead<Read extends { limit: number }>(read: Read): Read {
  if (read.limit === UNLIMITED)
    throw invalidOptions("batchSize of an iteration cannot be 'unlimited'", 'batchSize');
  return read;
}

export function nameList(options: ListOptions): ListNames {
  checkObject('options', options);
  const { prefix = '', after = '', limit = DEFAULT_LIST_NAMES } = options;
  for (const [option, text] of [
    ['prefix', prefix],
    ['after', after],
  ] as const) {
    const fault = text === '' ? undefined : nameFault(text);
    if (fault !== undefined) throw invalidOptions(`${option} ${fault}`, option);
  }
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIST_NAMES)
    throw invalidOptions(
      `limit must be a whole number from 1 to ${MAX_LIST_NAMES}: ${String(limit)}`,
      'limit',
    );
  return { prefix, after, limit };
}
