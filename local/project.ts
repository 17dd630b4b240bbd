/** The project that a command works on, and the tools that it has installed. */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { IS_CHECKOUT, REPOSITORY } from './repository.ts';

/** wrangler's own names, in its order. */
const CONFIG_NAMES = ['wrangler.json', 'wrangler.jsonc', 'wrangler.toml'] as const;

/**
 * The folder of the project: the nearest one, at or above `from`, that has a configuration of wrangler. Where there is none,
 * it is the checkout for the commands of a checkout, and `from` for those of the installed package.
 *
 * @param from default: the working directory
 */
export function projectFolder(from: string = process.cwd()): string {
  for (let folder = from; ; folder = dirname(folder)) {
    if (wranglerConfigIn(folder) !== undefined) return folder;
    if (dirname(folder) === folder) return IS_CHECKOUT ? REPOSITORY : from;
  }
}

/** The configuration of wrangler in a folder; undefined where there is none. */
export function wranglerConfigIn(folder: string): string | undefined {
  return CONFIG_NAMES.map((name) => join(folder, name)).find((file) => existsSync(file));
}

/**
 * The file that a package's name, or a path in it, leads to: of the project's own packages, else of those beside Sluice.
 *
 * @throws Error `MODULE_NOT_FOUND`, for which `missingPackageText` has a sentence
 */
export function resolvePackage(specifier: string, project: string = projectFolder()): string {
  try {
    return createRequire(join(project, 'package.json')).resolve(specifier);
  } catch {
    return createRequire(import.meta.url).resolve(specifier);
  }
}

/** The program that is wrangler: a file for Node. @throws Error like `resolvePackage` */
export function wranglerProgram(): string {
  return join(dirname(resolvePackage('wrangler/package.json')), 'bin/wrangler.js');
}

/** wrangler as a module. Fifteen megabytes: not before somebody needs them. @throws Error like `resolvePackage` */
export async function loadWrangler(): Promise<typeof import('wrangler')> {
  return await import(pathToFileURL(resolvePackage('wrangler')).href);
}

/** The Miniflare that wrangler brings. @throws Error like `resolvePackage` */
export async function loadMiniflare(): Promise<typeof import('miniflare')> {
  const fromWrangler = createRequire(resolvePackage('wrangler/package.json'));
  return await import(pathToFileURL(fromWrangler.resolve('miniflare')).href);
}

/** The esbuild that wrangler brings. @throws Error like `resolvePackage` */
export async function loadBundler(): Promise<typeof import('esbuild')> {
  const fromWrangler = createRequire(resolvePackage('wrangler/package.json'));
  return await import(pathToFileURL(fromWrangler.resolve('esbuild')).href);
}
