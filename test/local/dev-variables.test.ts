import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import wrangler from 'wrangler';
import {
  type DevSettings,
  planDatabase,
  readDevSettings,
  workerVariables,
  writeVariables,
} from '../../local/dev-variables.ts';

let folder: string;
let config: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-variables-'));
  config = join(folder, 'wrangler.toml');
  await writeFile(config, TOML);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const TOML = `
name = "sluice"
main = "worker.js"
compatibility_date = "2026-10-15"
[vars]
BENCH = "off"
STORE_ENGINE = "sqlite"
OPEN_NAMESPACE = "mine"
`;
const HYPERDRIVE = `
[[hyperdrive]]
binding = "HYPERDRIVE"
id = "none"
`;
const A = 'postgres://me:a@a.example.com:5432/app';
const B = 'postgres://me:b@b.example.com:5432/app';

/** What wrangler makes of a file of variables. */
function readAsWrangler(file: string): Record<string, string> {
  const read = wrangler.unstable_getVarsForDev(undefined, [file], {}, undefined, true);
  return Object.fromEntries(Object.entries(read).map(([name, { value }]) => [name, value as string]));
}

describe('variables that are written', () => {
  test('are what wrangler reads, or are refused by name', async () => {
    const file = join(folder, 'written.env');
    const text = fc.oneof(
      fc.string({ unit: fc.constantFrom(...'$\'"`\\#%={}:-+ \nrnabAB1'), maxLength: 16 }),
      fc.string({ unit: 'grapheme', maxLength: 16 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 4 }), async (texts) => {
        // Names that a value could refer to.
        const variables = Object.fromEntries(texts.map((value, index) => ['aA_bB'[index] as string, value]));
        let written: string;
        try {
          written = writeVariables(variables);
        } catch (error) {
          expect(String(error)).toMatch(/^SluiceError: Cannot hand the variable \w to wrangler/);
          expect(texts.some((value) => /\r|\\$|['"`].*['"`].*['"`]|`.*'|'.*`/s.test(value))).toBe(true);
          return;
        }
        await writeFile(file, written);
        expect(readAsWrangler(file)).toEqual(variables);
      }),
      { numRuns: 500 },
    );
  });

  test('would be others in quotes alone, which wrangler expands', async () => {
    const file = join(folder, 'naive.env');
    await writeFile(file, "NAME='app$home'\n");
    expect(readAsWrangler(file)).toEqual({ NAME: 'app' });
    await writeFile(file, writeVariables({ NAME: 'app$home' }));
    expect(readAsWrangler(file)).toEqual({ NAME: 'app$home' });
  });
});

describe('the files beside the configuration', () => {
  test('are read as wrangler reads them: .dev.vars as it is, or else .env with its references', async () => {
    await writeFile(join(folder, '.env'), 'WORD=one\nOTHER="$WORD two"\n');
    await writeFile(join(folder, '.env.local'), 'WORD=three\n');
    expect((await readDevSettings(config, {})).variables).toEqual({ WORD: 'three', OTHER: 'three two' });
    await writeFile(join(folder, '.dev.vars'), "OPERATE_TOKENS='a$b'\n");
    const { variables, configured, hyperdrive } = await readDevSettings(config, {});
    expect(variables).toEqual({ OPERATE_TOKENS: 'a$b' });
    expect(configured).toEqual({ BENCH: 'off', STORE_ENGINE: 'sqlite', OPEN_NAMESPACE: 'mine' });
    expect(hyperdrive).toBeUndefined();
  });

  test('that are not there say nothing', async () => {
    expect((await readDevSettings(config, {})).variables).toEqual({});
  });

  test('a configuration that is not there is named', async () => {
    await expect(readDevSettings(join(folder, 'none.toml'), {})).rejects.toMatchObject({
      code: 'invalid_options',
      message: expect.stringContaining('none.toml'),
    });
  });

  test('name the database of a Hyperdrive binding, which the environment can set', async () => {
    const name = 'CLOUDFLARE_HYPERDRIVE_LOCAL_CONNECTION_STRING_HYPERDRIVE';
    await writeFile(config, TOML + HYPERDRIVE);
    expect((await readDevSettings(config, {})).hyperdrive).toEqual({ isRemote: false });
    await writeFile(config, `${TOML}${HYPERDRIVE}localConnectionString = "${A}"`);
    expect((await readDevSettings(config, {})).hyperdrive).toEqual({ databaseUrl: A, isRemote: false });
    expect((await readDevSettings(config, { [name]: B })).hyperdrive?.databaseUrl).toBe(B);
    await writeFile(join(folder, '.env'), `${name}=${B}\n`);
    expect((await readDevSettings(config, {})).hyperdrive?.databaseUrl).toBe(B);
    await writeFile(config, `${TOML}${HYPERDRIVE}remote = true`);
    expect((await readDevSettings(config, {})).hyperdrive?.isRemote).toBe(true);
  });
});

describe('the database of dev', () => {
  const none: DevSettings = { variables: {}, configured: {}, hyperdrive: undefined };

  test('is the environment’s, else that of the files, else of [vars], else the embedded one', () => {
    const said: DevSettings = { ...none, variables: { DATABASE_URL: A }, configured: { DATABASE_URL: B } };
    expect(planDatabase(said, { DATABASE_URL: B })).toMatchObject({
      databaseUrl: B,
      notices: ['Ignored: DATABASE_URL of .dev.vars or .env, since the environment sets it'],
    });
    expect(planDatabase(said, { DATABASE_URL: '' })).toMatchObject({ databaseUrl: A, notices: [] });
    expect(planDatabase({ ...said, variables: {} }, {})).toMatchObject({ databaseUrl: B, notices: [] });
    expect(planDatabase(none, {})).toMatchObject({ databaseUrl: undefined, driver: 'auto', notices: [] });
  });

  test('is Hyperdrive’s where that is bound, except for Neon’s driver', () => {
    const bound: DevSettings = { ...none, hyperdrive: { databaseUrl: A, isRemote: false } };
    expect(planDatabase(bound, { DATABASE_URL: B })).toMatchObject({
      databaseUrl: A,
      isHyperdrive: true,
      notices: ['Ignored: DATABASE_URL, since the binding HYPERDRIVE names another database'],
    });
    expect(planDatabase(bound, { DATABASE_URL: B, DRIVER: 'neon' })).toMatchObject({
      databaseUrl: B,
      isHyperdrive: false,
      notices: [],
    });
    const unnamed: DevSettings = { ...none, hyperdrive: { databaseUrl: undefined, isRemote: false } };
    expect(planDatabase(unnamed, { DATABASE_URL: B })).toMatchObject({ databaseUrl: B, isHyperdrive: true });
    const settings = `${A}?options=-c%20search_path%3Dsales`;
    expect(() =>
      planDatabase({ ...none, hyperdrive: { databaseUrl: settings, isRemote: false } }, {}),
    ).toThrow(/binding HYPERDRIVE, which does not carry them/);
  });

  test('goes to the Worker with what the files say, and with ours where they say nothing', () => {
    const settings: DevSettings = {
      ...none,
      variables: { BENCH: 'off', DATABASE_URL: B, WORD: 'a$b' },
      configured: { OPEN_NAMESPACE: 'mine', OPERATORS: 'closed' },
    };
    const plan = planDatabase(settings, { DATABASE_URL: A });
    const bindings = { DATABASE_URL: A, DRIVER: 'auto', RUNS_ON: 'here' };
    expect(workerVariables(settings, plan, { url: A, bindings })).toEqual({
      AUTHORIZE: 'open',
      BENCH: 'off',
      OPERATORS: 'open',
      WORD: 'a$b',
      OPEN_NAMESPACE: 'mine',
      DATABASE_URL: A,
      DRIVER: 'auto',
      RUNS_ON: 'here',
    });
  });

  test('lets everybody in unless the files name tokens, which are there to be tried out', () => {
    const plan = planDatabase(none, {});
    const variablesOf = (variables: Record<string, string>) =>
      workerVariables({ ...none, variables }, plan, undefined);
    expect(variablesOf({})).toMatchObject({ AUTHORIZE: 'open', OPERATORS: 'open', BENCH: 'open' });
    for (const name of ['INGEST_TOKENS', 'JWT_SECRET', 'JWKS_URL', 'TICKET_SECRETS'])
      expect(variablesOf({ [name]: 'x' }), name).not.toHaveProperty('AUTHORIZE');
    expect(variablesOf({ AUTHORIZE: 'jwt' })).toMatchObject({ AUTHORIZE: 'jwt' });
    for (const tokens of [{ READ_TOKENS: 'one' }, { OPERATE_TOKENS: 'two' }]) {
      expect(variablesOf(tokens)).toMatchObject({ BENCH: 'open', ...tokens });
      expect(variablesOf(tokens)).not.toHaveProperty('OPERATORS');
    }
    expect(variablesOf({ BENCH_TOKEN: 'three' })).toMatchObject({ OPERATORS: 'open', BENCH: 'on' });
    expect(variablesOf({ OPERATORS: 'closed' })).toMatchObject({ OPERATORS: 'closed' });
  });
});
