/** The lab's commands of the command line, `bench` and `load`. */

import type { Command } from 'commander';

/**
 * Adds `bench` and `load`.
 *
 * @param isMeant whether the arguments name the command of that name. Only then its flags are defined: they come from the
 *   suites, and to load these is more than half of the CPU of a start, which all other commands would pay for as well
 */
export async function addLabCommands(program: Command, isMeant: (name: string) => boolean): Promise<void> {
  const bench = program
    .command('bench')
    .description('Compare the ways of writing, on an embedded Postgres or on DATABASE_URL');
  if (isMeant('bench')) (await import('./bench-command.ts')).completeBench(bench);
  // What the list of all commands shows of it.
  else bench.argument('[suite]').option('--reps <n>');
  const load = program
    .command('load')
    .description('Send numbered messages to a running Worker, and ask for its health meanwhile');
  if (isMeant('load')) (await import('./load-command.ts')).completeLoad(load);
  else load.option('--url <address>');
}
