/**
 * The sinks of the project's own Worker, in Node. Its entry is bundled as wrangler does it, with the platform's modules
 * replaced, and loaded: what it exports knows the sinks that it was made of. Nothing of it is run but its top level.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { BuildFailure, BuildOptions, Plugin } from 'esbuild';
import { errorText, SluiceError } from '../src/core/errors.ts';
import type { Sink } from '../src/sinks/sink.ts';
import { loadBundler, loadWrangler } from './project.ts';

/** The sinks of a Worker, with the options that its configuration sets. */
export interface WorkerSinks {
  names(): string[];
  /** Undefined where there is none of that name. @throws SluiceError `invalid_configuration` where SINKS is wrong */
  find(name: string): Sink | undefined;
}

/** What `createSluice` leaves on the class of shards (workers/create-sluice.ts). */
interface ExportedSinks {
  names(env: unknown): string[];
  find(env: unknown, name: string): Sink | undefined;
}

/**
 * Loads the Worker that a configuration of wrangler names.
 *
 * @throws SluiceError `invalid_configuration` where it names none, does not compile or load, or exports no class of shards
 */
export async function loadWorkerSinks(configFile: string): Promise<WorkerSinks> {
  const { sluiceSinks: sinks, vars } = await loadShardClass(configFile);
  return { names: () => sinks.names(vars), find: (name) => sinks.find(vars, name) };
}

/**
 * Who may send, as far as the code of the Worker says it: `open` to everybody, `asks` somebody, or `nothing` at all.
 *
 * @throws SluiceError as `loadWorkerSinks`
 */
export async function loadWorkerAuthorize(configFile: string): Promise<'open' | 'asks' | 'nothing'> {
  return (await loadShardClass(configFile)).sluiceAuthorize;
}

interface ShardClass {
  sluiceSinks: ExportedSinks;
  sluiceAuthorize: 'open' | 'asks' | 'nothing';
  vars: unknown;
}

async function loadShardClass(configFile: string): Promise<ShardClass> {
  const { unstable_readConfig } = await loadWrangler();
  const { main, vars } = unstable_readConfig({ config: configFile }, { hideWarnings: true });
  const shown = relative('.', configFile);
  if (main === undefined) throw wrong(`${shown} names no main: the file that exports the Worker`);
  const exported = await loadModule(main, vars);
  for (const value of Object.values(exported)) {
    if (typeof value !== 'function' || !('sluiceSinks' in value)) continue;
    const { sluiceSinks, sluiceAuthorize } = value as unknown as ShardClass;
    return { sluiceSinks, sluiceAuthorize, vars };
  }
  throw wrong(
    `${relative('.', main)} exports no class of shards: export class Shard extends sluice.Shard {}`,
  );
}

function wrong(sentence: string, cause?: unknown): SluiceError {
  return new SluiceError('invalid_configuration', sentence, cause === undefined ? {} : { cause });
}

async function loadModule(main: string, vars: unknown): Promise<Record<string, unknown>> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-worker-'));
  try {
    const outfile = join(folder, 'worker.mjs');
    const { build } = await loadBundler();
    const options: BuildOptions = {
      entryPoints: [main],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      // Packages as the Worker gets them.
      conditions: ['workerd', 'worker'],
      logLevel: 'silent',
      loader: { '.html': 'text', '.txt': 'text', '.sql': 'text', '.wasm': 'binary', '.bin': 'binary' },
      // Packages that are no ES modules ask for Node's own ones by require.
      banner: {
        js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
      },
      plugins: [platformModules(vars)],
    };
    await build(options).catch(async (failure: unknown) => {
      const external = missingPackages(failure);
      if (external.length === 0) throw failure;
      await build({ ...options, external });
    });
    return (await import(pathToFileURL(outfile).href)) as Record<string, unknown>;
  } catch (error) {
    throw wrong(`${relative('.', main)} cannot be loaded: ${errorText(error)}`, error);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The modules that only the platform has: classes to extend, and nothing in them. */
function platformModules(vars: unknown): Plugin {
  const contents = `
    class Base { constructor(ctx, env) { this.ctx = ctx; this.env = env; } }
    class Target {}
    const connect = () => { throw new Error('Nothing connects here'); };
    module.exports = {
      DurableObject: Base, WorkerEntrypoint: Base, WorkflowEntrypoint: Base, RpcTarget: Target, RpcStub: Target,
      EmailMessage: Target, NonRetryableError: Error, env: ${JSON.stringify(vars)}, exports: {}, waitUntil() {}, connect,
    };`;
  return {
    name: 'platform-modules',
    setup(build) {
      build.onResolve({ filter: /^cloudflare:/ }, ({ path }) => ({ path, namespace: 'platform' }));
      build.onLoad({ filter: /.*/, namespace: 'platform' }, () => ({ contents, loader: 'js' }));
    },
  };
}

/** Packages for want of which a build has failed. A driver that is not installed is missing only where it is used. */
function missingPackages(failure: unknown): string[] {
  const { errors = [] } = failure as Partial<BuildFailure>;
  const names = errors.map(({ text }) => /^Could not resolve "([^./"][^"]*)"$/.exec(text)?.[1]);
  return names.every((name) => name !== undefined) ? names : [];
}
