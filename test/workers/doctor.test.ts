/** What a Worker answers to the questions of `sluice doctor` (local/doctor/deployment.ts), by which it tells an open Worker from a locked one. */

import { describe, expect, it } from 'vitest';
import type { AuthorizeOption } from '../../workers/authorization.ts';
import { workerWith } from './access-support.ts';

const CLOSED = { OPERATORS: 'closed', READ_TOKENS: undefined, OPERATE_TOKENS: undefined };
const LOCKED = { ...CLOSED, OPERATE_TOKENS: 'let-me-in' };

async function answerOf(
  path: string,
  variables: Record<string, unknown>,
  authorize: AuthorizeOption | undefined = () => undefined,
): Promise<[status: number, code: unknown]> {
  const response = await workerWith(authorize, variables)(new Request(`http://sluice${path}`));
  const { code } = (await response.json()) as { code?: unknown };
  return [response.status, code];
}

describe('a stranger', () => {
  it('hears who may send by asking for a socket without an upgrade', async () => {
    expect(await answerOf('/ws/messages', LOCKED, 'open')).toEqual([426, 'upgrade_required']);
    expect(await answerOf('/ws/messages', LOCKED)).toEqual([401, 'unauthorized']);
    const response = await workerWith(undefined, LOCKED)(new Request('http://sluice/ws/messages'));
    expect(await response.json()).toMatchObject({ code: 'invalid_configuration' });
  });

  it('hears whether there are operators', async () => {
    expect(await answerOf('/monitor/view', { ...CLOSED, OPERATORS: 'open' })).toEqual([200, undefined]);
    expect(await answerOf('/monitor/view', LOCKED)).toEqual([401, 'unauthorized']);
    expect(await answerOf('/monitor/view', CLOSED)).toEqual([403, 'operators_closed']);
  });

  it('hears it also where there is no monitor', async () => {
    const without = { MONITOR: undefined };
    const open = { ...CLOSED, ...without, OPERATORS: 'open' };
    expect(await answerOf('/monitor/view', open)).toEqual([500, 'invalid_configuration']);
    expect(await answerOf('/admin/-/dead-letters', open)).toEqual([404, 'unknown_sink']);
    expect(await answerOf('/admin/-/dead-letters', { ...LOCKED, ...without })).toEqual([401, 'unauthorized']);
  });

  it('finds no bench where the Worker has none', async () => {
    expect(await answerOf('/bench/suites', LOCKED)).toEqual([404, 'not_found']);
  });
});

describe('an operator', () => {
  it('has a view with sinks, alerts, reasons and the version of the package, and a list of receivers', async () => {
    const open = { ...CLOSED, OPERATORS: 'open' };
    const ask = workerWith('open', open);
    const view = await (await ask(new Request('http://sluice/monitor/view'))).json();
    expect(view).toMatchObject({
      packageVersion: expect.stringMatching(/^\d+\.\d+\.\d+/),
      sinks: expect.any(Array),
      alerts: expect.any(Array),
      health: { reasons: expect.any(Array) },
    });
    const alerts = await (await ask(new Request('http://sluice/monitor/alerts'))).json();
    expect(alerts).toMatchObject({ receivers: expect.any(Array) });
  });
});
