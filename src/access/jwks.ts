/**
 * The public keys of an issuer, from the address where it publishes them. They are kept, and fetched again where a token names a
 * key that is not among them, so that the issuer can change its keys without a restart here.
 */

import { type CryptoKey, createLocalJWKSet, errors, type JWSHeaderParameters } from 'jose';
import { SluiceError } from '../core/errors.ts';
import {
  JWKS_FIRST_RETRY_MS,
  JWKS_MAX_AGE_MS,
  JWKS_MAX_STALE_MS,
  JWKS_REFETCH_MS,
  JWKS_TIME_LIMIT_MS,
  MAX_JWKS_BYTES,
  MAX_JWKS_KEYS,
} from '../core/limits.ts';
import { withTimeLimit } from '../core/time-limit.ts';

type KeySet = ReturnType<typeof createLocalJWKSet>;

export interface IssuerKeysOptions {
  /** `https`, or `http` to this machine. */
  url: URL;
  fetch: typeof fetch;
  now: () => number;
  /** Lets work go on when the request is over that began it. */
  keepAlive: (work: Promise<void>) => void;
}

export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  #keys: { set: KeySet; fetchedAtMs: number } | undefined;
  #triedAtMs = Number.NEGATIVE_INFINITY;
  #pending: { work: Promise<void>; startedAtMs: number } | undefined;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
  }

  /**
   * The keys that may have signed a token; none where the issuer has no such key.
   *
   * @throws SluiceError `authorization_unavailable` where that cannot be found out now; its cause is for the log
   */
  async find(header: JWSHeaderParameters): Promise<CryptoKey[]> {
    const keys = this.#keys;
    const isOld = keys === undefined || this.#options.now() - keys.fetchedAtMs >= JWKS_MAX_AGE_MS;
    // Those who find old keys while others fetch go on with them.
    const asksFirst = isOld && (keys === undefined || !this.#isFetching);
    let failure = asksFirst ? await this.#refresh() : undefined;
    let found = await this.#lookUp(header);
    if (!asksFirst && !found?.length) {
      failure = await this.#refresh();
      found = await this.#lookUp(header);
    }
    if (found === undefined || (found.length === 0 && failure !== undefined)) throw unavailable(failure);
    return found;
  }

  /** Undefined where there are no keys that may still be used. */
  async #lookUp(header: JWSHeaderParameters): Promise<CryptoKey[] | undefined> {
    const keys = this.#keys;
    if (keys === undefined || this.#options.now() - keys.fetchedAtMs > JWKS_MAX_STALE_MS) return undefined;
    try {
      return [await keys.set(header)];
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JOSENotSupported) return [];
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      const several: CryptoKey[] = [];
      for await (const key of error) several.push(key);
      return several;
    }
  }

  get #isFetching(): boolean {
    const { now } = this.#options;
    return this.#pending !== undefined && now() - this.#pending.startedAtMs < JWKS_TIME_LIMIT_MS;
  }

  /**
   * Fetches the keys, where that was not tried a moment ago: one fetch at a time, for all who wait.
   *
   * @returns why there are no fresh ones; undefined where there are
   */
  async #refresh(): Promise<unknown> {
    const { now, keepAlive } = this.#options;
    let { work } = this.#pending ?? {};
    if (work === undefined || !this.#isFetching) {
      const pauseMs = this.#keys === undefined ? JWKS_FIRST_RETRY_MS : JWKS_REFETCH_MS;
      if (now() - this.#triedAtMs < pauseMs) return new Error('The keys were asked for a moment ago');
      this.#triedAtMs = now();
      work = this.#fetch();
      const pending = { work, startedAtMs: now() };
      this.#pending = pending;
      const done = (): void => {
        if (this.#pending === pending) this.#pending = undefined;
      };
      keepAlive(work.then(done, done));
    }
    try {
      // Each with its own limit: the fetch gives no answer to anybody where the request that began it is ended.
      await withTimeLimit(work, JWKS_TIME_LIMIT_MS, 'fetching the keys of the issuer');
      return undefined;
    } catch (error) {
      return error;
    }
  }

  async #fetch(): Promise<void> {
    const { url, fetch, now } = this.#options;
    const response = await fetch(url, {
      headers: { accept: 'application/json, application/jwk-set+json' },
      redirect: 'manual',
      signal: AbortSignal.timeout(JWKS_TIME_LIMIT_MS),
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`${url.origin} answered ${response.status} when it was asked for its keys`);
    }
    const set: unknown = JSON.parse(await boundedText(response, MAX_JWKS_BYTES));
    const { keys } = (set ?? {}) as { keys?: unknown };
    if (!Array.isArray(keys) || keys.length > MAX_JWKS_KEYS)
      throw new Error(`${url.origin} has no list of at most ${MAX_JWKS_KEYS} keys`);
    this.#keys = { set: createLocalJWKSet({ keys }), fetchedAtMs: now() };
  }
}

function unavailable(cause: unknown): SluiceError {
  return new SluiceError(
    'authorization_unavailable',
    'The key of this token cannot be looked up now: try again later',
    { cause },
  );
}

async function boundedText(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done || value === undefined) break;
    bytes += value.length;
    if (bytes > maxBytes) {
      await reader?.cancel();
      throw new Error(`The keys of the issuer take more than ${maxBytes} bytes`);
    }
    chunks.push(value);
  }
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return new TextDecoder().decode(all);
}
