/**
 * The Worker in workerd, through Miniflare: bundled by wrangler, so that it is what `wrangler deploy` would upload,
 * and without wrangler's own dev server, which records every frame of a hibernatable socket (about 1 ms each).
 */

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { SluiceError } from '../src/core/errors.ts';
import { childrenNamed } from './child-processes.ts';
import { COMPATIBILITY_DATE } from './compatibility.ts';
import { endProcesses, orphansMarked } from './processes.ts';
import { loadMiniflare, wranglerProgram } from './project.ts';
import { IS_CHECKOUT, REPOSITORY, SOURCE_ENDING } from './repository.ts';

export interface LocalWorker {
  /** Where it listens, as in `http://127.0.0.1:41234`. A restart keeps it. */
  url: URL;
  /** Process id of workerd, which is another one after a restart; undefined where the system does not tell. */
  processId(): Promise<number | undefined>;
  stop(): Promise<void>;
}

export interface LocalWorkerOptions {
  /** Variables and secrets of the Worker. */
  bindings: Record<string, string>;
  /** Default: a free one. */
  port?: number;
  /** The Worker's entry script, relative to Sluice's code. Default: the one with the bench. */
  main?: string;
  /** Bindings of Durable Objects: those whose classes the script exports. Default: all that Sluice has. */
  objects?: readonly ObjectBinding[];
  /** Compatibility flags besides the usual ones. */
  flags?: string[];
  /** Where V8's inspector listens, to look at the heap of a running Worker. Default: it does not; it costs speed. */
  inspectorPort?: number;
  /** Told what the Worker writes to its console. Default: it goes to ours. */
  onLog?: (message: string) => void;
  /** Called when workerd was restarted after it had ended by itself or was killed. Its storage is as it was. */
  onRestart?: () => void;
}

/** The variable of a workerd that says which process started it. */
const OWNER_MARK = 'SLUICE_WORKER_OF';

/**
 * The variable that names a folder where bundles are kept for later starts, also of other processes. The one who sets it
 * empties the folder when the sources change; the tests have one for each run.
 */
const KEPT_BUNDLES = 'SLUICE_KEPT_BUNDLES';

