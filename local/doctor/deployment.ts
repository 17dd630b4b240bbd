/** Checks of a deployment: what it opens to strangers, and what its monitor says of its shards. */

import { errorText } from '../../src/core/errors.ts';
import { VERSION } from '../../src/core/version.ts';
import type { ReceiverView } from '../../src/monitor/alerts/courier.ts';
import type { HealthReason } from '../../src/monitor/view.ts';
import { assertReachesDatabase } from '../ask-health.ts';
import { TOKEN_VARIABLE } from '../operator-token.ts';
import { routeOf } from '../worker-address.ts';
import { type Check, type Finding, good, unknown, unwise, wrong } from './check.ts';
import type { DeploymentFacts } from './deployment-facts.ts';

/** Findings of one kind that are told; the others are counted. */
const MAX_TOLD = 10;

const LOCK = '[Lock a deployed Worker](security.md#lock-a-deployed-worker)';

export const DEPLOYMENT_CHECKS: readonly Check<DeploymentFacts>[] = [
  {
    name: 'reaches-database',
    about: 'The Worker answers, and reaches its database.',
    remedy: 'What the line says; `DATABASE_URL`, or the binding `HYPERDRIVE`.',
    async look({ url }) {
      try {
        await assertReachesDatabase(url);
        return [good(`The Worker at ${shownUrl(url)} answers, and reaches its database`)];
      } catch (error) {
        return [{ state: 'wrong', what: errorText(error) }];
      }
    },
  },
  {
    name: 'https',
    about: 'The Worker is asked over TLS, unless it is on the same machine.',
    remedy: 'Use the address with `https:`.',
    look: ({ url, isLocal }) =>
      url.protocol === 'https:' || isLocal
        ? []
        : [
            wrong(
              `${shownUrl(url)} is not encrypted`,
              'Everybody between here and there can read the tokens and the messages. Use its address with https:.',
            ),
          ],
  },
  {
    name: 'operators',
    about: 'There are tokens for operators, and strangers are no operators.',
    remedy: `The secrets \`READ_TOKENS\` and \`OPERATE_TOKENS\`, and no \`OPERATORS=open\` (${LOCK}).`,
    look: lookAtOperators,
  },
  {
    name: 'strangers',
    about: 'Not everybody may send messages, and somebody may.',
    remedy: `\`AUTHORIZE\`, or \`authorize\` of \`createSluice\` (${LOCK}).`,
    look: lookAtStrangers,
  },
  {
    name: 'bench',
    about: 'The bench, which writes to the database and costs money, is off.',
    remedy: 'Take the variable `BENCH` out.',
    async look({ ask, isLocal }) {
      if (isLocal) return [];
      const { status, code } = await ask('/bench/suites', 'stranger');
      if (status === 200)
        return [
          wrong(
            'Everybody may start runs of the bench (BENCH=open)',
            'They write to the database, and cost money. Take the variable out, and deploy.',
          ),
        ];
      if (code !== 'unauthorized') return [];
      return [
        unwise(
          'The bench is on (BENCH=on)',
          'Who has its token may write to the database, at your cost. Take the variable out when it is not used.',
        ),
      ];
    },
  },
  {
    name: 'monitor',
    about: 'The Worker has a monitor that answers.',
    remedy: 'Bind the Durable Object `Monitor` as `MONITOR`; see the check `monitor-binding`.',
    look({ viewed, view, hasToken }) {
      if (view !== undefined || viewed.code === 'operators_closed') return [];
      if (viewed.status === 404)
        return [
          unwise(
            'The Worker has no monitor: its version of Sluice is older than this one',
            'Nobody sees how its shards are. Deploy it again with this version.',
          ),
        ];
      if (viewed.code === 'unauthorized' || viewed.code === 'forbidden')
        return [
          unknown(
            hasToken
              ? 'The monitor does not take the token'
              : 'The monitor was not asked, since it asks for a token',
            `Set ${TOKEN_VARIABLE} to a token of READ_TOKENS or OPERATE_TOKENS.`,
          ),
        ];
      return [
        unwise(
          `The monitor does not answer: ${viewed.detail ?? `status ${viewed.status}`}`,
          'Without it nobody sees how the shards are: no dashboard, metrics, history and alerts.',
        ),
      ];
    },
  },
  {
    name: 'worker-version',
    about: 'The Worker runs the version of Sluice that is installed here.',
    remedy: '`npx wrangler deploy`',
    look({ view }) {
      const deployed = view?.packageVersion;
      if (deployed === undefined || !isOlder(deployed, VERSION)) return [];
      return [
        unwise(
          `The Worker runs sluice ${deployed}, and ${VERSION} is installed here`,
          'What was corrected since then is not there.',
          'npx wrangler deploy',
        ),
      ];
    },
  },
  {
    name: 'sinks',
    about: 'No shard has paused, stopped, lost its sink, is full, or tries again and again.',
    remedy: 'What the line says; then `npx sluice shard resume`.',
    look: (facts) =>
      ofReasons(facts, ['paused', 'stopped', 'held', 'queue-full', 'retrying', 'queue-old'], resume),
  },
  {
    name: 'alarms',
    about:
      'No shard has messages and is silent: what was stored is written by its alarm, and a shard whose alarm is missing sleeps with its messages.',
    remedy: '`npx sluice shard drain` wakes it, and it sets its alarm again.',
    look: (facts) => ofReasons(facts, ['deaf'], drain),
  },
  {
    name: 'dead-letters',
    about: 'There are no dead letters, and their list is not near its limit, at which a shard pauses.',
    remedy: '`npx sluice dead-letters summary`, then `retry` or `drop`.',
    look(facts) {
      const near = ofReasons(facts, ['dead-letters-near-full'], letters);
      if (near.length > 0) return near;
      return (facts.view?.sinks ?? [])
        .filter(({ deadLetters }) => deadLetters > 0)
        .map(({ sink, deadLetters }) =>
          unwise(
            `The sink ${sink} has ${deadLetters} dead ${deadLetters === 1 ? 'letter' : 'letters'}`,
            'Messages that Postgres or the mapping refused wait for somebody.',
            ...letters(facts, { sink }),
          ),
        );
    },
  },
  {
    name: 'alerts',
    about: 'No alert fires.',
    remedy: 'The page that the alert names.',
    look: ({ view }) =>
      capped(
        (view?.alerts ?? [])
          .filter(({ state }) => state === 'firing')
          .map(({ rule, severity, message, runbook }) =>
            (severity === 'page' ? wrong : unwise)(`The alert ${rule} fires`, `${message} (${runbook})`),
          ),
      ),
  },
  {
    name: 'alert-receivers',
    about: 'Somebody is told of alerts, and the last try to tell them has not failed.',
    remedy: 'The secret `ALERT_WEBHOOKS`, or `alerts.webhooks` of `createSluice`.',
    look: lookAtReceivers,
  },
];

