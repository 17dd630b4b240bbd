/** What a report says about the machine and the tools: without it two results cannot be compared. */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { resolvePackage } from '../../local/project.ts';
import { IS_CHECKOUT, PACKAGE, REPOSITORY } from '../../local/repository.ts';

export function machineFacts(where: string): Record<string, string | number> {
  const cpus = os.cpus();
  return {
    cpu: `${cpus.length} × ${cpus[0]?.model.trim() ?? 'unknown processor'}`,
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    system: `${os.type()} ${os.release().split('-')[0]} ${os.arch()}`,
    runtime: `Node ${process.versions.node}, workerd ${versionOf('workerd')}`,
    where,
  };
}

export async function toolFacts(): Promise<Record<string, string>> {
  const { name, version } = JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8')) as Record<
    string,
    string
  >;
  return { name: name ?? 'sluice', version: version ?? '0', commit: await gitCommit() };
}

async function gitCommit(): Promise<string> {
  // Or it would tell of the project that the package is installed in.
  if (!IS_CHECKOUT) return 'unknown';
  try {
    const { stdout } = await promisify(execFile)('git', ['describe', '--always', '--dirty'], {
      cwd: REPOSITORY,
    });
    return stdout.trim();
  } catch {
    // A download without its history, or a machine without git.
    return 'unknown';
  }
}

function versionOf(packageName: string): string {
  const fromWrangler = createRequire(resolvePackage('wrangler/package.json'));
  return (fromWrangler(`${packageName}/package.json`) as { version: string }).version;
}
