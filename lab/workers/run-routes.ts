/** Runs of the bench over HTTP, as the object that carries them out answers. The Worker has checked who asks. */

import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { decodeUtf8 } from '../../src/core/decode-utf8.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { MAX_BENCH_BODY_BYTES } from '../../src/core/limits.ts';
import { allowedText, assertKnownNames, type OptionTable } from '../../src/core/option-table.ts';
import { EVENT_STREAM_HEADERS } from '../../workers/event-stream.ts';
import { problemResponse } from '../../workers/problem.ts';
import { compareResults } from '../compare.ts';
import { comparisonHtml } from '../report/comparison.ts';
import { REPORT_FORMATS, type ReportFormatName, reportFiles, runName } from '../report/formats.ts';
import { htmlBody } from '../report/html.ts';
import { RESULT_SCHEMA } from '../result-schema.ts';
import { RUN_PARAMETERS, type RunControl, type RunnableSuite } from '../run/run-control.ts';
import type { RunStore } from '../run/run-store.ts';
import { runEvents, runText } from './run-streams.ts';

export interface RunRoutesOptions {
  control: RunControl;
  store: RunStore;
  suites: Readonly<Record<string, RunnableSuite>>;
}

export function runRoutes({ control, store, suites }: RunRoutesOptions) {
  const routes = new Hono();
  routes.onError((error) => problemResponse(error));
  routes.notFound((context) =>
    problemResponse(
      new SluiceError('not_found', `There is nothing at ${context.req.path}: GET /bench/runs lists the runs`),
    ),
  );

  // `curl /bench`: starts a run, shows how it goes, and ends it when nobody reads any more.
  routes.get('/bench', async (context) => {
    const { format = 'text', ...given } = context.req.query();
    if (format !== 'text' && format !== 'json') {
      throw new SluiceError(
        'invalid_options',
        `Cannot use ${JSON.stringify(format)} for format: one of text, json is allowed`,
      );
    }
    const { id } = control.start(given);
    return format === 'text' ? runText(control, id) : await wholeResult(control, store, id);
  });

  routes.get('/bench/suites', (context) =>
    context.json({
      suites: Object.values(suites).map(describeSuite),
      run: describeOptions(RUN_PARAMETERS, {}),
    }),
  );

  routes.use(
    bodyLimit({
      maxSize: MAX_BENCH_BODY_BYTES,
      onError() {
        throw new SluiceError('invalid_options', `The body is larger than ${MAX_BENCH_BODY_BYTES} bytes`);
      },
    }),
  );

  routes.get('/bench/schema.json', (context) => context.json(RESULT_SCHEMA));

  routes.post('/bench/runs', async (context) => {
    // What a form of another site can send without being asked is refused (`assertNoForm` of the stores says why).
    const type = context.req.header('content-type')?.split(';')[0]?.trim().toLowerCase();
    if (type !== 'application/json') {
      throw new SluiceError('invalid_options', 'Send "Content-Type: application/json"');
    }
    const stored = control.start(parseObject(decodeUtf8(await context.req.arrayBuffer(), 'The body')));
    // Relative to this address: the router may be mounted below a path.
    return context.json(stored, 202, { location: `runs/${stored.id}` });
  });

  routes.get('/bench/runs', (context) => {
    assertKnownNames(context.req.query(), []);
    return context.json({ runs: store.list() });
  });

  routes.get('/bench/runs/:id', (context) => {
    const stored = store.get(context.req.param('id'));
    const { result, suite } = control.result(stored.id);
    const files = (suite.files?.(result) ?? []).map(({ name }) => name);
    return context.json({ ...stored, result, files });
  });

  routes.delete('/bench/runs/:id', (context) => {
    store.delete(context.req.param('id'));
    return context.body(null, 204);
  });

  routes.post('/bench/runs/:id/cancel', async (context) =>
    context.json(await control.cancel(context.req.param('id'))),
  );

  routes.get('/bench/runs/:id/events', (context) => {
    const last = context.req.header('last-event-id') ?? context.req.query('after') ?? '0';
    if (!/^\d{1,9}$/.test(last)) {
      throw new SluiceError(
        'invalid_options',
        'Last-Event-ID and after must be a whole number from 0 to 999999999',
      );
    }
    // Before the answer begins, so that it is a status.
    const { id } = store.get(context.req.param('id'));
    const body = runEvents(control, id, Number(last));
    return new Response(body, { headers: EVENT_STREAM_HEADERS });
  });

  routes.get('/bench/runs/:id/:report{report\\.[a-z]+}', (context) => {
    const format = context.req.param('report').slice('report.'.length);
    if (!Object.hasOwn(REPORT_FORMATS, format) || format === 'gha') {
      throw new SluiceError(
        'not_found',
        `There is no report.${format}: there are json, csv, md, html and text`,
      );
    }
    const { result, suite } = control.result(context.req.param('id'));
    const name = format as ReportFormatName;
    const [file] = REPORT_FORMATS[name].files(result, suite);
    return new Response(file?.text ?? '', {
      headers: {
        'content-type': REPORT_FORMATS[name].contentType,
        'content-disposition': `inline; filename="${runName(result)}${file?.suffix ?? ''}"`,
        'cache-control': 'no-store',
        // A report is shown, and nothing in it runs.
        'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
      },
    });
  });

  // The report as the lab page shows it, in the page's own styles.
  routes.get('/bench/runs/:id/fragment', (context) => {
    const { result, suite } = control.result(context.req.param('id'));
    return fragment(htmlBody(result, suite));
  });

  // Files in formats of the suite's own, such as the ramp's CSV.
  routes.get('/bench/runs/:id/files/:name', (context) => {
    const { result, suite } = control.result(context.req.param('id'));
    const wanted = `${runName(result)}-${context.req.param('name')}`;
    const file = reportFiles(result, suite, []).find(({ name }) => name === wanted);
    if (file === undefined) {
      const names = (suite.files?.(result) ?? []).map(({ name }) => name);
      const remedy = names.length === 0 ? 'this suite has none' : `there are ${names.join(', ')}`;
      throw new SluiceError('not_found', `There is no such file: ${remedy}`);
    }
    return new Response(file.text, {
      headers: {
        'content-type': 'text/plain; charset=utf-8',
        'content-disposition': `attachment; filename="${file.name}"`,
      },
    });
  });

  const compared = (query: Record<string, string>) => {
    assertKnownNames(query, ['base', 'head']);
    if (query.base === undefined || query.head === undefined) {
      throw new SluiceError('invalid_options', 'Two runs are compared: ?base=<id>&head=<id>');
    }
    const [base, head] = [control.result(query.base).result, control.result(query.head).result];
    return { base, head, comparison: compareResults(base, head) };
  };
  routes.get('/bench/compare', (context) => context.json(compared(context.req.query()).comparison));
  routes.get('/bench/compare/fragment', (context) => {
    const { base, head, comparison } = compared(context.req.query());
    return fragment(comparisonHtml(base, head, comparison));
  });

  return routes;
}

