/** The monitor as the routes see it. */

import type { SilenceRequest } from '../src/monitor/alerts/alerts.ts';
import type { Silence } from '../src/monitor/alerts/silences.ts';
import type { HistoryQuestion } from '../src/monitor/history-question.ts';
import type { AlertView, HistoryView } from '../src/monitor/view.ts';
import { bound } from './bound.ts';
import type { Env } from './env.ts';
import type { MonitorCalls, ObjectsOf } from './objects.ts';
import { unwrap } from './outcome.ts';

/** The name of the one object. */
export const MONITOR_NAME = 'monitor';

/** @throws SluiceError `invalid_configuration` where the Worker has no monitor: it says what to add */
export function monitorOf(env: Env): ReturnType<ObjectsOf<MonitorCalls>['getByName']> {
  return bound(env, 'MONITOR').getByName(MONITOR_NAME);
}

/** @throws SluiceError `invalid_options` where too much is asked for at once */
export function historyOf(env: Env, question: HistoryQuestion): Promise<HistoryView> {
  return unwrap(monitorOf(env).history(question));
}

/** @throws SluiceError `invalid_options` */
export function silenceAlerts(env: Env, request: SilenceRequest): Promise<Silence | null> {
  return unwrap(monitorOf(env).silenceAlerts(request));
}

/** @throws SluiceError `not_found`, `invalid_options` */
export function acknowledgeAlert(env: Env, id: string, by: string): Promise<AlertView> {
  return unwrap(monitorOf(env).acknowledgeAlert(id, by));
}
