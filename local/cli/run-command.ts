/** Runs one command of the command line, in this process. */

import { CommanderError } from 'commander';
import { errorText, isSluiceError } from '../../src/core/errors.ts';
import { isOnlyClosedOutput } from './closed-output.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { missingPackageText } from './missing-package.ts';
import { createProgram } from './program.ts';

/**
 * Runs a command to its end. What it says goes to stdout and stderr of the process, and what it ends with to
 * `process.exitCode`. It throws nothing.
 *
 * @param args what comes after the program's name
 */
export async function runCommand(args: readonly string[]): Promise<void> {
  try {
    process.exitCode = EXIT.good;
    await (await createProgram(args)).parseAsync(args, { from: 'user' });
  } catch (error) {
    if (isOnlyClosedOutput(error)) {
      process.exitCode = EXIT.good;
    } else if (error instanceof CommanderError) {
      // Help is no error, and was printed; everything else is a wrong option, told in one line.
      if (error.exitCode !== 0 && error.code !== 'commander.help') {
        process.stderr.write(
          `sluice: ${error.message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ')}\n`,
        );
      }
      process.exitCode = error.exitCode === 0 ? EXIT.good : EXIT.wrongOptions;
    } else {
      const message = isSluiceError(error) ? error.message : (missingPackageText(error) ?? errorText(error));
      process.stderr.write(`sluice: ${message}\n`);
      if (!isSluiceError(error) && process.env.SLUICE_DEBUG !== undefined) console.error(error);
      process.exitCode = exitCodeOf(error);
    }
  }
}
