/** What a deployment may say of its alerts, what is refused, and that no refusal repeats a secret. */

import { describe, expect, test } from 'vitest';
import { SluiceError } from '../../../../src/core/errors.ts';
import {
  type AlertOptions,
  type AlertVariables,
  alertSettings,
} from '../../../../src/monitor/alerts/options.ts';
import { ALERT_RULES } from '../../../../src/monitor/alerts/rules.ts';
import { SECRET } from './support.ts';

const URL_OF_SLACK = 'https://hooks.slack.com/services/T000/B000/the-secret-path';
const ROUTING_KEY = '0123456789abcdef0123456789abcdef';

function refusal(given: unknown, variables: AlertVariables = {}, isLocal = false): string {
  try {
    alertSettings(given as AlertOptions, variables, { isLocal });
  } catch (error) {
    expect(error).toBeInstanceOf(SluiceError);
    const { code, message } = error as SluiceError;
    for (const secret of [SECRET, 'the-secret-path', 'swordfish', ROUTING_KEY])
      expect(message).not.toContain(secret);
    return `${code}: ${message}`;
  }
  return 'it was taken';
}

const webhook = (options: object | string): { webhooks: unknown[] } => ({ webhooks: [options] });

describe('the options of alerts', () => {
  test('default to all rules as in the table, and to nobody who is told', () => {
    const { rules, webhooks, dashboard } = alertSettings();
    expect(webhooks).toEqual([]);
    expect(dashboard).toBeNull();
    expect(rules.map(({ rule, limit, severity, forMs }) => [rule.name, limit, severity, forMs])).toEqual(
      ALERT_RULES.map((rule) => [rule.name, rule.limit?.value ?? 0, rule.severity, rule.forSeconds * 1_000]),
    );
  });

  test('know the format by the host, and give each webhook a name', () => {
    const { webhooks } = alertSettings({
      webhooks: [
        URL_OF_SLACK,
        'https://discord.com/api/webhooks/1/x',
        { format: 'pagerduty', routingKey: ROUTING_KEY, minSeverity: 'page' },
        { url: 'https://alerts.example.com/in', secret: SECRET },
        { url: 'https://alerts.example.com/also', secret: `${SECRET} ${SECRET}-new`, name: 'mine' },
        { url: 'https://alerts.example.com/third', secret: SECRET },
      ],
    });
    expect(webhooks.map(({ name, format, url }) => [name, format, url.host])).toEqual([
      ['slack hooks.slack.com', 'slack', 'hooks.slack.com'],
      ['discord discord.com', 'discord', 'discord.com'],
      ['pagerduty events.pagerduty.com', 'pagerduty', 'events.pagerduty.com'],
      ['json alerts.example.com', 'json', 'alerts.example.com'],
      ['mine', 'json', 'alerts.example.com'],
      ['json alerts.example.com 2', 'json', 'alerts.example.com'],
    ]);
    expect(
      webhooks.map(({ secrets, minSeverity, timeoutMs }) => [secrets.length, minSeverity, timeoutMs]),
    ).toEqual([
      [0, 'warn', 10_000],
      [0, 'warn', 10_000],
      [0, 'page', 10_000],
      [1, 'warn', 10_000],
      [2, 'warn', 10_000],
      [1, 'warn', 10_000],
    ]);
  });

  test('change rules, member by member, and turn them off', () => {
    const { rules } = alertSettings(
      { rules: { SluiceQueueOld: { above: 30, for: '2m', severity: 'page' }, SluiceAckSlow: false } },
      { ALERT_RULES: '{"SluiceQueueOld":{"above":20,"keepFiring":5},"SluiceDeadLetters":false}' },
    );
    expect(rules).toHaveLength(ALERT_RULES.length - 2);
    expect(rules.find(({ rule }) => rule.name === 'SluiceQueueOld')).toMatchObject({
      limit: 20,
      forMs: 120_000,
      keepFiringMs: 5_000,
      severity: 'page',
    });
    // The variable may turn on what the code turns off.
    const on = alertSettings(
      { rules: { SluiceAckSlow: false } },
      { ALERT_RULES: { SluiceAckSlow: { above: 1 } } },
    );
    expect(on.rules.find(({ rule }) => rule.name === 'SluiceAckSlow')).toMatchObject({ limit: 1 });
  });

  test('of the variable are one address, a list, or one webhook, over those of the code', () => {
    const code: AlertOptions = { webhooks: [{ url: 'https://alerts.example.com/in', secret: SECRET }] };
    const hosts = (ALERT_WEBHOOKS: unknown): string[] =>
      alertSettings(code, { ALERT_WEBHOOKS }).webhooks.map(({ url }) => url.host);
    expect(hosts(undefined)).toEqual(['alerts.example.com']);
    expect(hosts('')).toEqual(['alerts.example.com']);
    expect(hosts(` ${URL_OF_SLACK} `)).toEqual(['hooks.slack.com']);
    expect(hosts(JSON.stringify({ url: 'https://a.example.com', secret: SECRET }))).toEqual([
      'a.example.com',
    ]);
    expect(hosts(JSON.stringify([URL_OF_SLACK]))).toEqual(['hooks.slack.com']);
    expect(hosts([URL_OF_SLACK])).toEqual(['hooks.slack.com']);
    expect(hosts('[]')).toEqual([]);
  });

  test('have the dashboard below the address of the deployment', () => {
    expect(alertSettings({ url: 'https://ingest.example.com/' }).dashboard).toBe(
      'https://ingest.example.com/dashboard',
    );
  });
});

