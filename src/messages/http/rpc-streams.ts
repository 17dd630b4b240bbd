/** The methods of `/rpc` that write and read messages: `stream.…` and `category.get`. */

import { SluiceError } from '../../core/errors.ts';
import { elementsOf, memberOf } from '../../core/json-parts.ts';
import { MAX_PAGE_BYTES } from '../../core/limits.ts';
import { compactJson, hasUnevenNumber, JsonText } from '../../store/exact-numbers.ts';
import { PageSize } from '../../store/page-size.ts';
import { jsonArray } from '../../store/pages.ts';
import { formatTimeUs } from '../../store/wire-time.ts';
import type { MessageRecord } from '../engine.ts';
import type { JsonValue } from '../message.ts';
import {
  type Arguments,
  batchSizeOf,
  integerOption,
  isAbsent,
  nameOf,
  objectOf,
  optionsOf,
  textOption,
} from './rpc-arguments.ts';
import { invalid } from './rpc-errors.ts';
import type { RpcPorts } from './rpc-method.ts';

/** Messages that a read holds in memory at a time, whatever it was asked for; fewer where they are large. */
const PAGE_MESSAGES = 1_000;

export async function streamWrite(args: Arguments, ports: RpcPorts, text: string): Promise<string> {
  const store = await ports.store();
  const stream = nameOf(args[0], 'streamName');
  const message = objectOf(args[1], 'message');
  const type = message.type;
  if (typeof type !== 'string' || type === '') throw invalid('message.type must be a non-empty string');
  objectOf(message.data, 'message.data');
  const metadata = isAbsent(message.metadata) ? null : objectOf(message.metadata, 'message.metadata');
  const options = optionsOf(args[2]);
  const id = textOption(options, 'id', 'options.id');
  const expected = integerOption(options, 'expectedVersion', -1);
  // With the digits that were sent, for the store; what is checked above are values.
  const sent = hasUnevenNumber(text) ? sentTexts(text) : message;
  const { position, globalPosition } = await store.write(
    stream,
    {
      type,
      data: sent.data as JsonValue,
      metadata: metadata === null ? null : (sent.metadata as JsonValue),
      ...(id === undefined || id === '' ? {} : { id }),
    },
    expected === undefined ? {} : { expectedVersion: expected === -1 ? 'no-stream' : BigInt(expected) },
  );
  return `{"position":${position},"globalPosition":${globalPosition}}`;
}

/** Data and metadata as they stand in the text of a `stream.write`. */
function sentTexts(text: string): { data: JsonText; metadata: JsonText } {
  const message = elementsOf(text)?.[2] ?? '{}';
  const partOf = (name: string): JsonText =>
    new JsonText(compactJson(memberOf(message, name) ?? 'null', refuseInfinite));
  return { data: partOf('data'), metadata: partOf('metadata') };
}

function refuseInfinite(source: string): never {
  throw new SluiceError(
    'number_out_of_range',
    `The message has the number ${source.slice(0, 100)}, which is an infinity to most readers; write it as a text`,
  );
}

export async function streamGet(args: Arguments, ports: RpcPorts): Promise<string | AsyncIterable<string>> {
  const store = await ports.store();
  const stream = nameOf(args[0], 'streamName');
  const options = optionsOf(args[1]);
  const position = integerOption(options, 'position', 0) ?? 0;
  const globalPosition = integerOption(options, 'globalPosition', 0);
  return listed(
    batchSizeOf(options),
    async (after, batchSize) => {
      const from = BigInt(globalPosition ?? 0);
      if (after === undefined) {
        const start =
          globalPosition === undefined ? { position: BigInt(position) } : { globalPosition: from };
        return store.readStreamRecords(stream, { ...start, batchSize });
      }
      // By position also here: imports may have given the stream another order than that of all messages.
      const found: MessageRecord[] = [];
      for (let next = after.position + 1n; found.length < batchSize; ) {
        const page = await store.readStreamRecords(stream, { position: next, batchSize });
        for (const record of page) if (record.globalPosition >= from) found.push(record);
        const last = page.at(-1);
        if (last === undefined || page.length < batchSize) break;
        next = last.position + 1n;
      }
      return found.slice(0, batchSize);
    },
    streamRow,
  );
}

export async function streamLast(args: Arguments, ports: RpcPorts): Promise<string> {
  const store = await ports.store();
  const stream = nameOf(args[0], 'streamName');
  const type = textOption(optionsOf(args[1]), 'type', 'options.type');
  const last = await store.lastRecord(stream, type === undefined ? {} : { type });
  return last === undefined ? 'null' : streamRow(last);
}

export async function streamVersion(args: Arguments, ports: RpcPorts): Promise<string> {
  const store = await ports.store();
  const version = await store.version(nameOf(args[0], 'streamName'));
  return version === undefined ? 'null' : String(version);
}

export async function categoryGet(args: Arguments, ports: RpcPorts): Promise<string | AsyncIterable<string>> {
  const store = await ports.store();
  // EventoDB refuses the empty name here, though its later stores read all categories by it.
  const category = nameOf(args[0], 'categoryName');
  const options = optionsOf(args[1]);
  const from = integerOption(options, 'globalPosition', 0) ?? integerOption(options, 'position', 0) ?? 1;
  const correlation = textOption(options, 'correlation', 'options.correlation');
  const group = isAbsent(options.consumerGroup)
    ? {}
    : objectOf(options.consumerGroup, 'options.consumerGroup');
  const member = integerOption(group, 'member', undefined, 'options.consumerGroup.');
  const size = integerOption(group, 'size', undefined, 'options.consumerGroup.');
  if ((member === undefined) !== (size === undefined))
    throw invalid('options.consumerGroup requires both member and size');
  return listed(
    batchSizeOf(options),
    (after, batchSize) =>
      store.readCategoryRecords(category, {
        globalPosition: after === undefined ? BigInt(Math.max(1, from)) : after.globalPosition + 1n,
        batchSize,
        ...(correlation === undefined ? {} : { correlation }),
        ...(member === undefined || size === undefined ? {} : { consumer: { member, size } }),
      }),
    categoryRow,
  );
}

/**
 * Messages as a JSON array. Up to a page it is one text; beyond that, pages are read as the array is taken, so that
 * memory stays bounded.
 *
 * @param limit undefined: all
 */
async function listed(
  limit: number | undefined,
  read: (after: MessageRecord | undefined, batchSize: number) => Promise<MessageRecord[]>,
  row: (message: MessageRecord) => string,
): Promise<string | AsyncIterable<string>> {
  let left = limit ?? Number.POSITIVE_INFINITY;
  if (left === 0) return '[]';
  const size = new PageSize(PAGE_MESSAGES, MAX_PAGE_BYTES);
  let last: MessageRecord | undefined;
  return jsonArray(async () => {
    const wanted = Math.min(left, size.messages);
    const records = await read(last, wanted);
    size.learn(records);
    left -= records.length;
    last = records.at(-1);
    return { records, isLast: records.length < wanted || left === 0 };
  }, row);
}

// Data and metadata are JSON text already.
function streamRow({ id, type, position, globalPosition, data, metadata, timeUs }: MessageRecord): string {
  return `["${id}",${JSON.stringify(type)},${position},${globalPosition},${data},${metadata ?? 'null'},"${formatTimeUs(timeUs)}"]`;
}

function categoryRow(record: MessageRecord): string {
  const { id, stream, type, position, globalPosition, data, metadata, timeUs } = record;
  return `["${id}",${JSON.stringify(stream)},${JSON.stringify(type)},${position},${globalPosition},${data},${metadata ?? 'null'},"${formatTimeUs(timeUs)}"]`;
}