async function lookAtReceivers({ ask, isLocal, view, url }: DeploymentFacts): Promise<Finding[]> {
  if (isLocal || view === undefined) return [];
  const { status, body } = await ask('/monitor/alerts', 'operator');
  const { receivers } = (body ?? {}) as { receivers?: readonly Partial<ReceiverView>[] };
  if (status !== 200 || receivers === undefined) return [];
  if (receivers.length === 0)
    return [
      unwise(
        'Nobody is told of alerts',
        'What goes wrong at night is seen when somebody looks.',
        'npx wrangler secret put ALERT_WEBHOOKS',
      ),
    ];
  return receivers
    .filter(({ lastFailure }) => lastFailure != null)
    .map(({ name, host, lastFailure }) =>
      unwise(
        `The receiver of alerts ${name} (${host}) could not be told: ${lastFailure}`,
        'Alerts do not get to where they should. After a correction, try it:',
        `curl -X POST ${routeOf(url, '/monitor/alerts/test').href} -H "Authorization: Bearer $${TOKEN_VARIABLE}"`,
      ),
    );
}

async function lookAtOperators({ ask, isLocal }: DeploymentFacts): Promise<Finding[]> {
  const { status, code } = await ask('/monitor/view', 'stranger');
  if (code === 'operators_closed' && !isLocal)
    return [
      unwise(
        'There are no operators: READ_TOKENS and OPERATE_TOKENS are not set',
        'Nobody can see how the shards are, nor resume one.',
        'npx wrangler secret put READ_TOKENS',
        'npx wrangler secret put OPERATE_TOKENS',
      ),
    ];
  if (isLocal) return [];
  // Where there is no monitor, it is another route that tells.
  const isOpen =
    status === 200 ||
    (status !== 401 && (await ask('/admin/-/dead-letters', 'stranger')).code === 'unknown_sink');
  if (!isOpen) return [];
  return [
    wrong(
      'Everybody may look at this Worker and operate it (OPERATORS=open)',
      'Strangers see messages that were refused, and can drop them. Set tokens, take the variable out, and deploy.',
      'npx wrangler secret put OPERATE_TOKENS',
    ),
  ];
}

