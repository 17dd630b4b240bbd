/** `/monitor`: what the monitor knows, for the dashboard, for `sluice top` and for programs. None of it wakes a shard. */

import { Hono } from 'hono';
import { SluiceError } from '../../src/core/errors.ts';
import { assertKnownNames } from '../../src/core/option-table.ts';
import { readHistoryQuestion } from '../../src/monitor/history-question.ts';
import { requireRole } from '../access.ts';
import { audited } from '../audit.ts';
import type { Env } from '../env.ts';
import { historyOf, monitorOf } from '../monitor-calls.ts';
import { readBody } from './admin-requests.ts';

/** Entries of the audit log that one answer lists. */
const MAX_AUDIT_ENTRIES = 500;

/** Characters of the version and of the note of a deployment. */
const MAX_VERSION_LENGTH = 64;
const MAX_NOTE_LENGTH = 200;

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

function textOf(name: string, value: unknown, shortest: number, longest: number): string {
  if (typeof value === 'string' && value.length >= shortest && value.length <= longest) return value;
  throw new SluiceError(
    'invalid_options',
    `Cannot use ${name}: a text of ${shortest} to ${longest} characters is allowed`,
  );
}
