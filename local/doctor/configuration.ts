/** Checks of wrangler's configuration: what a Worker of Sluice needs, and what it opens. */

import { relative } from 'node:path';
import { errorText } from '../../src/core/errors.ts';
import { missingPackageText } from '../cli/missing-package.ts';
import { COMPATIBILITY_DATE } from '../compatibility.ts';
import { openTexts } from '../open-variables.ts';
import { loadWrangler } from '../project.ts';
import { loadWorkerAuthorize } from '../worker-sinks.ts';
import { type Check, type Finding, good, unknown, unwise, wrong } from './check.ts';

/** What is read of wrangler's configuration; its own types leave Durable Objects open. */
export interface ReadConfig {
  compatibility_date?: string;
  compatibility_flags: string[];
  vars: Record<string, unknown>;
  definedEnvironments?: string[];
  durable_objects: { bindings: { name: string; class_name: string; script_name?: string }[] };
  exports?: Record<string, unknown>;
  migrations: { new_sqlite_classes?: string[]; renamed_classes?: { to: string }[] }[];
  observability?: { enabled?: boolean };
}

export interface ConfigurationFacts {
  /** As it is shown: relative to the working directory. */
  file: string;
  /** Its path. */
  configFile: string;
  /** The top level, and then each environment. */
  places: readonly { place: string; config: ReadConfig }[];
}

/**
 * Reads a configuration with its environments.
 *
 * @returns a finding in its place where it cannot be read
 */
export async function readConfiguration(configFile: string): Promise<ConfigurationFacts | Finding> {
  const file = relative('.', configFile);
  try {
    const { unstable_readConfig } = await loadWrangler();
    const read = (env?: string): ReadConfig =>
      unstable_readConfig(
        { config: configFile, ...(env === undefined ? {} : { env }) },
        { hideWarnings: true },
      ) as unknown as ReadConfig;
    const top = read();
    const environments = (top.definedEnvironments ?? []).map((env) => ({
      place: `${file}, [env.${env}]`,
      config: read(env),
    }));
    return { file, configFile, places: [{ place: file, config: top }, ...environments] };
  } catch (error) {
    const missing = missingPackageText(error);
    return missing === undefined
      ? { state: 'wrong', what: `${file}: ${errorText(error)}` }
      : unknown(`${file} was not read without wrangler`);
  }
}

/** From this date on `nodejs_compat` brings what the drivers need of Node. */
const OLDEST_DATE = '2024-09-23';
/** A date that is older than the tested one by more days misses corrections of the platform. */
const OLD_DAYS = 365;
const DAY_MS = 86_400_000;

/** Variables that are secrets: what they hold opens something. */
const SECRET_VARIABLES = [
  'DATABASE_URL',
  'INGEST_TOKENS',
  'READ_TOKENS',
  'OPERATE_TOKENS',
  'BENCH_TOKEN',
  'JWT_SECRET',
  'TICKET_SECRETS',
  'ALERT_WEBHOOKS',
];

export const CONFIGURATION_CHECKS: readonly Check<ConfigurationFacts>[] = [
  {
    name: 'worker',
    about: 'The flag `nodejs_compat`, the binding `SHARD`, and the declaration of its class.',
    remedy: 'Add to `wrangler.toml` what the line says.',
    look: lookAtWorker,
  },
  {
    name: 'compatibility-date',
    about: `\`compatibility_date\` is there, and neither older than what the drivers need nor much older than the one that was tested.`,
    remedy: `Set \`compatibility_date = "${COMPATIBILITY_DATE}"\`.`,
    look: ({ file, places }) => lookAtDate(file, places[0]?.config.compatibility_date),
  },
  {
    name: 'open-variables',
    about: 'Variables that let everybody in: `AUTHORIZE`, `OPERATORS` and `BENCH` are not `open`.',
    remedy:
      'Take the variable out, and set tokens as secrets ([Lock a deployed Worker](security.md#lock-a-deployed-worker)).',
    look: ({ places }) =>
      places.flatMap(({ place, config }) =>
        openTexts(config.vars).map((text) => ({ state: 'unwise' as const, what: `${place}: ${text}` })),
      ),
  },
  {
    name: 'senders',
    about: 'The code or each environment says who may send, and not that everybody may.',
    remedy: 'Give `createSluice` the option `authorize`, or set the variable `AUTHORIZE`.',
    look: lookAtSenders,
  },
  {
    name: 'secrets-in-file',
    about:
      'No secret stands in the configuration, which is committed and shown in the dashboard of Cloudflare.',
    remedy:
      'Put it with `npx wrangler secret put NAME`, take it out of the file, and replace it: it is known.',
    look: ({ places }) =>
      places.flatMap(({ place, config }) =>
        SECRET_VARIABLES.filter((name) => isSecret(name, config.vars[name])).map((name) =>
          unwise(
            `${place}: the secret ${name} stands in [vars]`,
            'Everybody who may read the file or the settings of the Worker knows it. Put it as a secret, take it out of the file, and replace it by another one.',
            `npx wrangler secret put ${name}`,
          ),
        ),
      ),
  },
  {
    name: 'monitor-binding',
    about:
      'The Durable Object `Monitor` is bound: without it there are no dashboard, metrics, history and alerts.',
    remedy: 'Export the class, and add the binding and its declaration, as the line shows.',
    look: ({ places }) =>
      places.flatMap(({ place, config }) =>
        config.durable_objects.bindings.some(({ name }) => name === 'MONITOR')
          ? []
          : [
              unwise(
                `${place}: MONITOR is not bound`,
                'Without it nobody sees how the shards are: no dashboard, metrics, history and alerts. Export the class from the Worker, and add to the configuration:',
                'export class Monitor extends sluice.Monitor {}',
                '[[durable_objects.bindings]] name = "MONITOR", class_name = "Monitor"',
                '[exports.Monitor] type = "durable-object", storage = "sqlite"',
              ),
            ],
      ),
  },
  {
    name: 'logs',
    about: 'Cloudflare keeps the lines of the log.',
    remedy: 'Set `enabled = true` below `[observability]`.',
    look: ({ file, places }) =>
      places[0]?.config.observability?.enabled === true
        ? []
        : [
            unwise(
              `${file}: the lines of the log are not kept`,
              'What a shard says of a pause is gone once it is said. Add to the configuration:',
              '[observability] enabled = true',
            ),
          ],
  },
];

