/** The shapes that Slack, Discord and PagerDuty take, against their documented limits. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bodyOf } from '../../../../src/monitor/alerts/bodies.ts';
import { MAX_TOLD_ALERTS, type Notification } from '../../../../src/monitor/alerts/notification.ts';
import type { WebhookFormat } from '../../../../src/monitor/alerts/webhook.ts';
import type { AlertView } from '../../../../src/monitor/view.ts';
import { START_MS } from './support.ts';

const ALERT: AlertView = {
  id: '019a',
  rule: 'SluiceSinkPaused',
  severity: 'page',
  sink: 'trades',
  shard: 2,
  state: 'firing',
  activeAtMs: START_MS - 5_000,
  firedAtMs: START_MS,
  resolvedAtMs: null,
  value: 1,
  message: 'trades, shard 2: it is paused, 7 messages wait: column "price" does not exist (42703)',
  remedy: '',
  runbook: 'docs/operations.md#alert-sluicesinkpaused',
  silencedUntilMs: null,
  acknowledgedBy: null,
};

const NOTIFICATION: Notification = {
  id: '019b',
  kind: 'firing',
  incident: '019c',
  atMs: START_MS,
  rule: 'SluiceSinkPaused',
  severity: 'page',
  sink: 'trades',
  database: null,
  title: ALERT.message,
  alerts: [ALERT],
  moreAlerts: 0,
  by: null,
  runbook: ALERT.runbook,
  dashboard: 'https://ingest.example.com/dashboard',
};

// biome-ignore lint/suspicious/noExplicitAny: what other services define
const body = (notification: Notification, format: WebhookFormat, routingKey = ''): any =>
  JSON.parse(bodyOf(notification, format, routingKey));

const length = (text: string): number => [...text].length;

/** Notifications with long and hostile texts, of many alerts. */
const hostile: fc.Arbitrary<Notification> = fc
  .record({
    kind: fc.constantFrom<Notification['kind']>('firing', 'resolved', 'acknowledged', 'test'),
    title: fc.oneof(
      fc.string({ minLength: 1, maxLength: 500, unit: 'binary' }),
      fc.constantFrom(
        '<!channel> &'.repeat(40),
        '@everyone `*_~'.repeat(35),
        '😀'.repeat(250),
        '&'.repeat(500),
      ),
    ),
    count: fc.integer({ min: 0, max: MAX_TOLD_ALERTS }),
    by: fc.option(fc.string({ maxLength: 100, unit: 'binary' })),
    sink: fc.option(fc.constantFrom('trades', 's'.repeat(64))),
  })
  .map(({ title, count, ...rest }) => ({
    ...NOTIFICATION,
    ...rest,
    title,
    alerts: Array.from({ length: count }, () => ({
      ...ALERT,
      message: title,
      resolvedAtMs: START_MS + 7_000,
    })),
    moreAlerts: 236,
  }));

test('json has a type, a time, and the data with the id of the message', () => {
  expect(body(NOTIFICATION, 'json')).toEqual({
    type: 'alert.firing',
    timestamp: '2027-01-15T08:00:00.000Z',
    data: {
      id: '019b',
      incident: '019c',
      rule: 'SluiceSinkPaused',
      severity: 'page',
      sink: 'trades',
      database: null,
      title: ALERT.message,
      alerts: [ALERT],
      moreAlerts: 0,
      by: null,
      runbook: ALERT.runbook,
      dashboard: 'https://ingest.example.com/dashboard',
    },
  });
});

describe('slack', () => {
  test('has a text for notifications, a header, what is wrong, and links', () => {
    const { text, blocks } = body(NOTIFICATION, 'slack');
    expect(text).toBe(
      'Firing: SluiceSinkPaused (page): trades, shard 2: it is paused, 7 messages wait: column "price" does not exist (42703)',
    );
    expect(blocks.map(({ type }: { type: string }) => type)).toEqual(['header', 'section', 'context']);
    expect(blocks[0].text).toEqual({
      type: 'plain_text',
      text: 'Firing: SluiceSinkPaused (page)',
      emoji: false,
    });
    expect(blocks[2].elements[0].text).toBe(
      'docs/operations.md#alert-sluicesinkpaused · <https://ingest.example.com/dashboard|Dashboard>',
    );
  });

  test('is within its limits, and mentions nobody, whatever the texts are', () => {
    fc.assert(
      fc.property(hostile, (notification) => {
        const { text, blocks } = body(notification, 'slack');
        expect(text.length).toBeLessThanOrEqual(4_000);
        expect(blocks.length).toBeLessThanOrEqual(50);
        expect(blocks[0].text.text.length).toBeLessThanOrEqual(150);
        expect(blocks[1].text.text.length).toBeLessThanOrEqual(3_000);
        expect(blocks[1].text.text.length).toBeGreaterThan(0);
        expect(blocks[2].elements[0].text.length).toBeLessThanOrEqual(2_000);
        // What all blocks of a message may hold together.
        expect(JSON.stringify(blocks).length).toBeLessThan(13_000);
        for (const part of [text, blocks[1].text.text]) expect(part).not.toMatch(/[<>]/);
      }),
      { numRuns: 200 },
    );
  });
});

