/** `npm run check:package`: packs, and has publint and arethetypeswrong look at the tarball. */

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { REPOSITORY } from '../repository.ts';

const PROGRAMS = {
  publint: ['node_modules/publint/src/cli.js', 'run', '--strict', '--pack', 'false'],
  // Without CommonJS: Node has been able to require ES modules since 22.12.
  arethetypeswrong: [
    'node_modules/@arethetypeswrong/cli/dist/index.js',
    '--profile',
    'esm-only',
    '--no-emoji',
    '--no-color',
  ],
} as const;

/**
 * Packs the package, which builds it.
 *
 * @param folder where the tarball goes
 * @returns its path
 */
export async function pack(folder: string): Promise<string> {
  const { stdout } = await promisify(execFile)('npm', ['pack', '--silent', '--pack-destination', folder], {
    cwd: REPOSITORY,
  });
  const name = stdout.trim().split('\n').at(-1) as string;
  return join(folder, name);
}

/** What the two programs find wrong with a tarball, or with a folder (publint only): their words, none where all is well. */
export async function findingsOf(
  target: string,
  programs: readonly (keyof typeof PROGRAMS)[] = ['publint', 'arethetypeswrong'],
): Promise<string[]> {
  const findings: string[] = [];
  for (const program of programs) {
    const [script, ...args] = PROGRAMS[program];
    await promisify(execFile)(process.execPath, [join(REPOSITORY, script), ...args, target], {
      env: { ...process.env, NO_COLOR: '1' },
    }).catch(({ stdout, stderr }: { stdout: string; stderr: string }) => {
      findings.push(`${program}: ${stdout}${stderr}`);
    });
  }
  return findings;
}

if (import.meta.main) {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-pack-'));
  try {
    const findings = await findingsOf(await pack(folder));
    for (const finding of findings) process.stderr.write(`${finding}\n`);
    process.exitCode = findings.length === 0 ? 0 : 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
