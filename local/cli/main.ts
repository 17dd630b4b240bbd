/** The command line: reads the arguments, runs a command, and ends with its exit code. */

import { CommanderError } from 'commander';
import { errorText, isSluiceError } from '../../src/core/errors.ts';
import { isOnlyClosedOutput, tolerateClosedOutput } from './closed-output.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { missingPackageText } from './missing-package.ts';
import { createProgram } from './program.ts';

tolerateClosedOutput();
try {
  process.exitCode = EXIT.good;
  await createProgram().parseAsync();
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
