import { SQL } from 'drizzle-orm';

/**
 * A statement whose text is known already, as something that Drizzle executes. No class of its kind at the top of the module:
 * a bundle that loads Drizzle's driver later starts Drizzle's modules at their first use, and there is no `SQL` before.
 */
export function knownStatement(text: string, parameters: (string | null)[]): SQL {
  const statement = new SQL([]);
  statement.toQuery = () => ({ sql: text, params: parameters });
  return statement;
}