describe('discord', () => {
  test('has an embed with a colour, a time and a link', () => {
    expect(body(NOTIFICATION, 'discord')).toEqual({
      allowed_mentions: { parse: [] },
      embeds: [
        {
          title: 'Firing: SluiceSinkPaused (page)',
          description:
            'trades, shard 2: it is paused, 7 messages wait: column "price" does not exist (42703)',
          url: 'https://ingest.example.com/dashboard',
          color: 0xd92d20,
          timestamp: '2027-01-15T08:00:00.000Z',
          footer: { text: 'docs/operations.md#alert-sluicesinkpaused' },
        },
      ],
    });
  });

  test('is within its limits, and mentions nobody, whatever the texts are', () => {
    fc.assert(
      fc.property(hostile, (notification) => {
        const { allowed_mentions, embeds } = body(notification, 'discord');
        expect(allowed_mentions).toEqual({ parse: [] });
        expect(embeds).toHaveLength(1);
        const [{ title, description, footer }] = embeds;
        expect(length(title)).toBeLessThanOrEqual(256);
        expect(length(description)).toBeLessThanOrEqual(4_096);
        expect(length(footer.text)).toBeLessThanOrEqual(2_048);
        expect(length(title) + length(description) + length(footer.text)).toBeLessThanOrEqual(6_000);
        expect(description.length).toBeGreaterThan(0);
      }),
      { numRuns: 200 },
    );
  });
});

describe('pagerduty', () => {
  const KEY = 'a'.repeat(32);

  test('opens, acknowledges and resolves one incident by one key', () => {
    expect(body(NOTIFICATION, 'pagerduty', KEY)).toEqual({
      routing_key: KEY,
      event_action: 'trigger',
      dedup_key: '019c',
      client: 'Sluice',
      client_url: 'https://ingest.example.com/dashboard',
      links: [{ href: 'https://ingest.example.com/dashboard', text: 'Dashboard' }],
      payload: {
        summary: ALERT.message,
        source: 'trades',
        severity: 'critical',
        timestamp: '2027-01-15T08:00:00.000Z',
        component: 'trades',
        class: 'SluiceSinkPaused',
        custom_details: { alerts: [ALERT.message], runbook: ALERT.runbook, by: null },
      },
    });
    for (const [kind, action] of [
      ['resolved', 'resolve'],
      ['acknowledged', 'acknowledge'],
    ] as const)
      expect(body({ ...NOTIFICATION, kind }, 'pagerduty', KEY)).toEqual({
        routing_key: KEY,
        event_action: action,
        dedup_key: '019c',
      });
    const warning = body({ ...NOTIFICATION, severity: 'warn', dashboard: null }, 'pagerduty', KEY);
    expect(warning.payload.severity).toBe('warning');
    expect(warning).not.toHaveProperty('client_url');
    expect(body({ ...NOTIFICATION, kind: 'test' }, 'pagerduty', KEY).payload.severity).toBe('info');
  });

  test('is within its limits, whatever the texts are', () => {
    fc.assert(
      fc.property(hostile, (notification) => {
        const text = bodyOf(notification, 'pagerduty', KEY);
        const { routing_key, dedup_key, payload } = JSON.parse(text);
        expect(Buffer.byteLength(text)).toBeLessThan(512 * 1_024);
        expect(routing_key).toHaveLength(32);
        expect(dedup_key.length).toBeLessThanOrEqual(255);
        if (payload === undefined) return;
        expect(payload.summary.length).toBeLessThanOrEqual(1_024);
        expect(['critical', 'error', 'warning', 'info']).toContain(payload.severity);
        expect(payload.source.length).toBeGreaterThan(0);
      }),
      { numRuns: 200 },
    );
  });
});

test('several shards are lines, with how long each lasted, and those that are too many are counted', () => {
  const alerts = [ALERT, { ...ALERT, shard: 3, message: 'trades, shard 3: it is paused' }].map((alert) => ({
    ...alert,
    resolvedAtMs: START_MS + 65_000,
  }));
  const { blocks } = body(
    { ...NOTIFICATION, kind: 'resolved', title: 'trades: it is over', alerts, moreAlerts: 5 },
    'slack',
  );
  expect(blocks[1].text.text.split('\n')).toEqual([
    'trades: it is over',
    expect.stringMatching(/^• trades, shard 2: .* \(lasted 65 s\)$/),
    '• trades, shard 3: it is paused (lasted 65 s)',
    '• and 5 more',
  ]);
});
