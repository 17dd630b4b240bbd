/** The command line: one command for each script of package.json that runs it. */

import { Command, CommanderError } from 'commander';
import { addLabCommands } from '../../lab/local/cli/commands.ts';
import { errorText, isSluiceError } from '../../src/core/errors.ts';
import { isOnlyClosedOutput, tolerateClosedOutput } from './closed-output.ts';
import { defineDeadLetters } from './dead-letters.ts';
import type { dev } from './dev.ts';
import { defineExchange } from './exchange.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { migrate } from './migrate.ts';
import { missingPackageText } from './missing-package.ts';
import { defineShard } from './shard.ts';

const program = new Command('sluice')
  .description('WebSocket messages in, Postgres rows out')
  .exitOverride()
  // Or a flag of `bench` would take what `bench report` was given under the same name.
  .enablePositionalOptions()
  .configureOutput({ outputError: () => {} });

const SLUICE_ONLY = [
  '--sluice-only',
  'make the tables of Sluice itself (sluice_…), and not those of src/schema',
] as const;

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
    "wrangler's configuration, with .dev.vars or .env beside it (default wrangler.toml)",
  )
  .option(...SLUICE_ONLY)
  .action(async (...given: Parameters<typeof dev>) => (await import('./dev.ts')).dev(...given));

program
  .command('migrate')
  .description('Bring the tables of DATABASE_URL up to date')
  .option(...SLUICE_ONLY)
  .action(migrate);

defineDeadLetters(program);
defineShard(program);
defineExchange(program);
addLabCommands(program);

tolerateClosedOutput();
try {
  process.exitCode = EXIT.good;
  await program.parseAsync();
} catch (error) {
  if (isOnlyClosedOutput(error)) {
    process.exitCode = EXIT.good;
  } else if (error instanceof CommanderError) {
    // Help is no error, and was printed; everything else is a wrong option, told in one line.
    if (error.exitCode !== 0 && error.code !== 'commander.help') {
      process.stderr.write(`sluice: ${error.message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ')}\n`);
    }
    process.exitCode = error.exitCode === 0 ? EXIT.good : EXIT.wrongOptions;
  } else {
    const message = isSluiceError(error) ? error.message : (missingPackageText(error) ?? errorText(error));
    process.stderr.write(`sluice: ${message}\n`);
    if (!isSluiceError(error) && process.env.SLUICE_DEBUG !== undefined) console.error(error);
    process.exitCode = exitCodeOf(error);
  }
}
