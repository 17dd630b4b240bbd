/** `npm run migrate`. */

import { describeTarget, resolveTarget } from '../../src/database/target.ts';
import { unreadVariablesText } from '../environment.ts';
import { migrateDatabase } from '../migrate.ts';

export async function migrate(): Promise<void> {
  const unread = unreadVariablesText(process.env);
  if (unread !== undefined) process.stderr.write(`${unread}\n`);
  const target = resolveTarget({ databaseUrl: process.env.DATABASE_URL, driver: 'tcp' });
  await migrateDatabase(target.url);
  process.stdout.write(`The tables of ${describeTarget(target)} are up to date\n`);
}
