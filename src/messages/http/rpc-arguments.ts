/** The arguments of a method of `/rpc`, checked one by one. */

import { MAX_LIST_NAMES } from '../../core/limits.ts';
import type { JsonObject, JsonValue } from '../message.ts';
import { invalid } from './rpc-errors.ts';

export type Arguments = readonly JsonValue[];

// Clients write null for what they leave out.
export function isAbsent(value: JsonValue | undefined): value is null | undefined {
  return value === undefined || value === null;
}

export function nameOf(value: JsonValue | undefined, what: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw invalid(`${what} must be a non-empty string`);
}

export function objectOf(value: JsonValue | undefined, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw invalid(`${what} must be an object`);
}

// Options that mean nothing here are passed over, as EventoDB does: its clients send some.
export function optionsOf(value: JsonValue | undefined): JsonObject {
  return isAbsent(value) ? {} : objectOf(value, 'options');
}

export function textOption(options: JsonObject, name: string, what: string): string | undefined {
  const value = options[name];
  if (isAbsent(value)) return undefined;
  if (typeof value === 'string') return value;
  throw invalid(`${what} must be a string`);
}

export function integerOption(
  options: JsonObject,
  name: string,
  min: number | undefined,
  path = 'options.',
): number | undefined {
  const value = options[name];
  if (isAbsent(value)) return undefined;
  if (typeof value === 'number' && value > Number.MAX_SAFE_INTEGER)
    throw invalid(`${path}${name} must be at most ${Number.MAX_SAFE_INTEGER} (2^53 - 1)`);
  if (typeof value !== 'number' || !Number.isSafeInteger(value))
    throw invalid(`${path}${name} must be a whole number`);
  if (min !== undefined && value < min) throw invalid(`${path}${name} must be at least ${min}`);
  return value;
}

/** As many as were asked for: the answer is read in pages. @returns undefined for all */
export function batchSizeOf(options: JsonObject): number | undefined {
  const size = integerOption(options, 'batchSize', -1) ?? 1_000;
  return size === -1 ? undefined : size;
}

export function limitOf(options: JsonObject): number | undefined {
  const limit = integerOption(options, 'limit', undefined, '');
  if (limit === undefined || (limit >= 1 && limit <= MAX_LIST_NAMES)) return limit;
  throw invalid(`limit must be between 1 and ${MAX_LIST_NAMES}`);
}
