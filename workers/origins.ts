/** Which pages may ask this deployment: what the code says, or the variable ORIGINS, which wins. */

import { Origins } from '../src/access/origins.ts';
import { isSluiceError, SluiceError } from '../src/core/errors.ts';
import type { Env } from './env.ts';

export class OriginRules {
  readonly #given: Origins;
  #variable: { text: string; origins: Origins } | undefined;

  /** @throws SluiceError `invalid_options` where one of them is no origin */
  constructor(given: readonly string[] = []) {
    this.#given = new Origins(given);
  }

  /**
   * Whether the page that a request is from may ask. What is from no page may.
   *
   * @throws SluiceError `invalid_configuration` where the variable is wrong
   */
  allow(request: Request, env: Env): boolean {
    const origin = request.headers.get('origin');
    return origin === null || this.#originsOf(env).allow(origin, new URL(request.url));
  }

  /**
   * For what a page may not do unasked: connect, and send something.
   *
   * @throws SluiceError `origin_not_allowed`; `invalid_configuration`
   */
  assertAllowed(request: Request, env: Env): void {
    if (this.allow(request, env)) return;
    throw new SluiceError(
      'origin_not_allowed',
      'Pages of this origin may not ask here: list it in origins of createSluice, or in the variable ORIGINS',
    );
  }

  #originsOf({ ORIGINS: variable }: Env): Origins {
    if (variable === undefined || variable === '') return this.#given;
    if (typeof variable === 'string' && this.#variable?.text === variable) return this.#variable.origins;
    const origins = readVariable(variable);
    this.#variable = { text: variable, origins };
    return origins;
  }
}

function readVariable(text: unknown): Origins {
  try {
    if (typeof text !== 'string') throw new SluiceError('invalid_options', 'a text is allowed');
    return new Origins(text.split(/[\s,]+/).filter((entry) => entry !== ''));
  } catch (error) {
    if (!isSluiceError(error)) throw error;
    throw new SluiceError('invalid_configuration', `The variable ORIGINS is wrong. ${error.message}`, {
      cause: error,
    });
  }
}
