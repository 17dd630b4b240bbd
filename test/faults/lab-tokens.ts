/** Tokens of the fault lab: plain data, since nobody here has to be kept out. Read in the Worker, made by clients. */

import type { Grant } from '../../src/access/grant.ts';
import { SluiceError } from '../../src/core/errors.ts';
import type { Random } from './random.ts';

/** A token that is good until then. */
export function labToken(expiresAtMs: number): string {
  return `lab.${Math.round(expiresAtMs)}`;
}

/** @throws SluiceError `unauthorized` for one that is none, or that has expired */
export function readLabToken(token: string, nowMs: number): Grant {
  const expiresAtMs = Number(/^lab\.(\d+)$/.exec(token)?.[1]);
  if (!(expiresAtMs > nowMs)) throw new SluiceError('unauthorized', 'The token has expired');
  return { expiresAtMs };
}

/** Makes tokens that expire soon. Now and then there is none, or one that has expired already. */
export class TokenMaker {
  /** How often a token was asked for. */
  asked = 0;
  readonly #random: Random;
  readonly #first = labToken(Date.now() + 300);
  readonly #isStale: boolean;

  /** @param isStale it makes one token only: what no client may do */
  constructor(random: Random, isStale: boolean) {
    this.#random = random;
    this.#isStale = isStale;
  }

  readonly make = async (): Promise<string> => {
    this.asked += 1;
    if (this.#isStale) return this.#first;
    if (this.#random.chance(0.05)) throw new Error('No token now');
    return labToken(Date.now() + (this.#random.chance(0.15) ? -1 : this.#random.integer(100, 500)));
  };
}
