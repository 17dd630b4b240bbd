/** Who decides about senders: what the code of the Worker says, or the variable AUTHORIZE, which wins. */

import { askForGrant } from '../src/access/ask.ts';
import type { AccessQuestion, Authorize } from '../src/access/authorize.ts';
import { assertAllows } from '../src/access/check-grant.ts';
import type { Grant } from '../src/access/grant.ts';
import { issueTicket, type TicketAuthorize, type TicketRequest, tickets } from '../src/access/tickets.ts';
import { tokens } from '../src/access/tokens.ts';
import { isSluiceError, SluiceError } from '../src/core/errors.ts';
import type { Env } from './env.ts';
import { jwt } from './jwt.ts';
import { logFailure } from './log.ts';

/** `open`: everybody may send. Else one or more that know senders, asked in this order. */
export type AuthorizeOption = 'open' | Authorize | readonly Authorize[];

/** What is wanted, and as whom. */
export type Asked = Omit<AccessQuestion, 'env' | 'nowMs'> & {
  /** The tenant that the address names. */
  tenant: string | undefined;
};

/** The values of the variable AUTHORIZE besides `open`, and what each stands for: variables of the Worker. */
const READY_MADE: Readonly<Record<string, Authorize>> = {
  jwt: jwt((env: Env) => ({
    jwks: env.JWKS_URL?.trim(),
    secret: env.JWT_SECRET?.trim(),
    audience: env.JWT_AUDIENCE?.split(/\s+/).filter(Boolean),
    issuer: env.JWT_ISSUER?.split(/\s+/).filter(Boolean),
  })),
  tokens: tokens((env: Env) => env.INGEST_TOKENS),
  tickets: tickets((env: Env) => env.TICKET_SECRETS),
};

export class Authorization {
  readonly #given: AuthorizeOption | undefined;

  /** @throws SluiceError `invalid_options` where the option is something else */
  constructor(given: AuthorizeOption | undefined) {
    const list = Array.isArray(given) ? given : [given];
    const isGood =
      given === undefined ||
      given === 'open' ||
      (list.length > 0 && list.every((way) => typeof way === 'function'));
    if (!isGood) {
      throw new SluiceError(
        'invalid_options',
        'Cannot use this as authorize: "open", a function, or a list of functions is allowed, such as those of jwt(), tokens() and tickets()',
        { details: { option: 'authorize' } },
      );
    }
    this.#given = given;
  }

  /** What the code says, whatever the variable does. */
  get said(): 'open' | 'asks' | 'nothing' {
    if (this.#given === undefined) return 'nothing';
    return this.#given === 'open' ? 'open' : 'asks';
  }

  /**
   * True where everybody may send, because the configuration says so in so many words.
   *
   * @throws SluiceError `invalid_configuration` where nothing says who may
   */
  isOpen(env: Env): boolean {
    return this.#waysOf(env) === 'open';
  }

  /**
   * Whose request it is, where these may send to this sink as this producer.
   *
   * @throws SluiceError `unauthorized`, `forbidden`, `authorization_unavailable` and what else an `Authorize` answers with;
   *   `invalid_configuration` where nothing says who may send
   */
  async ask(request: Request, asked: Asked, env: Env): Promise<Grant> {
    const ways = this.#waysOf(env);
    if (ways === 'open') return {};
    const { tenant, ...question } = asked;
    try {
      const grant = await askForGrant(ways, request, { ...question, env, nowMs: Date.now() });
      assertAllows(grant, { ...question, tenant });
      return grant;
    } catch (error) {
      if (isSluiceError(error) && error.cause !== undefined)
        logFailure('authorize failed', error.cause, { code: error.code });
      throw error;
    }
  }

  /**
   * Makes a ticket with the secret by which they are known here.
   *
   * @throws SluiceError `invalid_configuration` where no tickets are known; `invalid_options` where the request is wrong
   */
  async issueTicket(request: TicketRequest, env: Env): Promise<string> {
    const ways = this.#waysOf(env);
    const way = ways === 'open' ? undefined : ways.find((one) => 'secretsFor' in one);
    if (way === undefined) {
      throw new SluiceError(
        'invalid_configuration',
        'No tickets are taken here: give createSluice tickets(…) as authorize, or name tickets in the variable AUTHORIZE',
      );
    }
    return issueTicket((way as TicketAuthorize).secretsFor(env), request);
  }

  #waysOf(env: Env): 'open' | readonly Authorize[] {
    const variable = (env.AUTHORIZE ?? '').trim();
    if (variable !== '') return waysOfVariable(variable);
    const given = this.#given;
    if (given === undefined) {
      throw new SluiceError(
        'invalid_configuration',
        `Nothing says who may send. Give createSluice authorize, or set the variable AUTHORIZE to "open" or to a list of ${Object.keys(READY_MADE).join(', ')}`,
      );
    }
    if (given === 'open') return 'open';
    return typeof given === 'function' ? [given] : given;
  }
}

function waysOfVariable(variable: string): 'open' | readonly Authorize[] {
  if (variable === 'open') return 'open';
  return variable.split(',').map((part) => {
    const name = part.trim();
    if (Object.hasOwn(READY_MADE, name)) return READY_MADE[name] as Authorize;
    throw new SluiceError(
      'invalid_configuration',
      `The variable AUTHORIZE is wrong: "open" is allowed, or a list of ${Object.keys(READY_MADE).join(', ')}`,
    );
  });
}
