/** Asks who somebody is: each of those that may know, in turn, until one does. */

import { type ErrorCode, isSluiceError, SluiceError } from '../core/errors.ts';
import { AUTHORIZE_TIME_LIMIT_MS } from '../core/limits.ts';
import { withTimeLimit } from '../core/time-limit.ts';
import type { AccessQuestion, Authorize } from './authorize.ts';
import { checkGrant } from './check-grant.ts';
import type { Grant } from './grant.ts';

/** Length of the sentence of an error. */
const MAX_SENTENCE_LENGTH = 500;

/** What an `Authorize` may answer with; its other errors are failures. */
const ANSWERS: ReadonlySet<ErrorCode> = new Set([
  'unauthorized',
  'forbidden',
  'origin_not_allowed',
  'rate_limited',
  'too_many_connections',
  'authorization_unavailable',
  'invalid_configuration',
]);

/**
 * What the first of them grants that knows these credentials. Whether it allows what is asked for is not looked at.
 *
 * @throws SluiceError `unauthorized` where none does, or the grant has expired; what one of them throws, where it is an answer;
 *   `invalid_configuration` where what it grants is wrong; else `authorization_unavailable`, whose cause is for the log. No
 *   sentence repeats a token or a ticket, whatever was thrown
 */
export async function askForGrant(
  ways: readonly Authorize[],
  request: Request,
  question: AccessQuestion,
): Promise<Grant> {
  let failure: SluiceError | undefined;
  for (const way of ways) {
    let found: Grant | undefined;
    try {
      found = await answerOf(way, request, question);
    } catch (error) {
      // Another one may know the token, though this one could not look.
      if (!isSluiceError(error) || error.code !== 'authorization_unavailable') throw error;
      failure ??= error;
    }
    if (found === undefined) continue;
    const grant = checkGrant(found);
    if (grant.expiresAtMs !== undefined && grant.expiresAtMs <= question.nowMs)
      throw new SluiceError('unauthorized', 'The token has expired: get a fresh one');
    return grant;
  }
  if (failure !== undefined) throw failure;
  const { token, ticket } = question;
  throw new SluiceError(
    'unauthorized',
    token === undefined && ticket === undefined
      ? 'Say who you are: by the header Authorization, a sluice.token. subprotocol, or a ticket'
      : `Nobody here knows this ${token === undefined ? 'ticket' : 'token'}: its signature, issuer or audience is another one`,
  );
}

async function answerOf(
  way: Authorize,
  request: Request,
  question: AccessQuestion,
): Promise<Grant | undefined> {
  try {
    const answer = way(request, question);
    // Some ask nobody, and need no timer.
    const found =
      answer instanceof Object && 'then' in answer
        ? await withTimeLimit(answer, AUTHORIZE_TIME_LIMIT_MS, 'asking whose a token is')
        : answer;
    // Programs without types say null for nothing.
    return found ?? undefined;
  } catch (error) {
    const sentence = textWithoutSecrets(error, question);
    if (isSluiceError(error) && ANSWERS.has(error.code)) throw new SluiceError(error.code, sentence);
    throw new SluiceError(
      'authorization_unavailable',
      'It cannot be found out now whether the token is good: try again later',
      // A new error: the stack and the members of the other one may hold what its text did.
      { cause: new Error(sentence) },
    );
  }
}

/** The text of whatever was thrown, without the credentials of the question, as far as it has them in one piece. */
function textWithoutSecrets(error: unknown, { token, ticket }: AccessQuestion): string {
  const parts: string[] = [];
  let current = error;
  for (let depth = 0; depth < 4 && current !== undefined && current !== null; depth += 1) {
    let text = current instanceof Error ? current.message || current.name : String(current);
    // Before it is cut, which would leave a part of a long one.
    for (const secret of [token, ticket]) if (secret !== undefined) text = text.replaceAll(secret, '[token]');
    parts.push(text);
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(': ').replaceAll(/\s+/g, ' ').slice(0, MAX_SENTENCE_LENGTH);
}
