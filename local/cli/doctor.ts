/** `sluice doctor`: looks at the installation, the configuration, the database and the Worker, and says what is wrong or unwise. */

import { errorText, isSluiceError, SluiceError } from '../../src/core/errors.ts';
import type { Sink } from '../../src/sinks/sink.ts';
import { planDatabase, readDevSettings } from '../dev-variables.ts';
import type { Finding } from '../doctor/check.ts';
import { CHECKS, runChecks } from '../doctor/checks.ts';
import { type ConfigurationFacts, readConfiguration } from '../doctor/configuration.ts';
import { openDatabaseFacts } from '../doctor/database-facts.ts';
import { answers, deploymentFacts } from '../doctor/deployment-facts.ts';
import { type CheckReport, countFindings, findingText, reportJson, summaryText } from '../doctor/report.ts';
import { projectFolder, wranglerConfigIn } from '../project.ts';
import { loadWorkerSinks } from '../worker-sinks.ts';
import { EXIT } from './exit-codes.ts';

const WORKER_URL = 'http://localhost:8787';

export interface DoctorOptions {
  url?: string;
  token?: string;
  json?: true;
  strict?: true;
}

/**
 * Prints what it finds.
 *
 * Exit codes: 0 where nothing is wrong (with `--strict`: nor unwise), 1 where something is, 2 where the database or the Worker cannot be
 * asked and nothing else is wrong.
 *
 * @throws SluiceError `invalid_options` for an address that cannot be
 */
export async function doctor(address: string | undefined, options: DoctorOptions): Promise<void> {
  const { json, strict, token } = options;
  const url = workerUrl(address ?? options.url);
  const say = (finding: Finding): void => {
    if (json === undefined) process.stdout.write(findingText(finding));
  };
  const project = projectFolder();
  const configFile = wranglerConfigIn(project);
  const reports = await runChecks(
    'installation',
    CHECKS.installation,
    { project, environment: process.env },
    say,
  );
  const told = (area: CheckReport['area'], name: string, finding: Finding): void => {
    reports.push({ area, name, findings: [finding] });
    say(finding);
  };
  const configuration = await configurationOf(configFile);
  if ('state' in configuration) told('configuration', 'readable', configuration);
  else reports.push(...(await runChecks('configuration', CHECKS.configuration, configuration, say)));
  const sinks = configFile === undefined ? [] : await sinksOf(configFile);
  reports.push(...(await lookAtDatabase(configFile, configuration, sinks, told, say)));
  reports.push(...(await lookAtWorker(url, sinks, token, told, say)));
  const counts = countFindings(reports);
  process.stdout.write(json ? reportJson(reports) : summaryText(counts));
  if (counts.wrong > 0) process.exitCode = counts.isOnlyUnreachable ? EXIT.wrongOptions : EXIT.failed;
  else if (strict && counts.unwise > 0) process.exitCode = EXIT.failed;
}

function workerUrl(given: string | undefined): { url: URL; isGiven: boolean } {
  if (given !== undefined && (!URL.canParse(given) || !/^https?:$/.test(new URL(given).protocol)))
    throw new SluiceError(
      'invalid_options',
      `Cannot use ${JSON.stringify(given)} as the address: one such as ${WORKER_URL} is allowed`,
    );
  return { url: new URL(given ?? WORKER_URL), isGiven: given !== undefined };
}

async function configurationOf(configFile: string | undefined): Promise<ConfigurationFacts | Finding> {
  if (configFile !== undefined) return await readConfiguration(configFile);
  return {
    state: 'wrong',
    what: 'No wrangler.toml here or above: npx sluice init writes a Worker',
    remedy: ['npx sluice init'],
  };
}

/** The sinks of the project's Worker, or why they are not known. */
async function sinksOf(configFile: string): Promise<readonly Sink[] | Finding> {
  try {
    const sinks = await loadWorkerSinks(configFile);
    return sinks.names().flatMap((name) => sinks.find(name) ?? []);
  } catch (error) {
    return { state: 'unknown', what: 'The tables of the sinks were not looked at', why: errorText(error) };
  }
}

type Told = (area: CheckReport['area'], name: string, finding: Finding) => void;

async function lookAtDatabase(
  configFile: string | undefined,
  configuration: ConfigurationFacts | Finding,
  sinks: readonly Sink[] | Finding,
  told: Told,
  say: (finding: Finding) => void,
): Promise<CheckReport[]> {
  const databaseUrl = await databaseOf(configFile);
  if (databaseUrl === undefined) {
    told('database', 'address', {
      state: 'unknown',
      what: 'DATABASE_URL is not set: npx sluice dev starts a Postgres',
    });
    return [];
  }
  const hasStores =
    'places' in configuration &&
    configuration.places.some(({ config }) =>
      config.durable_objects.bindings.some(({ name }) => name === 'NAMESPACE'),
    );
  try {
    const { facts, close } = await openDatabaseFacts(databaseUrl, {
      sinks: 'state' in sinks ? [] : sinks,
      hasStores,
    });
    try {
      if ('state' in sinks) told('database', 'sinks', sinks);
      return await runChecks('database', CHECKS.database, facts, say);
    } finally {
      close();
    }
  } catch (error) {
    const isUnreachable = isSluiceError(error) && error.code === 'database_unreachable';
    told('database', 'reachable', {
      state: 'wrong',
      what: errorText(error),
      ...(isUnreachable ? { isUnreachable } : {}),
    });
    return [];
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

async function lookAtWorker(
  { url, isGiven }: { url: URL; isGiven: boolean },
  sinks: readonly Sink[] | Finding,
  token: string | undefined,
  told: Told,
  say: (finding: Finding) => void,
): Promise<CheckReport[]> {
  const shown = url.href.replace(/\/$/, '');
  if (!(await answers(url))) {
    told(
      'deployment',
      'answers',
      isGiven
        ? { state: 'wrong', what: `Nothing answers at ${shown}`, isUnreachable: true }
        : { state: 'unknown', what: `Nothing answers at ${shown}: the Worker does not run here` },
    );
    return [];
  }
  try {
    const names = 'state' in sinks ? [] : sinks.map(({ name }) => name);
    const facts = await deploymentFacts(url, names, token);
    return await runChecks('deployment', CHECKS.deployment, facts, say);
  } catch (error) {
    told('deployment', 'answers', {
      state: 'wrong',
      what: `The Worker at ${shown} does not answer: ${errorText(error)}`,
      isUnreachable: true,
    });
    return [];
  }
}