function lookAtWorker({ file, places }: ConfigurationFacts): Finding[] {
  const config = places[0]?.config as ReadConfig;
  if (!config.compatibility_flags.includes('nodejs_compat'))
    return [
      wrong(
        `${file}: compatibility_flags lacks "nodejs_compat"`,
        'The drivers of Postgres need it.',
        'compatibility_flags = ["nodejs_compat"]',
      ),
    ];
  const shard = config.durable_objects.bindings.find(({ name }) => name === 'SHARD');
  if (shard === undefined)
    return [
      wrong(
        `${file}: no Durable Object is bound as SHARD`,
        'Shards take the messages.',
        '[[durable_objects.bindings]] name = "SHARD", class_name = "Shard"',
      ),
    ];
  const isDeclared =
    Object.hasOwn(config.exports ?? {}, shard.class_name) ||
    config.migrations.some(({ new_sqlite_classes: classes = [], renamed_classes: renamed = [] }) =>
      [...classes, ...renamed.map(({ to }) => to)].includes(shard.class_name),
    );
  if (!isDeclared && shard.script_name === undefined)
    return [
      wrong(
        `${file}: the class ${shard.class_name} is not declared`,
        'Cloudflare does not deploy it.',
        `[exports.${shard.class_name}] type = "durable-object", storage = "sqlite"`,
      ),
    ];
  return [good(`${file} has nodejs_compat, and SHARD bound to ${shard.class_name}`)];
}

function lookAtDate(file: string, date: string | undefined): Finding[] {
  const remedy = `compatibility_date = "${COMPATIBILITY_DATE}"`;
  if (date === undefined)
    return [
      wrong(`${file}: compatibility_date is not set`, 'Cloudflare refuses to deploy without it.', remedy),
    ];
  if (date < OLDEST_DATE)
    return [
      wrong(
        `${file}: compatibility_date is ${date}`,
        `Before ${OLDEST_DATE} the flag nodejs_compat does not bring what the drivers need.`,
        remedy,
      ),
    ];
  const days = (Date.parse(COMPATIBILITY_DATE) - Date.parse(date)) / DAY_MS;
  if (!(days > OLD_DAYS)) return [];
  return [
    unwise(
      `${file}: compatibility_date is ${date}`,
      `This version of Sluice was tested with ${COMPATIBILITY_DATE}; corrections of the platform since then are missing.`,
      remedy,
    ),
  ];
}

/** Where the configuration leaves it to the code who may send, the code has to say it. */
async function lookAtSenders({ configFile, places }: ConfigurationFacts): Promise<Finding[]> {
  const silent = places.filter(({ config }) => !config.vars.AUTHORIZE);
  if (silent.length === 0) return [];
  let said: Awaited<ReturnType<typeof loadWorkerAuthorize>>;
  try {
    said = await loadWorkerAuthorize(configFile);
  } catch (error) {
    return [unknown('It was not looked at who may send', errorText(error))];
  }
  if (said === 'asks') return [];
  if (said === 'open')
    return [
      {
        state: 'unwise',
        what: "The Worker's code says authorize: 'open': everybody may send messages to it",
      },
    ];
  return silent.map(({ place }) => ({
    state: 'unwise',
    what: `${place}: nothing says who may send, so nobody can connect: give createSluice authorize, or set AUTHORIZE`,
  }));
}

/** Tokens of which only the hash is told open nothing, and neither does an address without a password. */
function isSecret(name: string, value: unknown): boolean {
  if (typeof value !== 'string' || value.trim() === '') return false;
  if (name === 'DATABASE_URL') return /:\/\/[^/@]*:[^/@]+@/.test(value);
  if (!name.endsWith('_TOKENS') && name !== 'BENCH_TOKEN') return true;
  // A list as JSON has hashes only.
  if (/^\s*[[{]/.test(value)) return false;
  return value.split(/[\s,]+/).some((token) => token !== '' && !/(^|:)sha256:[0-9a-f]{64}$/i.test(token));
}
