/** What to say where a package is not installed. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { IS_CHECKOUT, PACKAGE } from '../repository.ts';

/** The sentence for an error that says so; undefined for any other error. */
export function missingPackageText(error: unknown): string | undefined {
  for (let reason = error; reason instanceof Error; reason = reason.cause) {
    const { code, message } = reason as NodeJS.ErrnoException;
    if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') continue;
    // `Cannot find package 'miniflare' imported from …`, `Cannot find module 'wrangler/package.json'`.
    const name = /^Cannot find (?:package|module) '((?:@[^/']+\/)?[^./'@][^/']*)/.exec(message)?.[1];
    if (name === undefined) continue;
    return `The package ${name} is not installed. ${IS_CHECKOUT ? CHECKOUT_REMEDY : remedyFor(name)}`;
  }
  return undefined;
}

const CHECKOUT_REMEDY =
  'Run npm ci; where NODE_ENV is production or --omit=dev is set, npm ci --include=dev (only `migrate`, `load`, ' +
  '`dead-letters`, `shard`, `export` and `import` do without)';

function remedyFor(name: string): string {
  const { peers, tools } = testedVersions();
  const isPeer = Object.hasOwn(peers, name);
  const version = isPeer ? peers[name] : tools[name];
  const install = `npm install ${isPeer ? '' : '--save-dev '}${name}${version === undefined ? '' : `@${version}`}`;
  return (
    `Run ${install}; where package.json has it already, NODE_ENV=production or --omit=dev has left it out: ` +
    'npm install --include=dev'
  );
}

/** The versions with which this Sluice is tested, by the names of packages: `peers` as ranges, `tools` exactly. */
export function testedVersions(): {
  sluice: string;
  peers: Record<string, string>;
  /** Those of the peers that a project may do without. */
  optional: string[];
  tools: Record<string, string>;
} {
  const { version, peerDependencies, peerDependenciesMeta, devDependencies } = JSON.parse(
    readFileSync(join(PACKAGE, 'package.json'), 'utf8'),
  );
  return {
    sluice: version,
    peers: peerDependencies,
    optional: Object.keys(peerDependenciesMeta ?? {}),
    tools: devDependencies,
  };
}
