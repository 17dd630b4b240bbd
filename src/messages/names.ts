/**
 * Names of the message store, by Message DB's rules (message-db/message-db `database/functions`).
 *
 *     account-123+456
 *     ─────── ───────  category and id: before and after the first `-`
 *             ───      cardinal id: the part of the id before the first `+`
 *
 * A name without a `-` is a category. It can be written to, but it has no id, and no consumer group reads it.
 */

import { md5 } from '@noble/hashes/legacy.js';
import { SluiceError } from '../core/errors.ts';
import { MAX_CONSUMER_GROUP_SIZE, MAX_STREAM_NAME_LENGTH } from '../core/limits.ts';
import { md5OfShortText } from './md5-block.ts';

/** The part before the first `-`, or all of it. */
export function messageCategory(streamName: string): string {
  const dash = streamName.indexOf('-');
  return dash === -1 ? streamName : streamName.slice(0, dash);
}

/** The part after the first `-`; undefined where the name is a category. */
export function streamId(streamName: string): string | undefined {
  const dash = streamName.indexOf('-');
  return dash === -1 ? undefined : streamName.slice(dash + 1);
}

/** The part of the id before the first `+`: what a compound id shares with its like. Undefined where the name is a category. */
export function cardinalId(streamName: string): string | undefined {
  const whole = streamId(streamName);
  if (whole === undefined) return undefined;
  const plus = whole.indexOf('+');
  return plus === -1 ? whole : whole.slice(0, plus);
}

/** True where the name has no `-`. */
export function isCategory(name: string): boolean {
  return !name.includes('-');
}

const encoder = new TextEncoder();

/** Message DB's `hash_64`: the first eight bytes of the MD5 of the text (UTF-8), as a signed big-endian integer. */
export function hash64(text: string): bigint {
  const short = md5OfShortText(text);
  if (short !== undefined) return short;
  const digest = md5(encoder.encode(text));
  return new DataView(digest.buffer, digest.byteOffset, 8).getBigInt64(0);
}

/** `hash64` of a stream's cardinal id; null where the name is a category. */
export function cardinalHash(streamName: string): bigint | null {
  const cardinal = cardinalId(streamName);
  return cardinal === undefined ? null : hash64(cardinal);
}

/**
 * The member of a consumer group that a stream belongs to; undefined for a name without an id, which belongs to none.
 *
 * Message DB takes the absolute value of the hash first, which overflows for the least of them (PostgreSQL reports an
 * error, Go returns a negative member). The absolute value of the remainder is the same for all others, and right for it.
 *
 * @throws SluiceError `invalid_options` where `size` is not 1 to 32,767
 */
export function consumerGroupMember(streamName: string, size: number): number | undefined {
  checkConsumerGroupSize(size);
  const hash = cardinalHash(streamName);
  if (hash === null) return undefined;
  const remainder = Number(hash % BigInt(size));
  return remainder < 0 ? -remainder : remainder;
}

/** @throws SluiceError `invalid_options` */
function checkConsumerGroupSize(size: number): void {
  if (Number.isInteger(size) && size >= 1 && size <= MAX_CONSUMER_GROUP_SIZE) return;
  throw new SluiceError(
    'invalid_options',
    `Consumer group size must be a whole number from 1 to ${MAX_CONSUMER_GROUP_SIZE} (Consumer Group Size: ${String(size)})`,
    { details: { option: 'consumer.size' } },
  );
}

/**
 * Checks the two figures of a consumer group: size 1 to 32,767 (Message DB casts it to smallint), member from 0 and below the size.
 *
 * @throws SluiceError `invalid_options`, in the words of Message DB
 */
export function checkConsumerGroup(consumer: { member?: unknown; size?: unknown }): {
  member: number;
  size: number;
} {
  const { member, size } = consumer;
  const fail = (sentence: string): never => {
    throw new SluiceError(
      'invalid_options',
      `${sentence} (Consumer Group Member: ${String(member)}, Consumer Group Size: ${String(size)})`,
      { details: { option: 'consumer' } },
    );
  };
  if (member === undefined || member === null || size === undefined || size === null)
    return fail('Consumer group member and size must be specified');
  if (!Number.isInteger(size) || !Number.isInteger(member))
    return fail('Consumer group member and size must be whole numbers');
  if ((size as number) < 1) return fail('Consumer group size must not be less than 1');
  if ((size as number) > MAX_CONSUMER_GROUP_SIZE)
    return fail(`Consumer group size must not be greater than ${MAX_CONSUMER_GROUP_SIZE}`);
  if ((member as number) < 0) return fail('Consumer group member must not be less than 0');
  if ((member as number) >= (size as number))
    return fail('Consumer group member must be less than the group size');
  return { member: member as number, size: size as number };
}

/**
 * Checks a name that may be written to: 1 to 255 characters (UTF-16 code units), no NUL and no lone surrogates, which
 * Postgres cannot keep as text, and a category in front of the first `-`, without which no reader of a category could find it.
 *
 * @throws SluiceError `invalid_stream_name`
 */
export function checkStreamName(name: unknown): asserts name is string {
  const fault =
    nameFault(name) ?? ((name as string).startsWith('-') ? 'has no category before its “-”' : undefined);
  if (fault !== undefined) throw nameError('invalid_stream_name', 'stream name', name, fault);
}

/**
 * Checks a name that is to be read as a stream: as `checkStreamName`, and it has an id.
 *
 * @throws SluiceError `invalid_stream_name`, `Must be a stream name: …` where it is a category
 */
export function checkStreamWithId(name: unknown): asserts name is string {
  checkStreamName(name);
  if (isCategory(name))
    throw new SluiceError('invalid_stream_name', `Must be a stream name: ${name}`, {
      details: { stream: name },
    });
}

/**
 * Checks a category: as a stream's name, without a `-`.
 *
 * @throws SluiceError `invalid_category`, `Must be a category: …` where it has a `-`
 */
export function checkCategory(name: unknown): asserts name is string {
  const fault = nameFault(name);
  if (fault !== undefined) throw nameError('invalid_category', 'category', name, fault);
  if (!isCategory(name as string))
    throw new SluiceError('invalid_category', `Must be a category: ${name as string}`, {
      details: { category: name },
    });
}

/** What is wrong with a text that is to be a name or a type; undefined where nothing is. */
export function nameFault(name: unknown): string | undefined {
  if (typeof name !== 'string') return 'is not a text';
  if (name === '') return 'is empty';
  if (name.length > MAX_STREAM_NAME_LENGTH) return `is longer than ${MAX_STREAM_NAME_LENGTH} characters`;
  if (name.includes('\0')) return 'has a NUL character';
  if (!name.isWellFormed()) return 'has a lone surrogate';
  return undefined;
}

function nameError(
  code: 'invalid_stream_name' | 'invalid_category',
  what: string,
  name: unknown,
  fault: string,
): SluiceError {
  const shown = typeof name === 'string' ? JSON.stringify(name.slice(0, 80)) : String(name);
  return new SluiceError(code, `Cannot use ${shown} as a ${what}: it ${fault}`, {
    details: { maxLength: MAX_STREAM_NAME_LENGTH },
  });
}
