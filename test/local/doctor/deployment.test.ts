/** Each check of a deployment: one that is broken is named, and a sound one is not. */

import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Check, Finding } from '../../../local/doctor/check.ts';
import { CHECKS } from '../../../local/doctor/checks.ts';
import { answers, type DeploymentFacts, deploymentFacts } from '../../../local/doctor/deployment-facts.ts';
import { VERSION } from '../../../src/core/version.ts';
import type { AlertView, HealthReason, MonitorView } from '../../../src/monitor/view.ts';

const TOKEN = 'let-me-in';

type Answered = { status: number; body: unknown };
type Routes = Record<string, (isOperator: boolean) => Answered>;

const ok = (body: unknown): Answered => ({ status: 200, body });
const refusal = (status: number, code: string, detail = 'Because.'): Answered => ({
  status,
  body: { code, detail },
});
const UNAUTHORIZED = refusal(401, 'unauthorized');

const receivers = (list: unknown[]): Answered => ok({ current: [], history: [], receivers: list });

function viewOf(changes: Partial<MonitorView> = {}, reasons: HealthReason[] = []): MonitorView {
  return {
    version: 'one',
    packageVersion: VERSION,
    health: { status: 'ok', sinks: {}, reasons },
    sinks: [{ sink: 'readings', deadLetters: 0 }],
    alerts: [],
    ...changes,
  } as unknown as MonitorView;
}

/** A Worker that is deployed as it should be. */
const SOUND: Routes = {
  '/health?deep=1': () => ok({ status: 'ok' }),
  '/health': () => ok({ status: 'ok' }),
  '/monitor/view': (isOperator) => (isOperator ? ok(viewOf()) : UNAUTHORIZED),
  '/ws/readings': () => UNAUTHORIZED,
  '/bench/suites': () => refusal(404, 'not_found'),
  '/admin/-/dead-letters': () => UNAUTHORIZED,
  '/monitor/alerts': (isOperator) =>
    isOperator ? receivers([{ name: 'chat', lastFailure: null }]) : UNAUTHORIZED,
};

let routes: Routes = SOUND;
const asked: string[] = [];
const server = createServer((request: IncomingMessage, response) => {
  asked.push(request.url ?? '');
  const answer = routes[request.url ?? ''] ?? (() => refusal(404, 'not_found'));
  const { status, body } = answer(request.headers.authorization === `Bearer ${TOKEN}`);
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
});
let url: URL;
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterAll(() => new Promise((closed) => server.close(closed)));

interface Asked extends Partial<DeploymentFacts> {
  routes?: Routes;
  token?: string | null;
}

async function look(
  name: string,
  { routes: changed = {}, token = TOKEN, ...facts }: Asked = {},
): Promise<Finding[]> {
  routes = { ...SOUND, ...changed };
  const check = CHECKS.deployment.find((one) => one.name === name) as Check<DeploymentFacts>;
  const found = await deploymentFacts(url, [], token ?? '');
  return [...(await check.look({ ...found, isLocal: false, ...facts }))];
}

const viewing = (view: MonitorView): Asked => ({
  routes: { '/monitor/view': (isOperator) => (isOperator ? ok(view) : UNAUTHORIZED) },
});
const because = (reason: string, status: HealthReason['status'] = 'failing'): Asked =>
  viewing(
    viewOf({}, [
      {
        status,
        sink: 'readings',
        shard: 3,
        reason,
        sinceMs: Date.UTC(2026, 10, 1),
        message: 'It says why.',
        code: null,
        sqlState: null,
      },
    ]),
  );
const alert = (state: AlertView['state'], severity: AlertView['severity']): Asked =>
  viewing(
    viewOf({
      alerts: [
        {
          rule: 'queue-old',
          state,
          severity,
          message: 'It waits.',
          runbook: 'docs/operations.md',
        } as AlertView,
      ],
    }),
  );
const letters = (count: number): Asked =>
  viewing(viewOf({ sinks: [{ sink: 'readings', deadLetters: count }] as MonitorView['sinks'] }));

interface Case {
  broken: Asked;
  state: Finding['state'];
  says: RegExp;
  remedy?: RegExp;
  sound?: Asked;
}

