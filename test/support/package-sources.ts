/**
 * What the imports of the package lead to in this repository: `sluice/client` → `src/client/index.ts`. Read from the exports
 * in package.json, whose compiled files lie in `dist` as their sources lie here. Programs in `examples/` import the package
 * as its users do.
 */

import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('../../', import.meta.url);
const { name, exports } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as {
  name: string;
  exports: Record<string, string | { types: string }>;
};

/** Pairs of an import and the path of its source from the root. */
export const SOURCES: [string, string][] = Object.entries(exports).flatMap(([path, target]) =>
  typeof target === 'string'
    ? []
    : [
        [path.replace('.', name), target.types.replace(/^\.\/dist\//, '').replace(/\.d\.ts$/, '.ts')] as [
          string,
          string,
        ],
      ],
);

/** The same for Vite: whole imports only, and absolute paths. */
export const ALIASES = SOURCES.map(([specifier, source]) => ({
  find: new RegExp(`^${specifier}$`),
  replacement: fileURLToPath(new URL(source, ROOT)),
}));

/** Makes this process find the sources. */
export function resolveFromSources(): void {
  const sources = new Map(SOURCES);
  registerHooks({
    resolve(specifier, context, next) {
      const source = sources.get(specifier);
      return next(source === undefined ? specifier : new URL(source, ROOT).href, context);
    },
  });
}