/** Bundles the Worker and starts it on loopback. Its Durable Objects keep nothing after `stop`. */
export async function startWorker(options: LocalWorkerOptions): Promise<LocalWorker> {
  const { bindings, port = 0, flags = [], inspectorPort, onLog, onRestart = () => {} } = options;
  const { main = `workers/index${SOURCE_ENDING}`, objects = OBJECT_BINDINGS } = options;
  // A workerd outlives a process that was killed, with its connections and the locks that they hold.
  await endProcesses(() => orphansMarked(OWNER_MARK));
  const folder = await mkdtemp(join(tmpdir(), 'sluice-worker-'));
  try {
    const script = await keptOrBundled(folder, main);
    const { convertV4MiniflareOptions, Log, LogLevel, Miniflare } = await loadMiniflare();
    const signalsBefore = SIGNALS.map((signal) => process.listeners(signal));
    const othersBefore = await childrenNamed('workerd');
    const miniflare = new Miniflare(
      convertV4MiniflareOptions({
        name: 'sluice',
        modulesRoot: folder,
        modules: [{ type: 'ESModule', path: join(folder, script) }],
        compatibilityDate: COMPATIBILITY_DATE,
        compatibilityFlags: ['nodejs_compat', ...flags],
        durableObjects: durableObjects(objects),
        bindings,
        ...(inspectorPort === undefined ? {} : { inspectorPort }),
        // Without it, Miniflare asks the internet where it is, and says so when there is none.
        cf: false,
        unsafeRuntimeEnv: { [OWNER_MARK]: String(process.pid) },
        host: '127.0.0.1',
        port,
        log: new Log(onLog === undefined ? LogLevel.ERROR : LogLevel.NONE),
        ...(onLog === undefined ? {} : { handleStructuredLogs: ({ message }) => onLog(message) }),
        unsafeHandleRuntimeRestart: onRestart,
      }),
    );
    // At once, and not when it is ready: a signal meanwhile must not end the process either.
    giveSignalsBack(signalsBefore);
    const url = await miniflare.ready.catch(async (error: unknown) => {
      await miniflare.dispose().catch(() => {});
      throw error;
    });
    return {
      url,
      async processId() {
        const ours = (await childrenNamed('workerd')).filter((id) => !othersBefore.includes(id));
        return ours.length === 1 ? ours[0] : undefined;
      },
      async stop() {
        await miniflare.dispose();
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** The classes of Durable Objects, by their bindings. */
const OBJECT_CLASSES = {
  SHARD: 'Shard',
  MONITOR: 'Monitor',
  BENCH_SHARD: 'BenchShard',
  BENCH_OBJECT: 'BenchObject',
  LOAD_OBJECT: 'LoadObject',
  NAMESPACE: 'Namespace',
  REGISTRY: 'Registry',
} as const;
export type ObjectBinding = keyof typeof OBJECT_CLASSES;
const OBJECT_BINDINGS = Object.keys(OBJECT_CLASSES) as ObjectBinding[];

function durableObjects(bindings: readonly ObjectBinding[]) {
  return Object.fromEntries(
    bindings.map((name) => [name, { className: OBJECT_CLASSES[name], useSQLite: true }]),
  );
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

// Miniflare ends the process on a signal, at once and with everything else still running. Who starts a Worker here
// stops it too, after the tables are dropped and the reports are written.
function giveSignalsBack(before: NodeJS.SignalsListener[][]): void {
  for (const [index, signal] of SIGNALS.entries()) {
    for (const listener of process.listeners(signal)) {
      if (before[index]?.includes(listener) === false) process.removeListener(signal, listener);
    }
  }
}

/** Bundles the Worker, or copies what an earlier start has kept. @returns the name of the script in the folder */
async function keptOrBundled(folder: string, main: string): Promise<string> {
  const keep = process.env[KEPT_BUNDLES];
  if (keep === undefined || keep === '') return await bundle(folder, main);
  const kept = join(keep, encodeURIComponent(main));
  if (existsSync(kept)) await cp(kept, folder, { recursive: true });
  const known = await scriptIn(folder);
  if (known !== undefined) return known;
  const script = await bundle(folder, main);
  const copy = `${kept}.${randomUUID()}`;
  await cp(folder, copy, { recursive: true });
  // Another start may have been faster, with the same.
  await rename(copy, kept).catch(() => rm(copy, { recursive: true, force: true }));
  return script;
}

/** @returns the name of the script in the folder */
async function bundle(folder: string, main: string): Promise<string> {
  // A configuration here, and not the one beside the code: wrangler makes a folder where it finds one.
  const config = join(folder, 'wrangler.json');
  await writeFile(
    config,
    JSON.stringify({
      name: 'sluice',
      main: resolve(REPOSITORY, main),
      compatibility_date: COMPATIBILITY_DATE,
      compatibility_flags: ['nodejs_compat'],
      // The page of the bench is a build product of a checkout; the package has it.
      ...(IS_CHECKOUT ? { build: { command: 'node local/build/build-page.ts', cwd: REPOSITORY } } : {}),
    }),
  );
  const args = [wranglerProgram(), 'deploy', '--dry-run', '--config', config, '--outdir', folder];
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', WRANGLER_HIDE_BANNER: 'true', NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    // Its own process group: Ctrl-C is ours to handle.
    detached: true,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      output = (output + text).slice(-4_000);
    });
  }
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const script = await scriptIn(folder);
  if (exitCode !== 0 || script === undefined) {
    throw new SluiceError('internal', `Could not bundle the Worker: ${reasonOf(output)}`);
  }
  return script;
}

// Named after the entry script.
async function scriptIn(folder: string): Promise<string | undefined> {
  return (await readdir(folder)).find((file) => file.endsWith('.js'));
}

/** The last error that wrangler told, on one line; it ends its output with where its log is, which says nothing. */
function reasonOf(output: string): string {
  const lines = stripVTControlCharacters(output)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.includes('Logs were written to'));
  const error = lines.findLastIndex((line) => line.includes('[ERROR]'));
  return lines
    .slice(error === -1 ? -5 : error)
    .slice(0, 5)
    .join(' ');
}
