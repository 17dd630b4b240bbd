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
      const response = await askWith({ BENCH: 'on' }, bench(accept));
      expect([response.status, response.headers.get('content-type')]).toEqual([
        200,
        'text/html; charset=utf-8',
      ]);
      expect(response.headers.get('vary')).toBe('accept');
      expect(await response.text()).toContain('<h1>Bench lab</h1>');
    },
  );

  it.each(['*/*', 'application/json', 'text/*', 'text/htmlx', ''])('is a run for %j', async (accept) => {
    const response = await askWith({ BENCH: 'on' }, bench(accept));
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('for suite')]);
  });

  it('is no page where the bench is off', async () => {
    const response = await askWith({ BENCH: 'off' }, bench(BROWSER));
    expect([response.status, await response.json()]).toEqual([
      403,
      expect.objectContaining({ code: 'bench_disabled' }),
    ]);
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
    const response = await askWith({ BENCH: 'on' }, bench('*/*', { 'sec-fetch-site': site }));
    expect(response.status).toBe(status);
  });
});

describe('what the page shows of runs', () => {
  it.each(['/bench/runs/nobody/fragment', '/bench/compare/fragment?base=nobody&head=nobody'])(
    '%s is answered with 404 where there is none',
    async (path) => {
      const response = await askWith({ BENCH: 'on' }, path);
      expect([response.status, await response.json()]).toEqual([
        404,
        expect.objectContaining({ code: 'not_found' }),
      ]);
    },
  );
});
