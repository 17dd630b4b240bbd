/** What a receiver is told: one change of state of the alerts of one rule about one sink. Plain data; it is sent and kept as JSON. */

import type { AlertView } from '../view.ts';
import type { Severity } from './rule.ts';

export type NotificationKind = 'firing' | 'resolved' | 'acknowledged' | 'test';

export interface Notification {
  /** Given once; every try to deliver it has the same. */
  id: string;
  kind: NotificationKind;
  /** The same from the first firing to the end of what is told together. */
  incident: string;
  atMs: number;
  rule: string;
  severity: Severity;
  sink: string | null;
  /** The name of the database, where it is about one. */
  database: string | null;
  /** One line: what is wrong, where, with figures. */
  title: string;
  /** The alerts, at most `MAX_TOLD_ALERTS`. */
  alerts: AlertView[];
  /** How many more there are. */
  moreAlerts: number;
  /** Who acknowledged it. */
  by: string | null;
  /** Addresses for people; null where nobody said where they are. */
  runbook: string;
  dashboard: string | null;
}

/** Alerts that one notification spells out. */
export const MAX_TOLD_ALERTS = 20;
