/** The command line: one command for each script of package.json that runs it. */

import { Command, CommanderError, Option } from 'commander';
import type { bench } from '../../lab/local/cli/bench.ts';
import { collected, defineBenchResults } from '../../lab/local/cli/bench-results.ts';
import { LOAD_PARAMETERS, load } from '../../lab/local/cli/load.ts';
import { REPORT_FORMAT_NAMES } from '../../lab/report/formats.ts';
import { SUITES } from '../../lab/suites.ts';
import { errorText, isSluiceError } from '../../src/core/errors.ts';
import { allowedText, type OptionSpec } from '../../src/core/option-table.ts';
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

const benchCommand = program
  .command('bench')
  .enablePositionalOptions()
  .description('Compare the ways of writing, on an embedded Postgres or on DATABASE_URL')
  .argument('[suite]', `what to measure: ${Object.keys(SUITES).join(', ')}`, 'ingest')
  .option('--reps <n>', 'repetitions of each mode or operation, interleaved (default 3)')
  .option('--seed <n>', 'draws the order of the repetitions and all that is random (default 1)')
  .option('--quick', 'a run that ends within half a minute')
  .option(
    '--full',
    'the long run; of ingest, that of the reference table: 10 clients with 100,000 messages each',
  )
  .option('--out <folder>', 'where the reports go', 'results')
  .option('--format <words>', `formats of the reports: ${REPORT_FORMAT_NAMES.join(', ')} (default json,md)`)
  .option('--threshold <bound>', 'what a figure has to be, such as "copy.perSecond>100000"', collected)
  .option('--base <result>', 'a result to compare with: a file, a name of the list, or latest')
  .option(
    '--fail-on <bound>',
    'a change against --base that must not be, such as "perSecond<-5%"',
    collected,
    [],
  )
  // Loaded only here: it needs packages that an installation without the development ones does not have.
  .action(async (...given: Parameters<typeof bench>) =>
    (await import('../../lab/local/cli/bench.ts')).bench(...given),
  );
defineBenchResults(benchCommand);
// A flag that several suites have is described once; each suite refuses those that only others have.
const benchFlags = new Map<string, { suites: string[]; spec: OptionSpec }>();
for (const suite of Object.values(SUITES)) {
  for (const [name, spec] of Object.entries(suite.parameters)) {
    const known = benchFlags.get(name);
    if (known === undefined) benchFlags.set(name, { suites: [suite.name], spec });
    else known.suites.push(suite.name);
  }
}
for (const [name, { suites, spec }] of benchFlags) {
  const description = suites.length > 1 ? spec.description : `${suites[0]}: ${spec.description}`;
  benchCommand.addOption(optionOf(name, { ...spec, description }));
}

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

const loadCommand = program
  .command('load')
  .description('Send numbered messages to a running Worker, and ask for its health meanwhile')
  .option('--url <address>', 'address of the Worker', 'http://localhost:8787')
  .option('--sink <name>', 'sink to send to', 'messages')
  .action(load);
for (const [name, spec] of Object.entries(LOAD_PARAMETERS)) loadCommand.addOption(optionOf(name, spec));

program
  .command('migrate')
  .description('Bring the tables of DATABASE_URL up to date')
  .option(...SLUICE_ONLY)
  .action(migrate);

defineDeadLetters(program);
defineShard(program);
defineExchange(program);

function optionOf(name: string, spec: OptionSpec): Option {
  const value = {
    integer: '<n>',
    integers: '<n,n>',
    name: '<name>',
    choice: '<word>',
    choices: '<words>',
    switch: '',
  }[spec.kind];
  const standard =
    spec.kind === 'choices' && spec.default.length === spec.choices.length
      ? 'all'
      : Array.isArray(spec.default)
        ? spec.default.join(',')
        : String(spec.default);
  return new Option(
    `--${name} ${value}`.trim(),
    `${spec.description} (${allowedText(spec).replace(' is allowed', '')}; default ${standard})`,
  );
}

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
