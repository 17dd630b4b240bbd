/** Where the orders of the suite `dcb` are carried out inside the Worker. */

import { type DcbOrder, isWrite } from './order.ts';

/** What the names of places begin with, behind the run, where the events are in Postgres. */
export const OBJECT_PLACES = 'pg';

/**
 * The place of an order, behind the run: letters and digits. The storage of an object holds one namespace, so what is
 * kept has an object of its own.
 */
export function dcbPlaceOf({ engine, set, way, operation }: DcbOrder): string {
  const kind = isWrite(operation) ? 'w' : 'r';
  const owner = engine === 'object' ? OBJECT_PLACES : 'lite';
  return way === 'store' ? `${owner}${kind}${set}` : `${owner}f${kind}${kind === 'r' ? set : ''}`;
}
