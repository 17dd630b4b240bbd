/** The command line's commands and their options. */

import { Command } from 'commander';
import { addLabCommands } from '../../lab/local/cli/commands.ts';
import { defineDeadLetters } from './dead-letters.ts';
import type { dev } from './dev.ts';
import type { doctor } from './doctor.ts';
import { defineExchange } from './exchange.ts';
import type { migrate } from './migrate.ts';
import { defineSessions } from './sessions.ts';
import { defineShard } from './shard.ts';
import { defineToken } from './token.ts';
import { defineTop } from './top.ts';
import type { tryMessages } from './try.ts';

const SLUICE_ONLY = [
  '--sluice-only',
  'make the tables of Sluice itself (sluice_…), and not those of the application',
] as const;

/**
 * All commands. Nothing runs before `parseAsync` is called, so that tests can read a command that a page shows.
 *
 * @param args what will be parsed: of the lab's commands, only those that it names have their flags
 */
export async function createProgram(args: readonly string[]): Promise<Command> {
  const program = new Command('sluice')
    .description('WebSocket messages in, Postgres rows out')
    .exitOverride()
    // Or a flag of `bench` would take what `bench report` was given under the same name.
    .enablePositionalOptions()
    .configureOutput({ outputError: () => {} });

  program
    .command('init')
    .description('Write a Worker of your own: its table, its configuration, and a client')
    .argument('[folder]', 'where to; made if it is missing (default: this folder)')
    .action(async (folder?: string) => (await import('./init/init.ts')).init(folder));

  program
    .command('dev')
    .description('Start Postgres, migrate it, and run wrangler dev')
    .option('--port <n>', 'port of the Worker', '8787')
    .option(
      '--persist-to <folder>',
      'where the Worker keeps its state; one server at a time (default .wrangler/state)',
    )
    .option(
      '--config <file>',
      "wrangler's configuration, with .dev.vars or .env beside it (default: that of this folder)",
    )
    .option('--path <path>', 'path below which the router is mounted in an application, such as /sluice', '/')
    .option(...SLUICE_ONLY)
    .action(async (...given: Parameters<typeof dev>) => (await import('./dev.ts')).dev(...given));

  program
    .command('migrate')
    .description(
      "Bring the tables of DATABASE_URL up to date: Sluice's, then the migrations of drizzle.config.ts",
    )
    .option(...SLUICE_ONLY)
    .action(async (...given: Parameters<typeof migrate>) => (await import('./migrate.ts')).migrate(...given));

  program
    .command('doctor')
    .description(
      'Look at the installation, the configuration, the database and the Worker, and say what is wrong or unwise',
    )
    .argument('[url]', 'address of the Worker (default http://localhost:8787, if it runs)')
    .option('--url <address>', 'the same')
    .option('--token <text>', 'token of an operator (better: the variable SLUICE_OPERATOR_TOKEN)')
    .option('--json', 'print every check with what it found as JSON')
    .option('--strict', 'exit with 1 for what is unwise too')
    .action(async (...given: Parameters<typeof doctor>) => (await import('./doctor.ts')).doctor(...given));

  program
    .command('try')
    .description(
      'Show what row each message of a file would become, or why it would be refused; write nothing',
    )
    .argument('<file>', 'one message a line; - reads stdin')
    .option('--sink <name>', 'the sink of the Worker (default: the only one)')
    .option('--json', 'one JSON object a line')
    .action(async (...given: Parameters<typeof tryMessages>) =>
      (await import('./try.ts')).tryMessages(...given),
    );

  defineTop(program);
  defineToken(program);
  defineDeadLetters(program);
  defineShard(program);
  defineSessions(program);
  defineExchange(program);
  await addLabCommands(program, (name) => args.includes(name));
  return program;
}