/** A piece of the lab page. Shown by itself, nothing in it runs. */
function fragment(html: string): Response {
  return new Response(html, {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'",
    },
  });
}

async function wholeResult(control: RunControl, store: RunStore, id: string): Promise<Response> {
  await new Promise<void>((resolve) => {
    control.follow(id, 0, { event() {}, progress() {}, close: resolve });
  });
  const { status, error } = store.get(id);
  if (status === 'failed') throw new SluiceError('internal', error ?? 'The run failed');
  return new Response(`${JSON.stringify(control.result(id).result, null, 2)}\n`, {
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
  });
}

/** What a form needs to know of a suite. */
function describeSuite({ suite, defaults }: RunnableSuite) {
  return {
    name: suite.name,
    title: suite.title,
    unit: suite.unit,
    options: describeOptions(suite.parameters, defaults),
  };
}

function describeOptions(table: OptionTable, defaults: Readonly<Record<string, unknown>>) {
  return Object.entries(table).map(([name, spec]) => ({
    name,
    ...spec,
    default: defaults[name] ?? spec.default,
    allowed: allowedText(spec),
  }));
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // Told below: what it is not matters more than where the parser stopped.
  }
  throw new SluiceError(
    'invalid_options',
    'The body must be a JSON object, such as {"suite":"ingest","reps":3}',
  );
}