/** Several for a check are told apart by what follows a colon. */
const CASES: Record<string, Case> = {
  'reaches-database': {
    broken: { routes: { '/health?deep=1': () => refusal(503, 'database_unreachable', 'No route') } },
    state: 'wrong',
    says: /No route/,
  },
  https: {
    broken: {},
    state: 'wrong',
    says: /is not encrypted/,
    sound: { url: new URL('https://sluice.example.com') },
  },
  'https: but on this machine': {
    broken: {},
    state: 'wrong',
    says: /not encrypted/,
    sound: { isLocal: true },
  },
  operators: {
    broken: { routes: { '/monitor/view': () => ok(viewOf()) } },
    state: 'wrong',
    says: /Everybody may look at this Worker/,
    remedy: /secret put OPERATE_TOKENS$/,
  },
  'operators: without a monitor': {
    broken: {
      routes: {
        '/monitor/view': () => refusal(500, 'invalid_configuration'),
        '/admin/-/dead-letters': () => refusal(404, 'unknown_sink'),
      },
    },
    state: 'wrong',
    says: /Everybody may look/,
    sound: { routes: { '/monitor/view': () => refusal(500, 'invalid_configuration') } },
  },
  'operators: none': {
    broken: { routes: { '/monitor/view': () => refusal(403, 'operators_closed') } },
    state: 'unwise',
    says: /READ_TOKENS and OPERATE_TOKENS are not set/,
    remedy: /secret put READ_TOKENS$/,
  },
  strangers: {
    broken: { routes: { '/ws/readings': () => refusal(426, 'upgrade_required') } },
    state: 'wrong',
    says: /Everybody may send messages/,
    remedy: /^npx sluice token$/,
  },
  'strangers: nobody may send': {
    broken: { routes: { '/ws/readings': () => refusal(500, 'invalid_configuration', 'Nothing says who.') } },
    state: 'wrong',
    says: /Nobody can connect Nothing says who\./,
  },
  'strangers: asked without a monitor': {
    broken: {
      token: null,
      sinkNames: ['readings'],
      routes: { '/ws/readings': () => refusal(426, 'upgrade_required') },
    },
    state: 'wrong',
    says: /Everybody may send/,
    sound: { token: null, sinkNames: ['readings'] },
  },
  bench: {
    broken: { routes: { '/bench/suites': () => ok([]) } },
    state: 'wrong',
    says: /BENCH=open/,
    sound: { routes: { '/bench/suites': () => refusal(403, 'bench_disabled') } },
  },
  'bench: on': {
    broken: { routes: { '/bench/suites': () => UNAUTHORIZED } },
    state: 'unwise',
    says: /BENCH=on/,
  },
  monitor: {
    broken: { routes: { '/monitor/view': () => refusal(500, 'invalid_configuration', 'Bind MONITOR.') } },
    state: 'unwise',
    says: /does not answer: Bind MONITOR\./,
  },
  'monitor: of an older version': {
    broken: { routes: { '/monitor/view': () => refusal(404, 'not_found') } },
    state: 'unwise',
    says: /older than this one/,
  },
  'monitor: no token': {
    broken: { token: null },
    state: 'unknown',
    says: /asks for a token Set SLUICE_OPERATOR_TOKEN/,
  },
  'worker-version': {
    broken: viewing(viewOf({ packageVersion: '0.2.9' })),
    state: 'unwise',
    says: /runs sluice 0\.2\.9, and/,
    remedy: /^npx wrangler deploy$/,
    sound: viewing(viewOf({ packageVersion: '99.0.0' })),
  },
  sinks: {
    broken: because('paused'),
    state: 'wrong',
    says: /Shard 3 of readings: paused since 2026-11-01T00:00:00.000Z It says why\./,
    remedy: /^npx sluice shard resume --url http:\S+ --sink readings --shard 3$/,
  },
  'sinks: stopped': { broken: because('stopped'), state: 'wrong', says: /stopped/ },
  'sinks: full': { broken: because('queue-full'), state: 'wrong', says: /queue-full/ },
  'sinks: trying': { broken: because('retrying', 'degraded'), state: 'unwise', says: /retrying/ },
  alarms: {
    broken: because('deaf', 'degraded'),
    state: 'wrong',
    says: /Shard 3 of readings: deaf/,
    remedy: /^npx sluice shard drain --url http:\S+ --sink readings --shard 3$/,
    sound: because('retrying', 'degraded'),
  },
  'dead-letters': {
    broken: letters(1),
    state: 'unwise',
    says: /The sink readings has 1 dead letter\b/,
    remedy: /^npx sluice dead-letters summary --url http:\S+ --sink readings$/,
  },
  'dead-letters: near the limit': {
    broken: because('dead-letters-near-full', 'degraded'),
    state: 'wrong',
    says: /dead-letters-near-full/,
  },
  alerts: {
    broken: alert('firing', 'page'),
    state: 'wrong',
    says: /The alert queue-old fires It waits\. \(docs\/operations\.md\)/,
    sound: alert('pending', 'page'),
  },
  'alert-receivers': {
    broken: { routes: { '/monitor/alerts': () => receivers([]) } },
    state: 'unwise',
    says: /Nobody is told of alerts/,
    remedy: /secret put ALERT_WEBHOOKS$/,
  },
  'alert-receivers: one that fails': {
    broken: {
      routes: {
        '/monitor/alerts': () =>
          receivers([{ name: 'chat', host: 'chat.example', lastFailure: 'status 404' }]),
      },
    },
    state: 'unwise',
    says: /receiver of alerts chat \(chat\.example\) could not be told: status 404/,
    remedy: /^curl -X POST http:\S+\/monitor\/alerts\/test -H/,
  },
  'alerts: a warning': { broken: alert('firing', 'warn'), state: 'unwise', says: /queue-old/ },
};

