/**
 * What `.dev.vars`, `.env` and wrangler's configuration say beside `npm run dev`. wrangler reads none of these files once it is given
 * one with `--env-file`, which dev does; so they are read here, by wrangler's own functions, and handed on in that file.
 */

import { relative } from 'node:path';
import { type ErrorCode, errorText, SluiceError } from '../src/core/errors.ts';
import { parseAddress } from '../src/database/address.ts';
import { loadWrangler } from './project.ts';

interface HyperdriveBinding {
  binding: string;
  localConnectionString?: string;
  remote?: boolean;
}

/** The binding that the Worker uses (workers/env.ts). */
const HYPERDRIVE = 'HYPERDRIVE';
/** Where wrangler looks for a local database in the place of Hyperdrive's, in its order. */
const HYPERDRIVE_VARIABLES = [
  `CLOUDFLARE_HYPERDRIVE_LOCAL_CONNECTION_STRING_${HYPERDRIVE}`,
  `WRANGLER_HYPERDRIVE_LOCAL_CONNECTION_STRING_${HYPERDRIVE}`,
] as const;
/** The variable of the two that is not deprecated. */
export const HYPERDRIVE_VARIABLE = HYPERDRIVE_VARIABLES[0];

export interface DevSettings {
  /** What the files beside the configuration set, by their names. */
  variables: Readonly<Record<string, string>>;
  /** What `[vars]` of the configuration sets to a text. */
  configured: Readonly<Record<string, string>>;
  /** The binding HYPERDRIVE, where there is one. */
  hyperdrive: { databaseUrl: string | undefined; isRemote: boolean } | undefined;
}

/**
 * Reads what wrangler would read by itself.
 *
 * @throws SluiceError `invalid_options` where wrangler refuses its configuration
 */
export async function readDevSettings(
  configFile: string,
  environment: NodeJS.ProcessEnv,
): Promise<DevSettings> {
  const wrangler = await loadWrangler();
  const env = environment.CLOUDFLARE_ENV;
  try {
    const config = wrangler.unstable_readConfig(
      { config: configFile, ...(env === undefined ? {} : { env }) },
      { hideWarnings: true },
    );
    const files = wrangler.unstable_getVarsForDev(configFile, undefined, {}, env, true);
    const variables = textsOf(
      Object.entries(files).map(([name, { value }]) => [name, value] as const),
      // With CLOUDFLARE_INCLUDE_PROCESS_ENV the whole environment is among them, and wrangler adds it once more.
      (name, value) => environment[name] !== value,
    );
    const bound = (config.hyperdrive as readonly HyperdriveBinding[]).find(
      ({ binding }) => binding === HYPERDRIVE,
    );
    return {
      variables,
      configured: textsOf(Object.entries(config.vars)),
      hyperdrive:
        bound === undefined
          ? undefined
          : {
              databaseUrl:
                HYPERDRIVE_VARIABLES.map((name) => environment[name] || variables[name]).find(Boolean) ??
                bound.localConnectionString,
              isRemote: bound.remote === true,
            },
    };
  } catch (error) {
    const code: ErrorCode = 'invalid_options';
    throw new SluiceError(code, `Cannot read ${relative('.', configFile)}: ${errorText(error)}`, {
      cause: error,
    });
  }
}

function textsOf(
  entries: readonly (readonly [string, unknown])[],
  isWanted: (name: string, value: string) => boolean = () => true,
): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const [name, value] of entries) {
    if (typeof value === 'string' && isWanted(name, value)) texts[name] = value;
  }
  return texts;
}

/** Which database the Worker will use, and what was said about it in vain. */
export interface DatabasePlan {
  driver: string;
  /** Undefined: the embedded Postgres. */
  databaseUrl: string | undefined;
  neonProxy: string | undefined;
  isHyperdrive: boolean;
  /** Hyperdrive's own database, which this machine does not know. */
  isRemote: boolean;
  notices: string[];
}

/**
 * Decides as the Worker will: Hyperdrive where it is bound, unless the driver is Neon's; else DATABASE_URL. The environment wins
 * over the files beside the configuration, and these over `[vars]`.
 *
 * @throws SluiceError `invalid_options` for settings of a session, which Hyperdrive does not carry
 */
