/** The table of routes in docs/security.md is that of the router, and what it says that a route needs is what it asks for. */

import { describe, expect, it } from 'vitest';
// @ts-expect-error The text of a file, by Vite.
import security from '../../docs/security.md?raw';
import worker from '../../workers/index.ts';
import { askWith } from './support.ts';

interface Row {
  route: string;
  needs: string;
}

const table =
  String(security).split('| route | needs | tells, or does |\n|---|---|---|\n')[1]?.split('\n\n')[0] ?? '';
const rows: Row[] = table.split('\n').flatMap((line) => {
  const [, routes = '', needs = ''] = line
    .split(' | ')
    .map((cell) => cell.trim())
    .flatMap((cell, index) => (index === 0 ? ['', cell] : [cell]));
  return [...routes.matchAll(/`([^`]+)`/g)].map(([, route]) => ({ route: route as string, needs }));
});

/** The routes of the Worker with the stores and the lab. What goes before one takes another argument: what comes next. */
const routes = new Set(
  worker.router.routes
    .filter(({ handler }) => handler.length < 2)
    .map(({ method, path }) => (method === 'ALL' ? path : `${method} ${path}`).replace(/\{.*?\}/, '')),
);

describe('the table of routes', () => {
  it('has every route, and no other', () => {
    expect(routes.size).toBeGreaterThan(30);
    expect(rows.map(({ route }) => route).toSorted()).toEqual([...routes].toSorted());
  });

  const CLOSED = {
    OPERATORS: '',
    READ_TOKENS: 'look',
    OPERATE_TOKENS: 'operate',
    BENCH: 'on',
    BENCH_TOKEN: 'bench',
    OPEN_NAMESPACE: '',
  };

  async function statusOf(route: string, token: string | undefined): Promise<number> {
    const [method, path] = route.includes(' ') ? (route.split(' ') as [string, string]) : ['GET', route];
    const address = path
      .replace(':sink', 'messages')
      .replace(':shard', '0')
      .replace(':id', '1')
      .replace('/*', '/none');
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    // What it does is of no interest here: the body is none that it takes.
    const body = path === '/rpc' ? '["ns.list"]' : '[]';
    const request = new Request(`http://sluice${address}`, {
      method,
      headers,
      ...(method === 'POST' ? { body } : {}),
    });
    const response = await askWith(CLOSED, request);
    await response.body?.cancel();
    return response.status;
  }

  it.each(rows)('$route needs $needs', async ({ route, needs }) => {
    const refused = [401, 403];
    const tokens = { nobody: undefined, look: 'look', operate: 'operate', bench: 'bench' };
    const allowed: Record<string, readonly (keyof typeof tokens)[]> = {
      nothing: ['nobody', 'look', 'operate', 'bench'],
      // The deployment of the tests is open to senders.
      'a sender': ['nobody', 'look', 'operate', 'bench'],
      '`read`': ['look', 'operate'],
      '`operate`': ['operate'],
      'a namespace': [],
      'a namespace, or `operate`': ['operate'],
      'the bench': ['bench'],
    };
    expect(Object.keys(allowed)).toContain(needs);
    for (const [who, token] of Object.entries(tokens)) {
      const status = await statusOf(route, token);
      const isAllowed = allowed[needs]?.includes(who as keyof typeof tokens);
      expect([who, status, refused.includes(status)]).toEqual([who, status, !isAllowed]);
    }
  });
});
