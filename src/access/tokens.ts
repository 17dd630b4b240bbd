/** Static tokens: the deployment keeps the hash of each, and a name for people. */

import { SluiceError } from '../core/errors.ts';
import { MAX_STATIC_TOKENS } from '../core/limits.ts';
import type { Authorize } from './authorize.ts';
import { checkGrant } from './check-grant.ts';
import { type FromEnv, fromEnv } from './from-env.ts';
import type { Grant } from './grant.ts';

/** A token by its hash, and what it grants. */
export interface StaticToken extends Omit<Grant, 'tokenId' | 'once'> {
  /** Names it for operators. Two tokens of one name may be valid at the same time, while one takes the place of the other. */
  name: string;
  /** SHA-256 of the token, as 64 hexadecimal digits. */
  sha256: string;
}

/**
 * Either `name:sha256:<hex>`, several with white space or commas between them, each of which allows everything; or a list of
 * tokens with what they grant, also as JSON.
 */
export type StaticTokens = string | readonly StaticToken[] | undefined;

interface KnownToken {
  hash: Uint8Array;
  grant: Grant;
}

/**
 * Knows tokens that do not change. `npx sluice token` makes one.
 *
 * ```ts
 * createSluice({ sinks, authorize: tokens((env) => env.INGEST_TOKENS) });
 * ```
 *
 * @param list or a function of the Worker's bindings that gives it; at most 1,000 tokens
 * @throws SluiceError `invalid_configuration` where they are wrong; at each request where they are missing, or a function gives them
 */
export function tokens(list: FromEnv<StaticTokens>): Authorize {
  let read: { from: StaticTokens; known: readonly KnownToken[] } | undefined;
  function knownOf(from: StaticTokens): readonly KnownToken[] {
    if (read === undefined || read.from !== from) read = { from, known: readTokens(from) };
    return read.known;
  }
  // What is missing is told at the first request: tools that load a Worker have none of its secrets.
  if (typeof list !== 'function' && list !== undefined) knownOf(list);
  return async (_, { token, env }) => {
    const known = knownOf(fromEnv(list, env));
    if (token === undefined) return undefined;
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token)));
    let found: Grant | undefined;
    // All of them, in full: how long it takes says nothing about how near the token was to one.
    for (const { hash: own, grant } of known) if (isSame(own, hash)) found ??= grant;
    return found;
  };
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  let difference = left.length ^ right.length;
  for (let index = 0; index < left.length; index += 1)
    difference |= (left[index] as number) ^ (right[index] ?? 0);
  return difference === 0;
}

function readTokens(given: StaticTokens): KnownToken[] {
  const list = typeof given === 'string' ? tokensOfText(given.trim()) : given;
  if (list === undefined || list.length === 0 || list.length > MAX_STATIC_TOKENS)
    throw wrong(`1 to ${MAX_STATIC_TOKENS} of them are allowed`);
  return list.map((token, index) => {
    const { name, sha256, ...rights } = token as StaticToken;
    if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/i.test(sha256) || typeof name !== 'string')
      throw wrong(`token ${index + 1} needs a name, and the SHA-256 of the token as 64 hexadecimal digits`);
    return { hash: bytesOf(sha256), grant: checkGrant({ ...rights, tokenId: name }) };
  });
}

function tokensOfText(text: string): readonly StaticToken[] {
  if (!text.startsWith('[')) {
    return text
      .split(/[\s,]+/)
      .filter(Boolean)
      .map((entry) => {
        const [, name = '', sha256 = ''] = /^(.+):sha256:([^:]+)$/.exec(entry) ?? [];
        return { name, sha256 };
      });
  }
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && list.every((token) => typeof token === 'object' && token !== null))
      return list;
  } catch {}
  throw wrong('what begins with [ has to be a list of tokens in JSON');
}

// The message names neither a token nor a hash: people put plain tokens here.
function wrong(sentence: string): SluiceError {
  return new SluiceError(
    'invalid_configuration',
    `The static tokens (INGEST_TOKENS) are wrong: ${sentence}. npx sluice token makes one`,
  );
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, index) =>
    Number.parseInt(hex.slice(index * 2, index * 2 + 2), 16),
  );
}
