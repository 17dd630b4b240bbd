/** Tokens of operators: a list in a secret, several of which are valid at once, so that one can be replaced by another. */

import { sha256 } from '@noble/hashes/sha2.js';
import { hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { SluiceError } from '../core/errors.ts';

/** Tokens in a list. Each costs a comparison for each request. */
export const MAX_OPERATOR_TOKENS = 32;

/** The longest token. A longer one that is sent is refused before it costs a hash. */
export const MAX_OPERATOR_TOKEN_LENGTH = 1_024;

const HASH_PREFIX = 'sha256:';

/** The tokens of a secret. Only their hashes are kept. */
export class OperatorTokens {
  readonly #digests: readonly Uint8Array[];

  /**
   * @param text tokens with white space or commas between them, each of them as it is sent or as `sha256:` and 64 hexadecimal digits.
   * Empty or undefined: no token is valid
   * @param variable where the text is from, for the message of an error
   * @throws SluiceError `invalid_configuration` where the list is too long or one of its tokens could never be sent; it is not repeated
   */
  constructor(text: string | undefined, variable: string) {
    const tokens = (text ?? '').split(/[\s,]+/).filter((token) => token !== '');
    if (tokens.length > MAX_OPERATOR_TOKENS)
      throw wrongList(variable, `it has ${tokens.length} tokens, and ${MAX_OPERATOR_TOKENS} are allowed`);
    this.#digests = tokens.map((token, index) => digestOf(token, index, variable));
  }

  /** Whether no token is valid. */
  get isEmpty(): boolean {
    return this.#digests.length === 0;
  }

  /** Whether a token is one of them. How long that takes depends on the token's length and on how many there are, and on nothing else. */
  includes(token: string): boolean {
    if (token === '' || token.length > MAX_OPERATOR_TOKEN_LENGTH) return false;
    return isAmong(sha256(utf8ToBytes(token)), this.#digests);
  }
}

/**
 * Whether bytes are equal to one of several, all of the same length. Every byte of each is looked at, also after one that differs and
 * after one that is equal: otherwise the time would say how far a guess was right.
 */
export function isAmong(bytes: ArrayLike<number>, those: readonly ArrayLike<number>[]): boolean {
  let found = 0;
  for (const one of those) {
    let difference = one.length ^ bytes.length;
    for (let at = 0; at < bytes.length; at += 1) difference |= (one[at] as number) ^ (bytes[at] as number);
    // 1 where the difference is 0, without a branch.
    found |= (difference - 1) >>> 31;
  }
  return found === 1;
}

function digestOf(token: string, index: number, variable: string): Uint8Array {
  const wrong = (why: string): SluiceError => wrongList(variable, `its token number ${index + 1} ${why}`);
  if (token.slice(0, HASH_PREFIX.length).toLowerCase() === HASH_PREFIX) {
    const hex = token.slice(HASH_PREFIX.length);
    // Taken as a token, it would open the door to those who may know the hash and not the token.
    if (!/^[0-9a-f]{64}$/i.test(hex)) throw wrong('begins with "sha256:" and has not 64 hexadecimal digits');
    return hexToBytes(hex.toLowerCase());
  }
  if (token.length > MAX_OPERATOR_TOKEN_LENGTH)
    throw wrong(`is longer than ${MAX_OPERATOR_TOKEN_LENGTH} characters`);
  if (!/^[\x21-\x7e]+$/.test(token)) throw wrong('has characters that no header carries: use those of ASCII');
  return sha256(utf8ToBytes(token));
}

function wrongList(variable: string, why: string): SluiceError {
  return new SluiceError('invalid_configuration', `Cannot use the secret ${variable}: ${why}`);
}
