/** A webhook: where alerts are sent, in which shape, and how it is known that they are from here. */

import { SluiceError } from '../../core/errors.ts';
import type { Severity } from './rule.ts';
import { MIN_SECRET_BYTES, secretBytes } from './signature.ts';
import { checkTarget } from './target.ts';

export const WEBHOOK_FORMATS = ['json', 'slack', 'discord', 'pagerduty'] as const;
export type WebhookFormat = (typeof WEBHOOK_FORMATS)[number];

export interface WebhookOptions {
  /** `https` only. Not needed for `pagerduty`. Of Slack and Discord, the address itself is the secret: give it as a variable. */
  url?: string;
  /** Default: by the host of the address, else `json`. */
  format?: WebhookFormat;
  /** Of `json`, which is signed with it: `whsec_` and base64, or a text of 24 bytes or more without white space. Several, in a list or with white space between, while one is replaced. */
  secret?: string | readonly string[];
  /** Of `pagerduty`: the integration key of a service (Events API v2). */
  routingKey?: string;
  /** What is less is not sent: `page` sends only what somebody should get up for. Default: `warn`, which is all. */
  minSeverity?: Severity;
  /** Only alerts about these sinks, and those that are about none. Default: all. */
  sinks?: readonly string[];
  /** How it is called on the dashboard and in the log. Default: its format and host. */
  name?: string;
  /** Lets the address be private, and plain `http`. Default: false. */
  allowPrivate?: boolean;
  /** How long one try may take, 100 to 30,000. Default: 10,000. */
  timeoutMs?: number;
}

/** The same, checked and complete. */
export interface Webhook {
  name: string;
  url: URL;
  format: WebhookFormat;
  secrets: readonly Uint8Array<ArrayBuffer>[];
  routingKey: string;
  minSeverity: Severity;
  sinks: readonly string[] | null;
  timeoutMs: number;
}

export const MAX_WEBHOOKS = 10;
const DEFAULT_TIMEOUT_MS = 10_000;
const PAGERDUTY_URL = 'https://events.pagerduty.com/v2/enqueue';
const MAX_NAME_LENGTH = 100;
const MAX_SINKS = 100;
const MAX_SECRETS = 4;

const KNOWN: readonly (keyof WebhookOptions)[] = [
  'url',
  'format',
  'secret',
  'routingKey',
  'minSeverity',
  'sinks',
  'name',
  'allowPrivate',
  'timeoutMs',
];

/**
 * @param where what they are, for errors: `The variable ALERT_WEBHOOKS`
 * @throws SluiceError `invalid_options` that names which webhook and what is allowed, and repeats no address and no secret
 */
export function readWebhooks(given: unknown, isLocal: boolean, where: string): Webhook[] {
  const list = Array.isArray(given) ? given : isTable(given) ? [given] : undefined;
  if (list === undefined)
    throw wrong(`${where} is no list of webhooks: write it as [{"url":"https://…","secret":"…"}]`);
  if (list.length > MAX_WEBHOOKS)
    throw wrong(`${where} has ${list.length} webhooks: at most ${MAX_WEBHOOKS} are allowed`);
  const webhooks: Webhook[] = [];
  list.forEach((one, at) => {
    const webhook = readWebhook(one, isLocal, `${where} at ${at + 1}`);
    webhooks.push({ ...webhook, name: freeName(webhook.name, webhooks) });
  });
  return webhooks;
}

function readWebhook(given: unknown, isLocal: boolean, where: string): Webhook {
  const options: Record<string, unknown> =
    typeof given === 'string' ? { url: given } : isTable(given) ? given : {};
  if (typeof given !== 'string' && !isTable(given))
    throw wrong(`${where} is no webhook: an address or a table is allowed`);
  for (const name of Object.keys(options)) {
    if (!(KNOWN as readonly string[]).includes(name))
      throw wrong(`${where} has ${JSON.stringify(name.slice(0, 40))}: known are ${KNOWN.join(', ')}`);
  }
  const allowPrivate = choice(options.allowPrivate ?? false, [true, false], 'allowPrivate', where);
  const address = options.url ?? (options.format === 'pagerduty' ? PAGERDUTY_URL : undefined);
  if (typeof address !== 'string') throw wrong(`${where} has no url: write it as {"url":"https://…"}`);
  const url = checkTarget(address, { allowPrivate, isLocal }, where);
  const format = choice(options.format ?? formatOf(url), WEBHOOK_FORMATS, 'format', where);
  return {
    url,
    format,
    name: nameOf(options.name ?? `${format} ${url.host}`, where),
    secrets: secretsOf(options.secret, format, where),
    routingKey: routingKeyOf(options.routingKey, format, where),
    minSeverity: choice(options.minSeverity ?? 'warn', ['warn', 'page'], 'minSeverity', where),
    sinks: sinksOf(options.sinks, where),
    timeoutMs: timeoutOf(options.timeoutMs ?? DEFAULT_TIMEOUT_MS, where),
  };
}

