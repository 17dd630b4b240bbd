import { describe, expect, test } from 'vitest';
import { csvReport } from '../../../lab/report/csv.ts';
import { reportFiles, runName } from '../../../lab/report/formats.ts';
import { githubActionReports } from '../../../lab/report/github-action.ts';
import { htmlReport, readHtmlReport } from '../../../lab/report/html.ts';
import { jsonReport, readResult } from '../../../lab/report/json.ts';
import { markdownReport } from '../../../lab/report/markdown.ts';
import { textReport } from '../../../lab/report/text.ts';
import { ingestSuite } from '../../../lab/suites/ingest/ingest-suite.ts';
import { fullResult, resultOf, schemaErrors, variantOf } from '../../support/bench-result.ts';

/** Reads CSV by RFC 4180, without looking at how it was written. */
function parseCsv(text: string): string[][] {
  const lines: string[][] = [];
  let line: string[] = [];
  let cell = '';
  let isQuoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (isQuoted) {
      if (character !== '"') cell += character;
      else if (text[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else isQuoted = false;
    } else if (character === '"') isQuoted = true;
    else if (character === ',' || character === '\r') {
      line.push(cell);
      cell = '';
      if (character === '\r') {
        lines.push(line);
        line = [];
        at += 1;
      }
    } else cell += character;
  }
  return lines;
}

describe('JSON', () => {
  test('is read back as it was', () => {
    expect(readResult(jsonReport(fullResult()), 'the file')).toEqual(fullResult());
  });

  test('fits the published schema, with everything and with little', () => {
    expect(schemaErrors(fullResult())).toEqual([]);
    expect(schemaErrors(resultOf([]))).toEqual([]);
  });

  test.each([
    ['a name that no result has', { colour: 'blue' }],
    ['a state that there is not', { state: 'fine' }],
    ['no variants', { variants: undefined }],
    ['a warning of another code', { warnings: [{ code: 'odd', where: '', text: '' }] }],
  ])('does not fit the schema with %s', (_, more) => {
    expect(schemaErrors({ ...fullResult(), ...more })).not.toEqual([]);
  });

  test.each([
    ['', 'is not JSON'],
    ['{"a":', 'is not JSON'],
    ['[]', 'is no result'],
    ['{"schemaVersion":2,"suite":"ingest","variants":[]}', 'is no result'],
    ['{"schemaVersion":1,"suite":"ingest","variants":[{}]}', 'is no result'],
  ])('that is none, %j, is refused by its name', (text, why) => {
    expect(() => readResult(text, 'some.json')).toThrow(new RegExp(`^some.json ${why}`));
  });

  test.each([
    ['config', null],
    ['startedAt', 5],
    ['tool', undefined],
    ['machine', []],
    ['notes', 'none'],
    ['variants', [{ ...variantOf('copy', [1]), summary: null }]],
    ['variants', [{ ...variantOf('copy', [1]), summary: { perSecond: null } }]],
    ['variants', [{ ...variantOf('copy', [1]), reps: [null] }]],
  ])('with %s of %j is refused and breaks no report', (name, value) => {
    const text = JSON.stringify({ ...fullResult(), [name]: value });
    expect(() => readResult(text, 'some.json')).toThrow(/^some.json is no result/);
  });

  test('of an older version, without numbers of repetitions, gets them by their place', () => {
    const old = JSON.parse(jsonReport(resultOf([variantOf('copy', [1, 2])])));
    for (const rep of old.variants[0].reps) delete rep.rep;
    expect(readResult(JSON.stringify(old), 'old').variants[0]?.reps.map(({ rep }) => rep)).toEqual([1, 2]);
  });
});

describe('CSV', () => {
  test('has a line for each repetition in the order of the run, and every figure under its name', () => {
    const result = fullResult();
    const [header = [], ...lines] = parseCsv(csvReport(result));
    const records = lines.map((line) => Object.fromEntries(header.map((name, at) => [name, line[at]])));
    expect(lines.every(({ length }) => length === header.length)).toBe(true);
    expect(records).toHaveLength(result.variants.reduce((sum, { reps }) => sum + reps.length, 0));
    const copy = records.find(({ variant }) => variant === 'copy "fast", <b>');
    expect(copy).toMatchObject({
      suite: 'ingest',
      role: 'measured',
      'label.ack': 'stored',
      rep: '1',
      per_second: '90',
      ackP99Ms: '3',
      none: '',
      'ack.p99Us': '2000',
      lost: '0',
      'server.walBytesPerRow': '150.5',
      'server.indexBytesPerRow': '',
    });
    expect(records.find(({ variant }) => variant === 'copy 200/s')?.broken).toBe('p99 was above the target');
    const orders = records.map(({ order }) => Number(order));
    expect(orders).toEqual(orders.toSorted((left, right) => left - right));
  });

  test('begins no cell of words as a spreadsheet begins a formula, and leaves figures as they are', () => {
    const names = ['=1+1', '+1', '-1', '@sum', '\tx', '\rx'];
    const [header = [], ...lines] = parseCsv(
      csvReport(resultOf(names.map((name) => variantOf(name, [1], { metrics: [{ '=change': -2.5 }] })))),
    );
    expect(header).toContain("'=change");
    expect(lines.map((line) => line[header.indexOf('variant')])).toEqual(names.map((name) => `'${name}`));
    expect(lines[0]?.[header.indexOf("'=change")]).toBe('-2.5');
  });

  test('keeps a name of two lines in its cell', () => {
    const [, line = []] = parseCsv(csvReport(resultOf([variantOf('one\r\n"two", three', [1])])));
    expect(line[3]).toBe('one\r\n"two", three');
  });
});

describe('HTML', () => {
  test('holds the result, which is read back as it was', () => {
    expect(readHtmlReport(htmlReport(fullResult(), ingestSuite), 'the page')).toEqual(fullResult());
    expect(() => readHtmlReport('<p>hello</p>', 'the page')).toThrow(/holds no result/);
  });

  test('loads nothing from elsewhere and runs no script', () => {
    const page = htmlReport(fullResult(), ingestSuite);
    expect(page).not.toMatch(/src=|href=|url\(|@import/);
    expect(page.match(/<script[^>]*>/g)).toEqual(['<script type="application/json" id="bench-result">']);
  });

  test('writes names as text, wherever they stand', () => {
    const name = '</script><img onerror=x>"\'&';
    const page = htmlReport(resultOf([variantOf(name, [1, 2])]), ingestSuite);
    expect(page).not.toContain('<img');
    expect(page.match(/<\/script>/g)).toHaveLength(1);
    expect(readHtmlReport(page, 'the page').variants[0]?.name).toBe(name);
  });

  test('writes as text what a result has where a number or a word of ours should be', () => {
    const foreign = resultOf([variantOf('copy', [1, 2], { role: '"><img>' as never })], {
      seed: '<img>' as never,
    });
    expect(htmlReport(foreign, ingestSuite)).not.toContain('<img');
  });

  test('has a chart with a description for each kind of figure', () => {
    const page = htmlReport(fullResult(), ingestSuite);
    const labels = [...page.matchAll(/<svg[^>]*aria-label="([^"]*)"/g)].map(([, label]) => label);
    expect(labels).toEqual([
      expect.stringContaining('messages per second of each variant. The highest is floor'),
      expect.stringContaining('Latency of ack by percentile'),
      expect.stringContaining('at each step. copy: 100, 190'),
      expect.stringContaining('over time'),
    ]);
    expect(page).not.toMatch(/NaN|Infinity|undefined/);
  });

  test('of a run without figures has no impossible numbers', () => {
    expect(htmlReport(resultOf([]), ingestSuite)).not.toMatch(/NaN|Infinity|undefined/);
  });
});

describe('text and Markdown', () => {
  test.each([
    ['text', textReport],
    ['Markdown', markdownReport],
  ])('as %s say what follows, what was compared, what was missed, and what to beware of', (_, report) => {
    const text = report(fullResult(), ingestSuite);
    expect(text).toContain('Breaking point: 200 messages/s');
    expect(text, 'with its table').toMatch(/step *[ |] *rate/);
    expect(text).toMatch(/faster {7}copy "fast", <b> against naive, perSecond: \+910.0 %, p = 0.040/);
    expect(text).toContain('MISSED batches');
    expect(text).toContain('not_steady: it slowed down');
  });

  test('keep what has several lines on one', () => {
    const odd = resultOf([variantOf('a\nb', [1])], {
      warnings: [{ code: 'outlier', where: 'a\nb', text: 'one\n\n# two' }],
      conclusions: [{ title: 'A\nb', text: 'c\n\nd', table: { header: ['x\ny'], rows: [['1\n2']] } }],
    });
    for (const report of [textReport, markdownReport]) {
      const text = report(odd, ingestSuite);
      expect(text).toContain('outlier (a b): one # two\n');
      expect(text).toContain('A b: c d\n');
      expect(text).not.toMatch(/^b|^# two|^d$|^y|^2$/m);
    }
  });

  test('show the interval where there are enough repetitions, and what the server said', () => {
    const header = textReport(fullResult(), ingestSuite).split('\n')[2];
    expect(header).toContain('95 % interval');
    expect(header).toContain('WAL B/row');
    expect(header).not.toContain('index B/row');
    const control = textReport(resultOf([variantOf('copy', [1, 2])]), ingestSuite).split('\n')[2];
    expect(control).not.toMatch(/interval|WAL/);
  });
});

describe('github-action-benchmark', () => {
  test('gets rates and latencies apart, each with name, unit and value', () => {
    const { bigger, smaller } = githubActionReports(fullResult());
    expect(bigger.find(({ name }) => name === 'ingest / naive')).toMatchObject({
      unit: 'messages/s',
      value: 11,
      range: '± 1',
    });
    expect(bigger.map(({ name }) => name)).not.toContain('ingest / floor');
    expect(smaller).toEqual([
      expect.objectContaining({ name: 'ingest / copy "fast", <b> / ack p99', unit: 'ms', value: 2 }),
    ]);
  });

  test('gets nothing of a run that lost messages', () => {
    expect(githubActionReports({ ...fullResult(), state: 'invalid' })).toEqual({ bigger: [], smaller: [] });
  });
});

test('the files of a run are named for its suite and its beginning, with those of the suite beside them', () => {
  const suite = { ...ingestSuite, files: () => [{ name: 'ramp.csv', text: 'a,b' }] };
  const files = reportFiles(fullResult(), suite, ['json', 'md', 'gha']);
  expect(runName(fullResult())).toBe('ingest-20260102-030405');
  expect(files.map(({ name }) => name)).toEqual([
    'ingest-20260102-030405.json',
    'ingest-20260102-030405.md',
    'ingest-20260102-030405.bigger-is-better.json',
    'ingest-20260102-030405.smaller-is-better.json',
    'ingest-20260102-030405-ramp.csv',
  ]);
});
