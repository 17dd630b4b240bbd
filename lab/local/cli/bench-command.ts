/** What the flags and the commands of `bench` take from the suites. */

import type { Command } from 'commander';
import type { OptionSpec } from '../../../src/core/option-table.ts';
import { REPORT_FORMAT_NAMES } from '../../report/formats.ts';
import { SUITES } from '../../suites.ts';
import type { bench } from './bench.ts';
import { collected, defineBenchResults } from './bench-results.ts';
import { optionOf } from './parameter-option.ts';

/** Adds the rest of the command `bench`, and the commands below it. */
export function completeBench(benchCommand: Command): void {
  benchCommand
    .enablePositionalOptions()
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