function formatOf({ hostname, pathname }: URL): WebhookFormat {
  if (hostname === 'hooks.slack.com' || hostname === 'hooks.slack-gov.com') return 'slack';
  if (/^(?:\w+\.)?discord(?:app)?\.com$/.test(hostname) && pathname.startsWith('/api/webhooks/'))
    return 'discord';
  return /^events(?:\.eu)?\.pagerduty\.com$/.test(hostname) ? 'pagerduty' : 'json';
}

function secretsOf(given: unknown, format: WebhookFormat, where: string): Uint8Array<ArrayBuffer>[] {
  if (format !== 'json') {
    if (given === undefined) return [];
    throw wrong(`${where} has a secret: only the format json is signed. Of ${format}, leave it out`);
  }
  const texts = typeof given === 'string' ? given.split(/\s+/).filter(Boolean) : given;
  const bytes = Array.isArray(texts)
    ? texts.map((text) => (typeof text === 'string' ? secretBytes(text) : undefined))
    : [];
  const good = bytes.filter((secret) => secret !== undefined);
  if (good.length > 0 && good.length === bytes.length && good.length <= MAX_SECRETS) return good;
  throw wrong(
    `${where} needs a secret, by which its receiver knows that a message is from here: 1 to ${MAX_SECRETS} are allowed, each "whsec_" and base64 or another text, of ${MIN_SECRET_BYTES} bytes or more, with white space between them`,
  );
}

function routingKeyOf(given: unknown, format: WebhookFormat, where: string): string {
  if (format !== 'pagerduty') {
    if (given === undefined) return '';
    throw wrong(`${where} has a routingKey: only the format pagerduty has one`);
  }
  if (typeof given === 'string' && /^\w{32}$/.test(given)) return given;
  throw wrong(
    `${where} needs a routingKey: the integration key of a service of PagerDuty (Events API v2), 32 characters`,
  );
}

function sinksOf(given: unknown, where: string): string[] | null {
  if (given === undefined) return null;
  const isGood =
    Array.isArray(given) &&
    given.length > 0 &&
    given.length <= MAX_SINKS &&
    given.every((sink) => typeof sink === 'string');
  if (isGood) return given;
  throw wrong(`${where} has sinks that are no list of names: 1 to ${MAX_SINKS} are allowed`);
}

function nameOf(given: unknown, where: string): string {
  if (typeof given === 'string' && /^[^\p{Cc}]{1,100}$/u.test(given)) return given;
  throw wrong(`${where} has a name that is no text of 1 to ${MAX_NAME_LENGTH} characters`);
}

function freeName(name: string, others: readonly Webhook[]): string {
  const isTaken = (one: string): boolean => others.some((other) => other.name === one);
  if (!isTaken(name)) return name;
  let number = 2;
  while (isTaken(`${name} ${number}`)) number += 1;
  return `${name} ${number}`;
}

function timeoutOf(given: unknown, where: string): number {
  if (typeof given === 'number' && given >= 100 && given <= 30_000) return given;
  throw wrong(`${where} has timeoutMs ${JSON.stringify(given)}: a number from 100 to 30000 is allowed`);
}

function choice<Value>(given: unknown, allowed: readonly Value[], name: string, where: string): Value {
  const found = allowed.find((one) => one === given);
  if (found !== undefined) return found;
  throw wrong(`${where} has a wrong ${name}: ${allowed.join(', ')} are allowed`);
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(sentence: string): SluiceError {
  return new SluiceError('invalid_options', sentence);
}
