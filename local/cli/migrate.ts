/** `sluice migrate`. */

import { describeTarget, resolveTarget } from '../../src/database/target.ts';
import { unreadVariablesText } from '../environment.ts';
import { migrateDatabase } from '../migrate.ts';

export async function migrate({ sluiceOnly }: { sluiceOnly?: true }): Promise<void> {
  const unread = unreadVariablesText(process.env);
  if (unread !== undefined) process.stderr.write(`${unread}\n`);
  const target = resolveTarget({ databaseUrl: process.env.DATABASE_URL, driver: 'tcp' });
  const {
    schema,
    taken,
    found = [],
  } = await migrateDatabase(target.url, { isSluiceOnly: sluiceOnly === true });
  for (const step of taken) process.stdout.write(`Done: ${step}\n`);
  for (const step of found) process.stdout.write(`Found: ${step}, whose tables are there already\n`);
  process.stdout.write(`The tables of ${describeTarget(target)} are up to date (schema ${schema})\n`);
}
