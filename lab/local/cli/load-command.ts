/** What the flags of `load` take from the suite `ingest`. */

import type { Command } from 'commander';
import { LOAD_PARAMETERS, load } from './load.ts';
import { optionOf } from './parameter-option.ts';

/** Adds the rest of the command `load`. */
export function completeLoad(loadCommand: Command): void {
  loadCommand
    .option('--url <address>', 'address of the Worker', 'http://localhost:8787')
    .option('--sink <name>', 'sink to send to (default: the only one there is)')
    .action(load);
  for (const [name, spec] of Object.entries(LOAD_PARAMETERS)) loadCommand.addOption(optionOf(name, spec));
}
