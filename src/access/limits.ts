/** How much somebody may send. */

import { SluiceError } from '../core/errors.ts';

/** Bounds of what one sends. What is left out is not bounded. */
export interface RateLimits {
  /** Messages a second, over time; a second's worth may come at once. From 0.01 to 10,000,000. */
  messagesPerSecond?: number;
  /**
   * Bytes a second, over time: those of the messages' UTF-8 text and a newline each. A second's worth may come at once, and one
   * message of any size. From 1 to 10,000,000,000.
   */
  bytesPerSecond?: number;
}

/** Bounds of a rate, of connections, and of room. What is left out is not bounded. */
export interface AccessLimits extends RateLimits {
  /** Sockets at the same time, from 1 to 1,000,000. One that was lost counts until the server notices. */
  connections?: number;
  /** The share of a shard's outbox that may hold messages of it, from 0.001 to 1. */
  outboxShare?: number;
}

/** Bounds of an address. The outbox is not counted by addresses, so there is no share of it. */
export interface AddressLimits extends RateLimits {
  /** As those of others. */
  connections?: number;
  /**
   * Upgrades and requests a second that an address may make, over time; a second's worth may come at once. Counted in each
   * isolate of the Worker, before anything else is asked. From 0.01 to 1,000,000.
   */
  requestsPerSecond?: number;
}

/** Whose limits they are. Each holds by itself: a message has to be within all of them. */
export interface LimitsOf {
  /** All producers of a tenant together. Divided by the shards of the sink; `outboxShare` is a share of each shard's. */
  tenant?: AccessLimits;
  /** Each producer. Its shard counts it, so it is exact. */
  producer?: AccessLimits;
  /** Each socket. */
  connection?: RateLimits;
  /** Each address that clients connect from (`CF-Connecting-IP`; of IPv6, each network of 64 bits). Counted in each shard. */
  address?: AddressLimits;
}

/** Who a limit may belong to. */
export const LIMITED = ['tenant', 'producer', 'connection', 'address'] as const;
export type Limited = (typeof LIMITED)[number];

interface Bounds {
  min: number;
  max: number;
  isWhole?: boolean;
}

const RATES: Record<string, Bounds> = {
  messagesPerSecond: { min: 0.01, max: 10_000_000 },
  bytesPerSecond: { min: 1, max: 10_000_000_000 },
};
const CONNECTIONS: Bounds = { min: 1, max: 1_000_000, isWhole: true };
const ROOM: Record<string, Bounds> = { connections: CONNECTIONS, outboxShare: { min: 0.001, max: 1 } };
const KNOWN: Record<Limited, Record<string, Bounds>> = {
  tenant: { ...RATES, ...ROOM },
  producer: { ...RATES, ...ROOM },
  connection: RATES,
  address: { ...RATES, connections: CONNECTIONS, requestsPerSecond: { min: 0.01, max: 1_000_000 } },
};

/**
 * Checks limits that come from outside the types: a variable, a token.
 *
 * @param where what they are, for the error: `The variable LIMITS`
 * @returns a copy that has nothing else
 * @throws SluiceError `invalid_options` that names the limit and what is allowed
 */
export function readLimits(given: unknown, where: string): LimitsOf {
  if (!isTable(given)) {
    throw wrong(`${where} is no table of limits: write it as {"producer":{"messagesPerSecond":100}}`);
  }
  const limits: Record<string, Record<string, number>> = {};
  for (const [name, own] of Object.entries(given)) {
    if (own === undefined) continue;
    const known = Object.hasOwn(KNOWN, name) ? KNOWN[name as Limited] : undefined;
    if (known === undefined)
      throw wrong(`${where} has limits of ${JSON.stringify(name)}: known are ${LIMITED.join(', ')}`);
    if (!isTable(own)) {
      throw wrong(`${where} says no limits at ${name}: write it as {"${name}":{"messagesPerSecond":100}}`);
    }
    limits[name] = readOwn(own, known, `${where} at ${name}`);
  }
  return limits;
}

function readOwn(
  given: Record<string, unknown>,
  known: Record<string, Bounds>,
  where: string,
): Record<string, number> {
  const own: Record<string, number> = {};
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const bounds = Object.hasOwn(known, name) ? known[name] : undefined;
    if (bounds === undefined)
      throw wrong(`${where} has ${JSON.stringify(name)}: known are ${Object.keys(known).join(', ')}`);
    const { min, max, isWhole } = bounds;
    const isAllowed =
      typeof value === 'number' &&
      value >= min &&
      value <= max &&
      (isWhole !== true || Number.isInteger(value));
    if (!isAllowed) {
      throw wrong(
        `${where} has ${name} ${JSON.stringify(value)}: a ${isWhole === true ? 'whole number' : 'number'} from ${min} to ${max} is allowed`,
      );
    }
    own[name] = value;
  }
  return own;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(sentence: string): SluiceError {
  return new SluiceError('invalid_options', sentence);
}

/**
 * The limits of a deployment: those of the variable over those of the code, number by number.
 *
 * @param variable JSON, or a table; empty or missing: the code alone counts
 * @throws SluiceError `invalid_configuration` where the variable is not what it should be
 */
export function deploymentLimits(code: LimitsOf, variable: unknown): LimitsOf {
  if (variable === undefined || variable === '') return code;
  let given: unknown = variable;
  try {
    if (typeof variable === 'string') given = JSON.parse(variable);
  } catch {
    // A text that is no JSON is no table either.
  }
  try {
    return mergeLimits(code, readLimits(given, 'The variable LIMITS'));
  } catch (error) {
    throw new SluiceError('invalid_configuration', (error as Error).message, { cause: error });
  }
}

/** Limits over others, number by number. */
export function mergeLimits(under: LimitsOf, over: LimitsOf | undefined): LimitsOf {
  if (over === undefined) return under;
  const merged: LimitsOf = {};
  for (const name of LIMITED) {
    if (under[name] === undefined && over[name] === undefined) continue;
    merged[name] = { ...under[name], ...over[name] };
  }
  return merged;
}