describe.each(Object.entries(CASES))('%s', (name, { broken, state, says, remedy, sound = {} }) => {
  const check = name.split(':')[0] as string;
  test('a broken deployment is named, with its remedy', async () => {
    const found = await look(check, broken);
    expect(found).toHaveLength(1);
    const [finding] = found as [Finding];
    expect(finding.state).toBe(state);
    expect(`${finding.what} ${finding.why}`).toMatch(says);
    if (remedy !== undefined) expect(finding.remedy).toContainEqual(expect.stringMatching(remedy));
  });

  test('and a sound one is not', async () => {
    expect((await look(check, sound)).filter((finding) => finding.state !== 'good')).toEqual([]);
  });
});

test('every check has a case', () => {
  const tested = new Set(Object.keys(CASES).map((name) => name.split(':')[0]));
  expect([...tested]).toEqual(CHECKS.deployment.map(({ name }) => name));
});

test('what is open on this machine is open to nobody else', async () => {
  const open: Routes = {
    '/monitor/view': () => ok(viewOf()),
    '/ws/readings': () => refusal(426, 'upgrade_required'),
    '/bench/suites': () => ok([]),
    '/monitor/alerts': () => receivers([]),
  };
  for (const name of ['operators', 'strangers', 'bench', 'alert-receivers']) {
    expect(await look(name, { routes: open, isLocal: true }), name).toEqual([]);
    expect(await look(name, { routes: open }), 'the control').toHaveLength(1);
  }
});

test('many findings of a kind are counted', async () => {
  const reasons = Array.from({ length: 30 }, (_, shard) => ({
    status: 'failing' as const,
    sink: 'readings',
    shard,
    reason: 'paused',
    sinceMs: 0,
    message: 'It says why.',
    code: null,
    sqlState: null,
  }));
  const found = await look('sinks', viewing(viewOf({}, reasons)));
  expect(found).toHaveLength(11);
  expect(found.at(-1)).toEqual({ state: 'wrong', what: 'And 20 more like these' });
});

test('no shard is asked for anything', async () => {
  asked.length = 0;
  for (const { name } of CHECKS.deployment) await look(name);
  expect(asked.length, 'the control').toBeGreaterThan(10);
  expect(asked.filter((path) => path.startsWith('/stats') || /^\/admin\/(?!-\/)/.test(path))).toEqual([]);
});

test('the token goes to where it is meant to, and is not said to strangers', async () => {
  const said: [string, boolean][] = [];
  const noting =
    (path: string): ((isOperator: boolean) => Answered) =>
    (isOperator) => {
      said.push([path, isOperator]);
      return (SOUND[path] as (isOperator: boolean) => Answered)(isOperator);
    };
  await look('strangers', {
    routes: { '/monitor/view': noting('/monitor/view'), '/ws/readings': noting('/ws/readings') },
  });
  expect(said).toEqual([
    ['/monitor/view', true],
    ['/ws/readings', false],
  ]);
});

test('something that answers is told from nothing', async () => {
  routes = SOUND;
  expect(await answers(url)).toBe(true);
  expect(await answers(new URL('http://127.0.0.1:1'))).toBe(false);
});