export function planDatabase(settings: DevSettings, environment: NodeJS.ProcessEnv): DatabasePlan {
  const valueFor = (name: string): string | undefined =>
    environment[name] || settings.variables[name] || settings.configured[name] || undefined;
  const driver = valueFor('DRIVER') ?? 'auto';
  const notices = ['DATABASE_URL', 'DRIVER']
    .filter((name) => differ(environment[name], settings.variables[name]))
    .map((name) => `Ignored: ${name} of .dev.vars or .env, since the environment sets it`);
  const hyperdrive = driver === 'neon' ? undefined : settings.hyperdrive;
  const own = valueFor('DATABASE_URL');
  const databaseUrl = hyperdrive?.databaseUrl ?? own;
  if (hyperdrive !== undefined && differ(own, databaseUrl))
    notices.push('Ignored: DATABASE_URL, since the binding HYPERDRIVE names another database');
  if (hyperdrive !== undefined && databaseUrl !== undefined) {
    const { options, applicationName } = parseAddress(databaseUrl);
    if (options !== undefined || applicationName !== undefined) {
      throw new SluiceError(
        'invalid_options',
        'Cannot use options or application_name in the address with the binding HYPERDRIVE, which does not carry them: use ALTER ROLE … SET',
      );
    }
  }
  return {
    driver,
    databaseUrl,
    neonProxy: valueFor('NEON_PROXY'),
    isHyperdrive: hyperdrive !== undefined,
    isRemote: hyperdrive?.isRemote === true,
    notices,
  };
}

function differ(one: string | undefined, other: string | undefined): boolean {
  return Boolean(one) && Boolean(other) && one !== other;
}

/** Variables of the Worker: what the files say, and ours where they say nothing. */
export function workerVariables(
  { variables, configured }: DevSettings,
  { driver, isHyperdrive }: DatabasePlan,
  database: { url: string; bindings: Readonly<Record<string, string>> } | undefined,
): Record<string, string> {
  // Tokens that the files name are there to be tried out.
  const hasOperators = [variables.READ_TOKENS, variables.OPERATE_TOKENS].some(Boolean);
  const hasSenders = ['INGEST_TOKENS', 'JWT_SECRET', 'JWKS_URL', 'TICKET_SECRETS'].some(
    (name) => variables[name],
  );
  return {
    ...(hasSenders ? {} : { AUTHORIZE: 'open' }),
    BENCH: variables.BENCH_TOKEN ? 'on' : 'open',
    ...(hasOperators ? {} : { OPERATORS: 'open' }),
    OPEN_NAMESPACE: configured.OPEN_NAMESPACE ?? 'default',
    ...database?.bindings,
    ...variables,
    // As the plan has decided, and written so that every program reads it alike.
    DRIVER: driver,
    ...(isHyperdrive || database === undefined ? {} : { DATABASE_URL: database.url }),
  };
}

/**
 * The text of a file that wrangler reads as these variables. It takes off quotes, and expands `$` whatever the quotes.
 *
 * @throws SluiceError `invalid_options` for a value that no such file can hold, which is not repeated
 */
export function writeVariables(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => {
      const text = quoted(value);
      if (text === undefined) {
        throw new SluiceError(
          'invalid_options',
          `Cannot hand the variable ${name} to wrangler: it has every kind of quote, a carriage return, or a \\ at its end`,
        );
      }
      return `${name}=${text}\n`;
    })
    .join('');
}

function quoted(value: string): string | undefined {
  const text = value.replaceAll('$', '\\$');
  if (text.includes('\r')) return undefined;
  // A \ at the end would take the quote after it for a part of the value.
  if (!text.endsWith('\\')) {
    for (const quote of ["'", '`']) if (!text.includes(quote)) return quote + text + quote;
    if (!text.includes('"') && !/\\[nr]/.test(text)) return `"${text}"`;
  }
  const isPlain = !/[#\n]/.test(text) && !/^['"`]/.test(text) && text.trim() === text;
  return isPlain ? text : undefined;
}
