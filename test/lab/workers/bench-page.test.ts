/** Who gets the lab page, and who the text; the page itself is tested in a browser (test/lab/local/lab-page.test.ts). */

import { describe, expect, it } from 'vitest';
import '../../workers/environment.ts';
import { askWith } from '../../workers/support.ts';

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8';

function bench(accept: string, more: Record<string, string> = {}): Request {
  // Refused as a run, so that asking for one starts none.
  return new Request('http://sluice/bench?suite=nothing', { headers: { accept, ...more } });
}

describe('GET /bench', () => {
  it.each([BROWSER, 'TEXT/HTML', 'application/xml, text/html;q=0.5'])(
    'is the page for %s',
    async (accept) => {
      const response = await askWith({ BENCH: 'open' }, bench(accept));
      expect([response.status, response.headers.get('content-type')]).toEqual([
        200,
        'text/html; charset=utf-8',
      ]);
      expect(response.headers.get('vary')).toBe('accept, Origin');
      expect(await response.text()).toContain('<h1>Bench lab</h1>');
    },
  );

  it.each(['*/*', 'application/json', 'text/*', 'text/htmlx', ''])('is a run for %j', async (accept) => {
    const response = await askWith({ BENCH: 'open' }, bench(accept));
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('for suite')]);
  });

  it.each([
    [{ BENCH: 'off' }, 403, 'bench_disabled'],
    [{ BENCH: '' }, 403, 'bench_disabled'],
    // On without a token would be open to everybody, which has to be said.
    [{ BENCH: 'on' }, 403, 'bench_disabled'],
    [{ BENCH: 'on', BENCH_TOKEN: ' ' }, 403, 'bench_disabled'],
    [{ BENCH: 'Open' }, 500, 'invalid_configuration'],
    [{ BENCH: 'on', BENCH_TOKEN: 'sha256:abc' }, 500, 'invalid_configuration'],
  ])('is neither page nor run with %j', async (overrides, status, code) => {
    for (const accept of [BROWSER, '*/*']) {
      const response = await askWith({ BENCH_TOKEN: '', ...overrides }, bench(accept));
      expect([response.status, await response.json()]).toEqual([status, expect.objectContaining({ code })]);
    }
  });

  it('is the page without the token too, which the run asks for', async () => {
    const overrides = { BENCH: 'on', BENCH_TOKEN: 'secret' };
    expect((await askWith(overrides, bench(BROWSER))).status).toBe(200);
    expect((await askWith(overrides, bench('*/*'))).status).toBe(401);
    const withToken = bench('*/*', { authorization: 'Bearer secret' });
    expect((await askWith(overrides, withToken)).status).toBe(400);
  });

  it.each([
    ['cross-site', 401],
    ['same-site', 401],
    ['same-origin', 400],
    ['none', 400],
  ])('from a browser that says %s is answered with %s', async (site, status) => {
    const response = await askWith({ BENCH: 'open' }, bench('*/*', { 'sec-fetch-site': site }));
    expect(response.status).toBe(status);
  });
});

describe('what the page shows of runs', () => {
  it.each(['/bench/runs/nobody/fragment', '/bench/compare/fragment?base=nobody&head=nobody'])(
    '%s is answered with 404 where there is none',
    async (path) => {
      const response = await askWith({ BENCH: 'open' }, path);
      expect([response.status, await response.json()]).toEqual([
        404,
        expect.objectContaining({ code: 'not_found' }),
      ]);
    },
  );
});
