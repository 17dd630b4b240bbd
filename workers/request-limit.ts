/**
 * How much somebody may send, as the Worker knows it: the limits of the deployment, and how often an address may ask. The second
 * is counted in each isolate, before a Durable Object is asked.
 */

import type { MiddlewareHandler } from 'hono';
import { addressKey } from '../src/access/client-address.ts';
import { deploymentLimits, type LimitsOf, readLimits } from '../src/access/limits.ts';
import { RequestBuckets, type RequestRefusal } from '../src/access/request-buckets.ts';
import { SluiceError } from '../src/core/errors.ts';
import type { Env } from './env.ts';
import { problemResponse } from './problem.ts';

/** The header with the address of a client. Cloudflare sets it, whatever the client says. */
export const CLIENT_ADDRESS_HEADER = 'cf-connecting-ip';

export class Limits {
  readonly #given: LimitsOf;
  readonly #buckets = new RequestBuckets();
  /** What was read of the variable as it was last seen; it changes only with a deployment. */
  #read: { variable: Env['LIMITS']; limits: LimitsOf } | undefined;

  /** @throws SluiceError `invalid_options` where the option is not what it should be */
  constructor(given: LimitsOf | undefined) {
    this.#given = readLimits(given ?? {}, 'The option limits');
  }

  /**
   * Those of the deployment: the variable LIMITS over the code.
   *
   * @throws SluiceError `invalid_configuration` where the variable is not what it should be
   */
  of(env: Env): LimitsOf {
    if (this.#read === undefined || this.#read.variable !== env.LIMITS)
      this.#read = { variable: env.LIMITS, limits: deploymentLimits(this.#given, env.LIMITS) };
    return this.#read.limits;
  }

  /** Counts every request of a route. One too many is answered with 429. */
  readonly requests: MiddlewareHandler<{ Bindings: Env }> = async (context, next) => {
    const refusal = this.#take(context.env, context.req.raw, 1);
    if (refusal !== undefined) return refusedRequest(refusal);
    return await next();
  };

  /** Counts the requests of a route that nobody has allowed: so tokens cannot be guessed quickly. */
  readonly wrongTokens: MiddlewareHandler<{ Bindings: Env }> = async (context, next) => {
    const { raw } = context.req;
    const refusal = this.#take(context.env, raw, 0);
    if (refusal !== undefined) return refusedRequest(refusal);
    await next();
    if (context.res.status === 401) this.#take(context.env, raw, 1);
    return undefined;
  };

  // The shard says over the socket that the variable is wrong: a browser hides an answer.
  #requestsPerSecond(env: Env, request: Request): number | undefined {
    if (request.headers.get('upgrade') === null) return this.of(env).address?.requestsPerSecond;
    try {
      return this.of(env).address?.requestsPerSecond;
    } catch {
      return undefined;
    }
  }

  #take(env: Env, request: Request, amount: number): RequestRefusal | undefined {
    const perSecond = this.#requestsPerSecond(env, request);
    if (perSecond === undefined) return undefined;
    const address = addressKey(request.headers.get(CLIENT_ADDRESS_HEADER));
    return address === undefined ? undefined : this.#buckets.take(address, perSecond, Date.now(), amount);
  }
}

/** 429, with the fields of draft-ietf-httpapi-ratelimit-headers-10. */
function refusedRequest({ quota, perSecond, retryAfterSeconds }: RequestRefusal): Response {
  const response = problemResponse(
    new SluiceError(
      'rate_limited',
      `This address may make ${perSecond} requests a second: come again in ${retryAfterSeconds} s`,
      { details: { 'violated-policies': ['address'] } },
    ),
  );
  response.headers.set('retry-after', String(retryAfterSeconds));
  response.headers.set('ratelimit-policy', `"address";q=${quota};w=${Math.ceil(quota / perSecond)}`);
  response.headers.set('ratelimit', `"address";r=0;t=${retryAfterSeconds}`);
  return response;
}
