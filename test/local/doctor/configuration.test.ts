/** Each check of a configuration: one that is broken is named, and a sound one is not. */

import { describe, expect, test } from 'vitest';
import { COMPATIBILITY_DATE } from '../../../local/compatibility.ts';
import type { Check, Finding } from '../../../local/doctor/check.ts';
import { CHECKS } from '../../../local/doctor/checks.ts';
import type { ConfigurationFacts, ReadConfig } from '../../../local/doctor/configuration.ts';

const SOUND: ReadConfig = {
  compatibility_date: COMPATIBILITY_DATE,
  compatibility_flags: ['nodejs_compat'],
  vars: { AUTHORIZE: 'jwt', OPERATORS: 'closed' },
  durable_objects: {
    bindings: [
      { name: 'SHARD', class_name: 'Shard' },
      { name: 'MONITOR', class_name: 'Monitor' },
    ],
  },
  exports: { Shard: {}, Monitor: {} },
  migrations: [],
  observability: { enabled: true },
};

async function look(name: string, changes: Partial<ReadConfig>): Promise<Finding[]> {
  const check = CHECKS.configuration.find((one) => one.name === name) as Check<ConfigurationFacts>;
  const config = { ...SOUND, ...changes };
  const facts = { file: 'w.toml', configFile: '/nowhere/w.toml', places: [{ place: 'w.toml', config }] };
  return (await check.look(facts)).filter(({ state }) => state !== 'good');
}

const HASH = `sha256:${'0'.repeat(64)}`;
const withVariable = (name: string, value: unknown): Partial<ReadConfig> => ({
  vars: { ...SOUND.vars, [name]: value },
});

interface Case {
  broken: Partial<ReadConfig>;
  state: Finding['state'];
  says: RegExp;
  remedy?: RegExp;
  sound?: Partial<ReadConfig>;
}

const CASES: Record<string, Case> = {
  worker: {
    broken: { compatibility_flags: [] },
    state: 'wrong',
    says: /lacks "nodejs_compat"/,
    remedy: /^compatibility_flags = \["nodejs_compat"\]$/,
  },
  'worker: no shard': {
    broken: { durable_objects: { bindings: [] } },
    state: 'wrong',
    says: /no Durable Object is bound as SHARD/,
  },
  'worker: not declared': {
    broken: { exports: {} },
    state: 'wrong',
    says: /class Shard is not declared/,
    sound: { exports: {}, migrations: [{ new_sqlite_classes: ['Shard'] }] },
  },
  'compatibility-date': {
    broken: { compatibility_date: '2024-09-01' },
    state: 'wrong',
    says: /compatibility_date is 2024-09-01/,
    remedy: /^compatibility_date = "20/,
  },
  'compatibility-date: old': {
    broken: { compatibility_date: '2025-06-01' },
    state: 'unwise',
    says: /corrections of the platform/,
    sound: { compatibility_date: '2026-06-01' },
  },
  'compatibility-date: later than the tested one is well': {
    broken: { compatibility_date: undefined } as unknown as Partial<ReadConfig>,
    state: 'wrong',
    says: /is not set/,
    sound: { compatibility_date: '2099-01-01' },
  },
  'open-variables': {
    broken: withVariable('BENCH', 'open'),
    state: 'unwise',
    says: /BENCH=open/,
    sound: withVariable('BENCH', 'off'),
  },
  senders: {
    // What the code says is tested where there is code (test/local/cli/doctor.test.ts).
    broken: { vars: {} },
    state: 'unknown',
    says: /not looked at who may send/,
  },
  'secrets-in-file': {
    broken: withVariable('OPERATE_TOKENS', `${HASH}, let-me-in`),
    state: 'unwise',
    says: /secret OPERATE_TOKENS stands in \[vars\]/,
    remedy: /^npx wrangler secret put OPERATE_TOKENS$/,
    sound: withVariable('OPERATE_TOKENS', `${HASH}, ${HASH}`),
  },
  'secrets-in-file: a password': {
    broken: withVariable('DATABASE_URL', 'postgres://a:secret@db.example.com/c'),
    state: 'unwise',
    says: /secret DATABASE_URL/,
    sound: withVariable('DATABASE_URL', 'postgres://a@db.example.com/c'),
  },
  'secrets-in-file: what signs': {
    broken: withVariable('JWT_SECRET', 'secret'),
    state: 'unwise',
    says: /secret JWT_SECRET/,
    sound: withVariable('JWT_SECRET', ''),
  },
  'secrets-in-file: hashes': {
    broken: withVariable('INGEST_TOKENS', 'device:let-me-in'),
    state: 'unwise',
    says: /secret INGEST_TOKENS/,
    sound: withVariable('INGEST_TOKENS', `device:${HASH}`),
  },
  'monitor-binding': {
    broken: { durable_objects: { bindings: [{ name: 'SHARD', class_name: 'Shard' }] } },
    state: 'unwise',
    says: /MONITOR is not bound/,
    remedy: /name = "MONITOR"/,
  },
  logs: {
    broken: { observability: {} },
    state: 'unwise',
    says: /lines of the log are not kept/,
    remedy: /enabled = true$/,
  },
};

describe.each(Object.entries(CASES))('%s', (name, { broken, state, says, remedy, sound = {} }) => {
  const check = name.split(':')[0] as string;
  test('a broken configuration is named, with its remedy', async () => {
    const found = await look(check, broken);
    expect(found).toHaveLength(1);
    const [finding] = found as [Finding];
    expect(finding.state).toBe(state);
    expect(`${finding.what} ${finding.why}`).toMatch(says);
    if (remedy !== undefined) expect(finding.remedy).toContainEqual(expect.stringMatching(remedy));
    expect(JSON.stringify(finding), 'no secret is repeated').not.toMatch(/let-me-in|:secret@/);
  });

  test('and a sound one is not', async () => {
    expect(await look(check, sound)).toEqual([]);
  });
});

test('every check has a case', () => {
  const tested = new Set(Object.keys(CASES).map((name) => name.split(':')[0]));
  expect([...tested]).toEqual(CHECKS.configuration.map(({ name }) => name));
});
