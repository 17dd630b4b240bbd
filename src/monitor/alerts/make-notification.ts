/** Makes what receivers are told, from what has happened. */

import { type Alert, alertView, subjectText } from './alert.ts';
import type { IncidentNews } from './incidents.ts';
import { MAX_TOLD_ALERTS, type Notification } from './notification.ts';
import type { AlertSettings } from './options.ts';
import { runbookOf, type Severity } from './rule.ts';
import { timeText } from './words.ts';

/** What a notification is made with. */
export interface Making {
  randomId: () => string;
  nowMs: number;
  settings: Pick<AlertSettings, 'rules' | 'dashboard'>;
}

export function notificationOf(news: IncidentNews, making: Making): Notification {
  const { kind, incident, rule, sink, database, alerts } = news;
  return {
    ...common(making),
    kind,
    incident,
    rule,
    severity: severityOf(rule, alerts, making),
    sink,
    database,
    title: kind === 'firing' ? firingTitle(news) : resolvedTitle(news),
    alerts: alerts.slice(0, MAX_TOLD_ALERTS).map((alert) => alertView(alert, null)),
    moreAlerts: Math.max(0, alerts.length - MAX_TOLD_ALERTS),
    by: null,
    runbook: runbookOf(rule),
  };
}

export function acknowledgedNotification(
  alert: Alert,
  incident: string,
  by: string,
  making: Making,
): Notification {
  const { rule, severity, sink, database, message } = alert;
  return {
    ...common(making),
    kind: 'acknowledged',
    incident,
    rule,
    severity,
    sink,
    database,
    title: message,
    alerts: [alertView(alert, null)],
    moreAlerts: 0,
    by,
    runbook: runbookOf(rule),
  };
}

export function testNotification(making: Making): Notification {
  const base = common(making);
  return {
    ...base,
    kind: 'test',
    incident: base.id,
    rule: 'SluiceTest',
    severity: 'warn',
    sink: null,
    database: null,
    title: 'This is a test message of Sluice: alerts arrive here',
    alerts: [],
    moreAlerts: 0,
    by: null,
    runbook: 'docs/alerts.md',
  };
}

function common({ randomId, nowMs, settings }: Making): Pick<Notification, 'id' | 'atMs' | 'dashboard'> {
  return { id: randomId(), atMs: nowMs, dashboard: settings.dashboard };
}

// Of an incident whose alerts the history has dropped, the rule still says how grave it is; one that is off by now warns.
function severityOf(rule: string, alerts: readonly Alert[], { settings }: Making): Severity {
  const said = alerts[0]?.severity ?? settings.rules.find((active) => active.rule.name === rule)?.severity;
  return said ?? 'warn';
}

function firingTitle({ alerts, sink }: IncidentNews): string {
  const [first] = alerts;
  if (first === undefined) return '';
  if (alerts.length === 1 || sink === null) return first.message;
  return `${sink}, ${alerts.length} shards: ${withoutSubject(first)}`;
}

function resolvedTitle({ alerts, rule, sink, database }: IncidentNews): string {
  const where =
    alerts.length === 1
      ? subjectText(alerts[0] as Alert)
      : database === null
        ? String(sink)
        : `database ${JSON.stringify(database)}`;
  const firedAtMs = Math.min(...alerts.map((alert) => alert.firedAtMs ?? alert.activeAtMs));
  const resolvedAtMs = Math.max(...alerts.map((alert) => alert.resolvedAtMs ?? alert.activeAtMs));
  if (alerts.length === 0) return `${where}: ${rule} is over`;
  return `${where}: ${rule} is over, it lasted ${timeText(resolvedAtMs - firedAtMs)}`;
}

function withoutSubject(alert: Alert): string {
  const subject = `${subjectText(alert)}: `;
  return alert.message.startsWith(subject) ? alert.message.slice(subject.length) : alert.message;
}
