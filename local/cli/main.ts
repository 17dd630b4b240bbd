/** The command line: runs the command that the arguments name, and ends with its exit code. */

import { tolerateClosedOutput } from './closed-output.ts';
import { runCommand } from './run-command.ts';

tolerateClosedOutput();
await runCommand(process.argv.slice(2));
