/** The lab's commands of the command line, `bench` and `load`. */

import { type Command, Option } from 'commander';
import { allowedText, type OptionSpec } from '../../../src/core/option-table.ts';
import { REPORT_FORMAT_NAMES } from '../../report/formats.ts';
import { SUITES } from '../../suites.ts';
import type { bench } from './bench.ts';
import { collected, defineBenchResults } from './bench-results.ts';
import { LOAD_PARAMETERS, load } from './load.ts';

/** Adds `bench`, with the commands below it, and `load`. */
export function addLabCommands(program: Command): void {
  addBench(program);
  addLoad(program);
}

function addBench(program: Command): void {
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
    .action(async (...given: Parameters<typeof bench>) => (await import('./bench.ts')).bench(...given));
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
}

function addLoad(program: Command): void {
  const loadCommand = program
    .command('load')
    .description('Send numbered messages to a running Worker, and ask for its health meanwhile')
    .option('--url <address>', 'address of the Worker', 'http://localhost:8787')
    .option('--sink <name>', 'sink to send to (default: the only one there is)')
    .action(load);
  for (const [name, spec] of Object.entries(LOAD_PARAMETERS)) loadCommand.addOption(optionOf(name, spec));
}

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
