/** What the code of a sink throws while it makes the values of a row: about the row, and not about the database. */

import { errorText, isSluiceError, SluiceError } from '../core/errors.ts';
import { faultClassOf } from '../database/fault-class.ts';

export function sinkFailure(error: unknown): unknown {
  // Sluice's own mappings, and a sink of streams, say themselves what is wrong with a message.
  if (isSluiceError(error) && faultClassOf(error) === 'isolate') return error;
  return new SluiceError('sink_failed', `The sink's own code failed: ${errorText(error)}`, { cause: error });
}
