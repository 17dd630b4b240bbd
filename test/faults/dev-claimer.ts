/**
 * Stands for `npm run dev` where a hundred starts are needed: it takes the state as that does, and instead of wrangler and
 * workerd it starts two small processes, of which the second writes its generation into the state without end.
 *
 *     node test/faults/dev-claimer.ts <folder of the state> <generation>
 */

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { claimDevState } from '../../local/dev-state.ts';
import { errorText } from '../../src/core/errors.ts';

const [folder = '', generation = ''] = process.argv.slice(2);

const WRITER = `
const { appendFileSync } = require('node:fs');
const [file, generation] = process.argv.slice(1);
setInterval(() => appendFileSync(file, generation + '\\n'), 1);
console.log('writer ' + process.pid);
`;
const LAUNCHER = `
require('node:child_process').spawn(process.execPath, ['-e', ...process.argv.slice(1)], { stdio: 'inherit' });
console.log('launcher ' + process.pid);
setInterval(() => {}, 60_000);
`;

try {
  const state = await claimDevState(folder, { port: Number(generation), onLog: () => {} });
  process.stdout.write(`command ${process.pid}\n`);
  const child = spawn(
    process.execPath,
    ['-e', LAUNCHER, WRITER, join(state.folder, 'written.log'), generation],
    { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...state.environment } },
  );
  await new Promise<void>((resolve) => {
    child.on('close', () => resolve());
    process.on('SIGTERM', resolve);
  });
  await state.endLeftovers();
  await state.release();
} catch (error) {
  process.stderr.write(`${errorText(error)}\n`);
  process.exitCode = 2;
}
