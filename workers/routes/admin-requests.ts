/** What the routes below `/admin` have in common: who may ask, and what their bodies are. */

import type { MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { decodeUtf8 } from '../../src/core/decode-utf8.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { MAX_ADMIN_BODY_BYTES } from '../../src/core/limits.ts';
import { assertKnownNames } from '../../src/core/option-table.ts';
import { assertRole, type OperatorRole } from '../access.ts';
import { audited } from '../audit.ts';
import { bound } from '../bound.ts';
import type { Env } from '../env.ts';

const limitBody = bodyLimit({
  maxSize: MAX_ADMIN_BODY_BYTES,
  onError: () => {
    throw new SluiceError(
      'invalid_options',
      `The body is larger than ${MAX_ADMIN_BODY_BYTES} bytes: name fewer ids`,
      { details: { maxBytes: MAX_ADMIN_BODY_BYTES } },
    );
  },
});

/**
 * Before each route, and before nothing else: an application that mounts the router at its root may have its own paths
 * below `/admin`, and these are its own matter.
 */
function guard(role: OperatorRole): MiddlewareHandler<{ Bindings: Env }> {
  return async (context, next) => {
    assertRole(context.env, role, context.req.header('authorization'));
    bound(context.env, 'SHARD');
    context.header('cache-control', 'no-store');
    return await limitBody(
      context,
      role === 'operate' ? async () => void (await audited(context, next)) : next,
    );
  };
}

/** Figures only. */
export const mayRead = guard('read');
/** What shows messages or changes something. */
export const mayOperate = guard('operate');

interface Body {
  header(name: string): string | undefined;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** The object that a body holds; an empty body is an empty object. */
export async function readBody(body: Body, known: readonly string[]): Promise<Record<string, unknown>> {
  // A page of any other site can make a browser send text to a Worker on this machine, but not what it declares as JSON.
  const type = body.header('content-type')?.split(';')[0]?.trim().toLowerCase();
  const wrongType = new SluiceError(
    'invalid_options',
    'Cannot use this content-type: application/json is allowed',
    { details: { option: 'content-type', allowed: 'application/json is allowed' } },
  );
  if (type !== undefined && type !== 'application/json') throw wrongType;
  const text = decodeUtf8(await body.arrayBuffer(), 'The body');
  if (text === '') return {};
  if (type === undefined) throw wrongType;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new SluiceError('invalid_options', 'The body is not valid JSON', { cause: error });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new SluiceError('invalid_options', 'The body is not a JSON object, as in {"ids":[1,2]}');
  assertKnownNames(parsed as Record<string, unknown>, known);
  return parsed as Record<string, unknown>;
}