describe('is refused, and says what is wrong:', () => {
  test.each<[string, unknown, RegExp]>([
    ['an unknown option', { webhook: [] }, /alerts has "webhook": known are webhooks, rules, url/],
    ['no table', 'x', /no table of options/],
    ['a url that is none', { url: 'ingest' }, /alerts.url is no address/],
    ['webhooks that are no list', { webhooks: 7 }, /no list of webhooks/],
    ['too many', { webhooks: Array.from({ length: 11 }, () => URL_OF_SLACK) }, /has 11 webhooks: at most 10/],
    ['a webhook that is none', webhook(7 as never), /at 1 is no webhook/],
    ['an unknown member', webhook({ uri: URL_OF_SLACK }), /at 1 has "uri": known are url, format/],
    ['no address', webhook({ secret: SECRET }), /at 1 has no url/],
    [
      'an unknown format',
      webhook({ url: URL_OF_SLACK, format: 'teams' }),
      /wrong format: json, slack, discord, pagerduty/,
    ],
    [
      'json without a secret',
      webhook('https://alerts.example.com/the-secret-path'),
      /needs a secret.*24 bytes/,
    ],
    ['a short secret', webhook({ url: 'https://a.example.com', secret: 'swordfish' }), /needs a secret/],
    [
      'a secret that is no base64',
      webhook({ url: 'https://a.example.com', secret: `whsec_!${SECRET}` }),
      /needs a secret/,
    ],
    [
      'five secrets',
      webhook({ url: 'https://a.example.com', secret: Array(5).fill(SECRET) }),
      /1 to 4 are allowed/,
    ],
    ['a secret of slack', webhook({ url: URL_OF_SLACK, secret: SECRET }), /only the format json is signed/],
    ['pagerduty without a key', webhook({ format: 'pagerduty' }), /needs a routingKey/],
    ['a wrong key', webhook({ format: 'pagerduty', routingKey: 'swordfish' }), /needs a routingKey/],
    [
      'a key of json',
      webhook({ url: 'https://a.example.com', secret: SECRET, routingKey: ROUTING_KEY }),
      /only the format pagerduty/,
    ],
    [
      'a wrong severity',
      webhook({ url: URL_OF_SLACK, minSeverity: 'critical' }),
      /wrong minSeverity: warn, page/,
    ],
    ['sinks that are none', webhook({ url: URL_OF_SLACK, sinks: [] }), /sinks that are no list/],
    ['a name that is none', webhook({ url: URL_OF_SLACK, name: '' }), /name that is no text/],
    [
      'a time that is too long',
      webhook({ url: URL_OF_SLACK, timeoutMs: 60_000 }),
      /timeoutMs 60000: a number from 100/,
    ],
    ['allowPrivate as text', webhook({ url: URL_OF_SLACK, allowPrivate: 'yes' }), /wrong allowPrivate/],
    ['rules that are none', { rules: [] }, /no table of rules/],
    ['an unknown rule', { rules: { QueueOld: false } }, /has "QueueOld": known are SluiceNotCommitting, /],
    [
      'a rule that is true',
      { rules: { SluiceQueueOld: true } },
      /SluiceQueueOld is true: a table of options, or false/,
    ],
    [
      'a limit of a rule without one',
      { rules: { SluiceSinkPaused: { above: 1 } } },
      /has "above": known are for, keepFiring, severity/,
    ],
    [
      'above of a rule that has below',
      { rules: { SluiceQueueFullSoon: { above: 60 } } },
      /has "above": known are below/,
    ],
    [
      'percent',
      { rules: { SluiceErrorRateHigh: { above: 5 } } },
      /above 5: a number from 0.0001 to 1 \(a share, 0.5 is half\)/,
    ],
    [
      'a time that is none',
      { rules: { SluiceQueueOld: { for: 'soon' } } },
      /for "soon": seconds from 0 to 86400, or a text/,
    ],
    [
      'a time that is too long for a rule',
      { rules: { SluiceQueueOld: { keepFiring: '2d' } } },
      /keepFiring "2d"/,
    ],
    ['a severity of a rule', { rules: { SluiceQueueOld: { severity: 'info' } } }, /page or warn/],
  ])('%s', (_, given, why) => {
    expect(refusal(given)).toMatch(/^invalid_options: The option alerts/);
    expect(refusal(given)).toMatch(why);
  });

  test.each<[AlertVariables, RegExp]>([
    [
      { ALERT_WEBHOOKS: '[{"url": swordfish' },
      /^invalid_configuration: The variable ALERT_WEBHOOKS is no JSON$/,
    ],
    [
      { ALERT_WEBHOOKS: 'swordfish' },
      /^invalid_configuration: The variable ALERT_WEBHOOKS at 1 has an address that cannot be used/,
    ],
    [{ ALERT_RULES: '{' }, /^invalid_configuration: The variable ALERT_RULES is no JSON$/],
    [
      { ALERT_RULES: '{"SluiceQueueOld":{"above":-1}}' },
      /^invalid_configuration: The variable ALERT_RULES at SluiceQueueOld has above -1/,
    ],
  ])('a variable %j', (variables, why) => {
    expect(refusal({}, variables)).toMatch(why);
  });
});

