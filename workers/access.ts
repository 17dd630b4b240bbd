/**
 * Who may look at a deployment and who may operate it. Nobody, until a secret says who: READ_TOKENS and OPERATE_TOKENS. A route
 * that shows or does something for operators takes `requireRole` before its handler.
 */

import type { MiddlewareHandler } from 'hono';
import { OperatorTokens } from '../src/access/operator-tokens.ts';
import { isSluiceError, SluiceError } from '../src/core/errors.ts';
import type { Env } from './env.ts';

/** What an operator may do: look at figures, or see messages and change something. Who may operate may also read. */
export type OperatorRole = 'read' | 'operate';

const SECRETS = { read: 'READ_TOKENS', operate: 'OPERATE_TOKENS' } as const;

/**
 * The guard of a route. What it lets through is answered with `cache-control: no-store`.
 *
 * @throws SluiceError as `assertRole`
 */
export function requireRole(role: OperatorRole): MiddlewareHandler<{ Bindings: Env }> {
  return async (context, next) => {
    assertRole(context.env, role, context.req.header('authorization'));
    context.header('cache-control', 'no-store');
    await next();
  };
}

/**
 * @param authorization the header of the request
 * @throws SluiceError `operators_closed` where no token would do; `unauthorized` without a valid token; `forbidden` with one that may
 * only read; `invalid_configuration` where a variable is wrong
 */
export function assertRole(env: Env, role: OperatorRole, authorization: string | undefined): void {
  if (isOpen(env)) return;
  const operate = tokensOf(env.OPERATE_TOKENS, SECRETS.operate);
  const read = tokensOf(env.READ_TOKENS, SECRETS.read);
  const secrets = role === 'read' ? `${SECRETS.read} or ${SECRETS.operate}` : SECRETS.operate;
  if (operate.isEmpty && (role === 'operate' || read.isEmpty)) {
    throw new SluiceError(
      'operators_closed',
      `This is for operators, and there are none: set the secret ${secrets}, or the variable OPERATORS to "open" to let everybody in`,
    );
  }
  const token = bearerToken(authorization);
  // Both lists for every token: which of them it is in is not told by the time either.
  const mayOperate = operate.includes(token);
  const mayRead = read.includes(token);
  if (mayOperate || (mayRead && role === 'read')) return;
  if (mayRead)
    throw new SluiceError('forbidden', `This token may only look: this asks for one of ${SECRETS.operate}`);
  throw new SluiceError(
    'unauthorized',
    `A token is asked for: send "Authorization: Bearer <a token of ${secrets}>"`,
  );
}

/** Whether a request may see what only operators see, where others get less. A wrong configuration lets nobody in. */
export function hasRole(env: Env, role: OperatorRole, authorization: string | undefined): boolean {
  try {
    assertRole(env, role, authorization);
    return true;
  } catch (error) {
    if (isSluiceError(error)) return false;
    throw error;
  }
}

function isOpen({ OPERATORS: value = '' }: Env): boolean {
  if (value === 'open') return true;
  if (value === '' || value === 'closed') return false;
  throw new SluiceError(
    'invalid_configuration',
    `The variable OPERATORS is ${JSON.stringify(value)}; "open" and "closed" are allowed`,
  );
}

/** The token of the header `Authorization`; empty where it has none. */
export function bearerToken(authorization: string | undefined): string {
  return /^Bearer +(\S*)$/i.exec(authorization ?? '')?.[1] ?? '';
}

/** Lists that were read, by their text: to read one costs a hash for each of its tokens. */
const known = new Map<string, OperatorTokens>();
const MAX_KNOWN = 16;

/** The tokens of a secret. @throws SluiceError `invalid_configuration` */
export function tokensOf(text: unknown, variable: string): OperatorTokens {
  const key = text ?? '';
  if (typeof key !== 'string')
    throw new SluiceError('invalid_configuration', `The secret ${variable} is not a text`);
  const read = known.get(key);
  if (read !== undefined) return read;
  const tokens = new OperatorTokens(key, variable);
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(key, tokens);
  return tokens;
}
