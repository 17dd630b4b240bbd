/** `/monitor`: what the monitor knows, for the dashboard, for `sluice top` and for programs. None of it wakes a shard. */

import { type Context, Hono } from 'hono';
import { SluiceError } from '../../src/core/errors.ts';
import { assertKnownNames } from '../../src/core/option-table.ts';
import { readHistoryQuestion } from '../../src/monitor/history-question.ts';
import { requireRole } from '../access.ts';
import { audited, OPERATOR_HEADER, whoAsks } from '../audit.ts';
import type { Env } from '../env.ts';
import { acknowledgeAlert, historyOf, monitorOf, silenceAlerts } from '../monitor-calls.ts';
import { readBody } from './admin-requests.ts';

/** Entries of the audit log that one answer lists. */
const MAX_AUDIT_ENTRIES = 500;

/** Characters of the version and of the note of a deployment. */
const MAX_VERSION_LENGTH = 64;
const MAX_NOTE_LENGTH = 200;

/** Characters of an alert's id, and of the name of a rule or sink. */
const MAX_ID_LENGTH = 64;
const MAX_NAME_LENGTH = 64;

export function monitorRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  routes.get('/monitor/view', requireRole('read'), async (context) => {
    assertKnownNames(context.req.query(), []);
    return context.json(await monitorOf(context.env).view());
  });

  routes.get('/monitor/events', requireRole('read'), (context) => {
    assertKnownNames(context.req.query(), []);
    return monitorOf(context.env).fetch('http://monitor/events');
  });

  routes.get('/monitor/history', requireRole('read'), async (context) =>
    context.json(await historyOf(context.env, readHistoryQuestion(context.req.query()))),
  );

  routes.get('/monitor/alerts', requireRole('read'), async (context) => {
    assertKnownNames(context.req.query(), []);
    return context.json(await monitorOf(context.env).alerts());
  });

  routes.post('/monitor/alerts/silence', requireRole('operate'), audited, async (context) => {
    const body = await readBody(context.req, ['rule', 'sink', 'shard', 'forSeconds', 'by']);
    const silence = await silenceAlerts(context.env, {
      rule: nameOf('rule', body.rule),
      sink: nameOf('sink', body.sink),
      shard: shardOf(body.shard),
      forMs: secondsOf(body.forSeconds) * 1_000,
      by: body.by === undefined ? whoDoes(context) : (body.by as string),
    });
    return context.json({ silence });
  });

  routes.post('/monitor/alerts/acknowledge', requireRole('operate'), audited, async (context) => {
    const { id, by } = await readBody(context.req, ['id', 'by']);
    const name = by === undefined ? whoDoes(context) : (by as string);
    return context.json({
      alert: await acknowledgeAlert(context.env, textOf('id', id, 1, MAX_ID_LENGTH), name),
    });
  });

  routes.post('/monitor/alerts/test', requireRole('operate'), audited, async (context) => {
    await readBody(context.req, []);
    return context.json({ receivers: await monitorOf(context.env).testAlerts() });
  });

  routes.get('/monitor/audit', requireRole('read'), async (context) => {
    assertKnownNames(context.req.query(), []);
    return context.json({ entries: await monitorOf(context.env).audit(MAX_AUDIT_ENTRIES) });
  });

  routes.post('/monitor/deployments', requireRole('operate'), audited, async (context) => {
    const { version, note = '' } = await readBody(context.req, ['version', 'note']);
    await monitorOf(context.env).noteDeployment(
      textOf('version', version, 1, MAX_VERSION_LENGTH),
      textOf('note', note, 0, MAX_NOTE_LENGTH),
    );
    return context.json({ version, note });
  });
  return routes;
}

function whoDoes({ env, req }: Context<{ Bindings: Env }>): string {
  return whoAsks(env, req.header('authorization'), req.header(OPERATOR_HEADER));
}

/** What is silenced; null for all. */
function nameOf(name: string, value: unknown): string | null {
  return value === undefined || value === null ? null : textOf(name, value, 1, MAX_NAME_LENGTH);
}

function shardOf(value: unknown): number | null {
  if (value === undefined || value === null) return null;
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw new SluiceError('invalid_options', 'Cannot use shard: the number of a shard is allowed');
}

function secondsOf(value: unknown): number {
  if (typeof value === 'number' && value >= 0) return value;
  throw new SluiceError(
    'invalid_options',
    'Cannot use forSeconds: a number of seconds is allowed; 0 ends a silence',
  );
}

function textOf(name: string, value: unknown, shortest: number, longest: number): string {
  if (typeof value === 'string' && value.length >= shortest && value.length <= longest) return value;
  throw new SluiceError(
    'invalid_options',
    `Cannot use ${name}: a text of ${shortest} to ${longest} characters is allowed`,
  );
}