async function lookAtStrangers({ ask, isLocal, view, sinkNames }: DeploymentFacts): Promise<Finding[]> {
  const sink = view?.sinks[0]?.sink ?? sinkNames[0];
  if (sink === undefined)
    return isLocal ? [] : [unknown('It was not asked who may send, since the name of no sink is known')];
  // Without an upgrade no socket is opened, and no shard is woken.
  const { code, detail } = await ask(`/ws/${encodeURIComponent(sink)}`, 'stranger');
  if (code === 'invalid_configuration')
    return [wrong('Nobody can connect', detail ?? 'Nothing says who may send: set AUTHORIZE.')];
  if (code !== 'upgrade_required' || isLocal) return [];
  return [
    wrong(
      'Everybody may send messages to this Worker (AUTHORIZE=open)',
      'Strangers can fill your database at your cost. Say who may send, and deploy.',
      'npx sluice token',
    ),
  ];
}

type Commands = (facts: DeploymentFacts, place: { sink: string | null; shard?: number | null }) => string[];

function ofReasons(facts: DeploymentFacts, names: readonly string[], commands: Commands): Finding[] {
  const reasons = (facts.view?.health.reasons ?? []).filter(({ reason }) => names.includes(reason));
  return capped(
    reasons.map((reason) =>
      (isWrong(reason) ? wrong : unwise)(
        `${placeOf(reason)}: ${reason.reason} since ${new Date(reason.sinceMs).toISOString()}`,
        reason.message,
        ...commands(facts, reason),
      ),
    ),
  );
}

/** A shard that is silent with messages, or about to pause, does not get well by itself. */
function isWrong({ status, reason }: HealthReason): boolean {
  return status === 'failing' || reason === 'deaf' || reason === 'dead-letters-near-full';
}

function placeOf({ sink, shard }: HealthReason): string {
  return sink === null ? 'The deployment' : shard === null ? `The sink ${sink}` : `Shard ${shard} of ${sink}`;
}

const resume: Commands = (facts, place) => [`npx sluice shard resume${flags(facts, place)}`];
const drain: Commands = (facts, place) => [`npx sluice shard drain${flags(facts, place)}`];
const letters: Commands = (facts, { sink }) => [`npx sluice dead-letters summary${flags(facts, { sink })}`];

function flags(
  { url }: DeploymentFacts,
  { sink, shard }: { sink: string | null; shard?: number | null },
): string {
  return ` --url ${shownUrl(url)}${sink === null ? '' : ` --sink ${sink}`}${shard == null ? '' : ` --shard ${shard}`}`;
}

function capped(findings: Finding[]): Finding[] {
  if (findings.length <= MAX_TOLD) return findings;
  const rest = findings.slice(MAX_TOLD);
  const state = rest.some((finding) => finding.state === 'wrong') ? 'wrong' : 'unwise';
  return [...findings.slice(0, MAX_TOLD), { state, what: `And ${rest.length} more like these` }];
}

function shownUrl(url: URL): string {
  return url.href.replace(/\/$/, '');
}

function isOlder(version: string, other: string): boolean {
  const [one, two] = [version, other].map((text) => text.split('-')[0]?.split('.').map(Number) ?? []);
  for (let at = 0; at < 3; at += 1) {
    const difference = (one?.[at] ?? 0) - (two?.[at] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