describe('the address of a webhook', () => {
  const of = (url: string, isLocal = false, allowPrivate = false): string =>
    refusal(webhook({ url, secret: SECRET, allowPrivate }), {}, isLocal);

  test.each([
    'https://127.0.0.1/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f.0.0.1/',
    'https://0/',
    'https://localhost/',
    'https://LOCALHOST./',
    'https://a.localhost/',
    'https://10.0.0.7/',
    'https://172.16.0.1/',
    'https://172.31.255.255/',
    'https://192.168.1.1/',
    'https://169.254.169.254/latest/meta-data/',
    'https://100.64.0.1/',
    'https://192.0.2.1/',
    'https://198.18.0.1/',
    'https://198.51.100.1/',
    'https://203.0.113.9/',
    'https://224.0.0.1/',
    'https://255.255.255.255/',
    'https://[::1]/',
    'https://[::]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:8.8.8.8]/',
    'https://[fe80::1]/',
    'https://[fd00::1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[2002:7f00:1::]/',
    'https://[2001:0:1::]/',
    'https://[2001:db8::1]/',
    'https://[ff02::1]/',
    'https://metadata/',
    'https://metadata.google.internal/',
    'https://printer.local/',
    'https://nas.lan/',
    'https://x.home.arpa/',
  ])('%s is private, and only what says allowPrivate may go there', (url) => {
    expect(of(url)).toMatch(/its host is private or of this machine.*allowPrivate/);
    expect(of(url, false, true)).toBe('it was taken');
  });

  test.each([
    'https://alerts.example.com/in',
    'https://8.8.8.8/',
    'https://172.32.0.1/',
    'https://100.128.0.1/',
    'https://[2606:4700::1111]/',
    'https://example.com:8443/x?y=z',
    'https://internal.example.com/',
  ])('%s is taken', (url) => {
    expect(of(url)).toBe('it was taken');
  });

  test('by http is taken for this machine where the Worker runs on it, and for nothing else', () => {
    expect(of('http://127.0.0.1:9000/', true)).toBe('it was taken');
    expect(of('http://localhost:9000/', true)).toBe('it was taken');
    expect(of('http://[::1]:9000/', true)).toBe('it was taken');
    expect(of('http://127.0.0.1:9000/')).toMatch(/private/);
    expect(of('http://192.168.1.1/', true)).toMatch(/private/);
    expect(of('http://alerts.example.com/', true)).toMatch(/https is allowed/);
    expect(of('http://alerts.example.com/')).toMatch(/https is allowed/);
    expect(of('ftp://alerts.example.com/')).toMatch(/begins with ftp:/);
    expect(of('https://ann:swordfish@alerts.example.com/')).toMatch(/a user and a password/);
    expect(of(`https://alerts.example.com/${'x'.repeat(2_100)}`)).toMatch(/no address/);
  });
});
