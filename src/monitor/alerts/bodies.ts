/**
 * Notifications in the shapes that receivers take. Each has limits, beyond which it refuses the whole message: texts are cut to them. What
 * a message quotes (an error of Postgres) may hold anything, so nobody can be mentioned by it.
 */

import type { Notification, NotificationKind } from './notification.ts';
import type { WebhookFormat } from './webhook.ts';
import { timeText } from './words.ts';

const HEADS: Record<NotificationKind, string> = {
  firing: 'Firing',
  resolved: 'Resolved',
  acknowledged: 'Acknowledged',
  test: 'Test',
};

/** The body of a request, as JSON text. */
export function bodyOf(notification: Notification, format: WebhookFormat, routingKey: string): string {
  switch (format) {
    case 'json':
      return JSON.stringify(jsonBody(notification));
    case 'slack':
      return JSON.stringify(slackBody(notification));
    case 'discord':
      return JSON.stringify(discordBody(notification));
    case 'pagerduty':
      return JSON.stringify(pagerDutyBody(notification, routingKey));
  }
}

/** As https://www.standardwebhooks.com has it: a type, a time, and the data. */
function jsonBody({ id, kind, atMs, ...data }: Notification): object {
  return { type: `alert.${kind}`, timestamp: new Date(atMs).toISOString(), data: { id, ...data } };
}

/** Slack's limits of blocks (https://docs.slack.dev/reference/block-kit/blocks). */
const SLACK_HEADER = 150;
const SLACK_SECTION = 3_000;
const SLACK_CONTEXT = 2_000;
const SLACK_TEXT = 4_000;

function slackBody(notification: Notification): object {
  const head = headOf(notification);
  const lines = linesOf(notification).map(slackText);
  const links = linksOf(notification).map(([name, url]) => `<${url}|${name}>`);
  return {
    text: cut(slackText(`${head}: ${notification.title}`), SLACK_TEXT),
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: cut(head, SLACK_HEADER), emoji: false } },
      { type: 'section', text: { type: 'mrkdwn', text: cut(lines.join('\n'), SLACK_SECTION) } },
      {
        type: 'context',
        elements: [
          {
            type: 'mrkdwn',
            text: cut([slackText(notification.runbook), ...links].join(' · '), SLACK_CONTEXT),
          },
        ],
      },
    ],
  };
}

// Control characters of Slack's own: with them escaped, no text is a link or a mention (`<!channel>`).
function slackText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Discord's limits of embeds (https://docs.discord.com/developers/resources/message#embed-object-embed-limits). */
const DISCORD_TITLE = 256;
const DISCORD_DESCRIPTION = 4_096;
const DISCORD_FOOTER = 1_000;
const DISCORD_COLOURS: Record<NotificationKind, number> = {
  firing: 0xd92d20,
  resolved: 0x12805c,
  acknowledged: 0x6b7280,
  test: 0x2563eb,
};

function discordBody(notification: Notification): object {
  const { dashboard, kind, atMs, runbook } = notification;
  return {
    allowed_mentions: { parse: [] },
    embeds: [
      {
        title: cut(headOf(notification), DISCORD_TITLE),
        description: cut(linesOf(notification).map(discordText).join('\n'), DISCORD_DESCRIPTION),
        ...(dashboard === null ? {} : { url: dashboard }),
        color: DISCORD_COLOURS[kind],
        timestamp: new Date(atMs).toISOString(),
        footer: { text: cut(runbook, DISCORD_FOOTER) },
      },
    ],
  };
}

function discordText(text: string): string {
  return text.replaceAll(/[\\*_~`|>[\]]/g, '\\$&');
}

/** PagerDuty's limits (https://developer.pagerduty.com/docs/send-alert-event); the whole event may have 512 KB. */
const PAGERDUTY_SUMMARY = 1_024;
const PAGERDUTY_DEDUP_KEY = 255;

const PAGERDUTY_ACTIONS: Record<NotificationKind, string> = {
  firing: 'trigger',
  resolved: 'resolve',
  acknowledged: 'acknowledge',
  test: 'trigger',
};

function pagerDutyBody(notification: Notification, routingKey: string): object {
  const { kind, incident, title, rule, severity, sink, database, atMs, dashboard, by } = notification;
  const event = {
    routing_key: routingKey,
    event_action: PAGERDUTY_ACTIONS[kind],
    dedup_key: cut(incident, PAGERDUTY_DEDUP_KEY),
  };
  // All that the other two actions are looked at for.
  if (event.event_action !== 'trigger') return event;
  return {
    ...event,
    client: 'Sluice',
    ...(dashboard === null ? {} : { client_url: dashboard, links: [{ href: dashboard, text: 'Dashboard' }] }),
    payload: {
      summary: cut(title, PAGERDUTY_SUMMARY),
      source: sink ?? database ?? 'Sluice',
      severity: kind === 'test' ? 'info' : severity === 'page' ? 'critical' : 'warning',
      timestamp: new Date(atMs).toISOString(),
      component: sink ?? 'database',
      class: rule,
      custom_details: { alerts: linesOf(notification), runbook: notification.runbook, by },
    },
  };
}

function headOf({ kind, rule, severity, by }: Notification): string {
  if (kind === 'test') return 'Test message of Sluice';
  const who = by === null ? '' : ` by ${by}`;
  return `${HEADS[kind]}: ${rule}${kind === 'firing' ? ` (${severity})` : who}`;
}

function linesOf({ alerts, moreAlerts, title, kind }: Notification): string[] {
  if (alerts.length <= 1) return [title];
  const lines = alerts.map(({ message, firedAtMs, resolvedAtMs }) =>
    kind === 'resolved' && firedAtMs !== null && resolvedAtMs !== null
      ? `• ${message} (lasted ${timeText(resolvedAtMs - firedAtMs)})`
      : `• ${message}`,
  );
  return [title, ...lines, ...(moreAlerts === 0 ? [] : [`• and ${moreAlerts} more`])];
}

function linksOf({ dashboard, runbook }: Notification): [name: string, url: string][] {
  const links: [string, string][] = dashboard === null ? [] : [['Dashboard', dashboard]];
  return URL.canParse(runbook) ? [...links, ['What to do', runbook]] : links;
}

/** At most so many characters, and no half of one. */
function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1).toWellFormed()}…`;
}
