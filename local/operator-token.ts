/** The token of an operator, with which the commands ask a Worker. */

import { SluiceError } from '../src/core/errors.ts';

/** The variable that it is taken from; a flag can be seen in the list of processes. */
export const TOKEN_VARIABLE = 'SLUICE_OPERATOR_TOKEN';

/**
 * The headers that bring the token; none where there is none.
 *
 * @param given in place of the variable's
 * @throws SluiceError `invalid_options` for a token that no header carries, which is not repeated
 */
export function operatorHeaders(given?: string): Record<string, string> {
  return bearerHeaders(given ?? process.env[TOKEN_VARIABLE], `--token or ${TOKEN_VARIABLE}`);
}

/** The variable with the token of one who sends, for the commands that do. */
const SENDER_VARIABLE = 'SLUICE_TOKEN';

/** The same for one who sends. */
export function senderHeaders(): Record<string, string> {
  return bearerHeaders(process.env[SENDER_VARIABLE], SENDER_VARIABLE);
}

function bearerHeaders(token: string | undefined, where: string): Record<string, string> {
  if (token === undefined || token === '') return {};
  // Checked here: fetch would name the whole header in its error.
  if (/^[\x21-\x7e]+$/.test(token)) return { authorization: `Bearer ${token}` };
  throw new SluiceError(
    'invalid_options',
    `The token holds characters that a header cannot carry: look at ${where}`,
  );
}
