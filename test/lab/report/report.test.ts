import { describe, expect, test } from 'vitest';
import { jsonReport } from '../../../lab/report/json.ts';
import { markdownReport } from '../../../lab/report/markdown.ts';
import { textReport } from '../../../lab/report/text.ts';
import type { Audit, BenchResult, VariantResult } from '../../../lab/result.ts';
import { ingestSuite } from '../../../lab/suites/ingest/ingest-suite.ts';

const CLEAN: Audit = { sent: 1_000_000, refused: 0, found: 1_000_000, lost: 0, duplicated: 0, outOfOrder: 0 };

function variant(
  name: string,
  perSecond: number,
  more: Partial<VariantResult['summary']> & { role?: VariantResult['role'] } = {},
): VariantResult {
  const { role = 'measured', ...summary } = more;
  return {
    name,
    role,
    description: `what ${name} is`,
    reps: [],
    summary: {
      perSecond: { median: perSecond, min: perSecond, max: perSecond },
      elapsedMs: { median: 1_000, min: 1_000, max: 1_000 },
      metrics: {},
      audit: CLEAN,
      ...summary,
    },
  };
}

function result(more: Partial<BenchResult> = {}): BenchResult {
  return {
    schemaVersion: 1,
    suite: 'ingest',
    title: 'Messages into rows',
    unit: 'messages',
    state: 'complete',
    startedAt: '2026-01-02T03:04:05.000Z',
    durationMs: 1,
    tool: { name: 'sluice', version: '9.8.7', commit: 'abc1234' },
    machine: { cpu: '2 × Abacus', memory: '24 GiB' },
    database: { version: 'PostgreSQL 18.4', address: 'u@host:5432/db (tcp)', fsync: 'on' },
    config: { modes: ['naive', 'copy'], clients: 10, messages: 100_000, frame: 1, reps: 3 },
    variants: [
      variant('naive', 2_000),
      variant('copy', 100_000),
      variant('floor: copy', 400_000, { role: 'floor' }),
      variant('floor: intake', 125_000, { role: 'floor', audit: null }),
    ],
    notes: ['A note.'],
    ...more,
  };
}

/** The table of a text report: each row's cells by the titles of their columns. */
function tableOf(text: string): { header: string[]; rows: Record<string, Record<string, string>> } {
  const lines = markdownReportLines(text);
  const cells = (line: string): string[] => line.slice(2, -2).split(' | ');
  const header = cells(lines[0] as string);
  const rows = Object.fromEntries(
    lines.slice(2).map((line) => {
      const row = cells(line);
      return [row[0], Object.fromEntries(header.map((title, index) => [title, row[index] as string]))];
    }),
  );
  return { header, rows };
}

function markdownReportLines(text: string): string[] {
  return text.split('\n').filter((line) => line.startsWith('|'));
}

function table(of: BenchResult, suite: Parameters<typeof markdownReport>[1] = ingestSuite) {
  return tableOf(markdownReport(of, suite));
}

describe('the figures of the table', () => {
  test('are shown as multiples of naive, for what is measured and not for floors', () => {
    const { rows } = table(result());
    expect(rows.naive?.['vs naive']).toBe('1.0×');
    expect(rows.copy?.['vs naive']).toBe('50.0×');
    expect(rows['floor: copy']?.['vs naive']).toBe('');
  });

  test('have no multiples of naive where naive did not run', () => {
    const { header } = table(result({ variants: [variant('copy', 10), variant('bulk', 20)] }));
    expect(header).not.toContain('vs naive');
    expect(table(result()).header).toContain('vs naive');
  });

  test('have no multiples of what did nothing', () => {
    const { rows } = table(
      result({
        variants: [variant('naive', 0), variant('copy', 10), variant('floor: copy', 0, { role: 'floor' })],
      }),
    );
    expect(rows.copy).toMatchObject({ 'vs naive': '', 'of COPY': '' });
    expect(rows.naive?.['vs naive']).toBe('');
  });

  test('are shown as shares of the floors', () => {
    const { rows } = table(result());
    expect(rows.copy).toMatchObject({ 'of COPY': '0.25', 'of intake': '0.80' });
    expect(rows.naive?.['of COPY']).toBe('0.01');
    expect(rows['floor: intake']?.['of COPY']).toBe('');
  });

  test('have no share of a floor that did not run', () => {
    const { header } = table(
      result({ variants: [variant('copy', 10), variant('floor: copy', 20, { role: 'floor' })] }),
    );
    expect(header).toContain('of COPY');
    expect(header).not.toContain('of intake');
  });

  test('show the spread as a share of the median, and seconds with two digits', () => {
    const { rows } = table(
      result({
        variants: [
          variant('copy', 0, {
            perSecond: { median: 100, min: 80, max: 110 },
            elapsedMs: { median: 12_345, min: 1, max: 99_999 },
          }),
        ],
      }),
    );
    expect(rows.copy).toMatchObject({ spread: '±15%', seconds: '12.35', 'messages/s': '100' });
  });

  test.each([
    [999, '999'],
    [1_000, '1,000'],
    [999_999.5, '1,000,000'],
    [12_345_678, '12,345,678'],
    [100, '100'],
    [0.4, '0'],
  ])('group the digits of %d as %s', (perSecond, expected) => {
    expect(table(result({ variants: [variant('copy', perSecond)] })).rows.copy?.['messages/s']).toBe(
      expected,
    );
  });

  test('group the whole part of a figure with a fraction, not the fraction', () => {
    const { rows } = table(
      result({ variants: [variant('copy', 1, { metrics: { flushP50Ms: 12_345.678, flushes: 1_234.4 } })] }),
      { ...ingestSuite, columns: [{ title: 'p50', metric: 'flushP50Ms', digits: 4 }] },
    );
    expect(rows.copy?.p50).toBe('12,345.678');
  });

  test('leave out a column for which no variant has a figure, and keep one for which some have', () => {
    const { header, rows } = table(
      result({
        variants: [
          variant('naive', 1, { metrics: { flushes: 7, flushP50Ms: null, loopDelayP99Ms: null } }),
          variant('copy', 1, { metrics: { flushes: null, flushP50Ms: null } }),
        ],
      }),
    );
    expect(header).toContain('flushes');
    expect(header).not.toContain('p50 ms');
    expect(header).not.toContain('p99 ms');
    expect(header).not.toContain('loop ms');
    expect([rows.naive?.flushes, rows.copy?.flushes]).toEqual(['7', '']);
  });

  test('keep a column whose only figure is 0', () => {
    expect(
      table(result({ variants: [variant('copy', 1, { metrics: { loopDelayP99Ms: 0 } })] })).rows.copy?.[
        'loop ms'
      ],
    ).toBe('0');
  });

  test('show what the audits found, and nothing for a floor without rows', () => {
    const { rows } = table(
      result({
        variants: [
          variant('copy', 1, { audit: { ...CLEAN, lost: 1_234, duplicated: 5, outOfOrder: 6 } }),
          variant('floor: intake', 1, { role: 'floor', audit: null }),
        ],
      }),
    );
    expect(rows.copy).toMatchObject({ lost: '1,234', doubled: '5', reordered: '6' });
    expect(rows['floor: intake']).toMatchObject({ lost: '', doubled: '', reordered: '' });
  });
});

describe('the head of the report', () => {
  test('says what was run', () => {
    expect(textReport(result(), ingestSuite).split('\n')[0]).toBe(
      'Messages into rows (ingest): 10 clients × 100,000 messages, 1 per frame, 3 repetitions',
    );
  });

  test('says repetition for one', () => {
    expect(
      textReport(result({ config: { clients: 1, messages: 1, frame: 1, reps: 1 } }), ingestSuite),
    ).toMatch(/, 1 repetition\n/);
  });

  test.each(['aborted', 'invalid'] as const)('marks a run that is %s', (state) => {
    expect(textReport(result({ state }), ingestSuite)).toMatch(new RegExp(`^.*\\[${state}\\]`));
    expect(textReport(result(), ingestSuite)).not.toContain('[');
  });

  test('says nothing of messages where they are counted by time', () => {
    const { 0: head } = textReport(
      result({ config: { clients: 10, frame: 100, reps: 2 } }),
      ingestSuite,
    ).split('\n');
    expect(head).toBe('Messages into rows (ingest): 2 repetitions');
  });

  test('leaves out what a suite without clients does not have', () => {
    expect(textReport(result({ config: {} }), ingestSuite).split('\n')[0]).toBe(
      'Messages into rows (ingest)',
    );
  });
});

describe.each([
  ['text', textReport],
  ['Markdown', markdownReport],
] as const)('the verdict in %s', (_, report) => {
  test('of an invalid run names the variants that failed, and no others', () => {
    const text = report(
      result({
        state: 'invalid',
        variants: [
          variant('naive', 1),
          variant('bulk', 1, { audit: { ...CLEAN, lost: 1 } }),
          variant('copy', 1, { audit: { ...CLEAN, duplicated: 1 } }),
          variant('unnest', 1, { audit: { ...CLEAN, outOfOrder: 1 } }),
        ],
      }),
      ingestSuite,
    );
    expect(text).toContain(
      'INVALID: messages were lost or doubled (bulk, copy). No figure of this run counts.',
    );
  });

  test('of an aborted run says that what is shown is complete', () => {
    expect(report(result({ state: 'aborted' }), ingestSuite)).toContain('stopped before its end');
  });

  test('of a complete run is silence', () => {
    expect(report(result(), ingestSuite)).not.toMatch(/INVALID|stopped/);
  });

  test('comes with notes, machine, database and configuration', () => {
    const text = report(result(), ingestSuite);
    for (const fact of [
      'A note.',
      '2 × Abacus, 24 GiB',
      'PostgreSQL 18.4, u@host:5432/db (tcp), fsync=on',
      'modes=naive+copy clients=10 messages=100000 frame=1 reps=3',
    ]) {
      expect(text).toContain(fact);
    }
  });
});

test('in text, the columns are aligned: names at the left, figures at the right', () => {
  const lines = textReport(result(), ingestSuite).split('\n').slice(2, 8);
  const end = (lines[0] as string).indexOf('messages/s') + 'messages/s'.length;
  expect(lines[1]).toMatch(/^─+$/);
  expect(lines.slice(2).map((line) => line.slice(end - 7, end))).toEqual([
    '  2,000',
    '100,000',
    '400,000',
    '125,000',
  ]);
  expect(lines.slice(2).map((line) => line.slice(0, 5))).toEqual(['naive', 'copy ', 'floor', 'floor']);
});

test('in text for a narrow terminal, no line is wider, and every figure is still there', () => {
  const whole = textReport(result(), ingestSuite);
  const narrow = textReport(result(), ingestSuite, { width: 60 });
  const widest = (text: string): number => Math.max(...text.split('\n').map((line) => line.length));
  expect(widest(whole)).toBeGreaterThan(60);
  expect(widest(narrow)).toBeLessThanOrEqual(60);
  const wordsOf = (text: string): Set<string> =>
    new Set(text.split(/[\s─]+/).map((word) => word.replace(/,$/, '')));
  expect([...wordsOf(whole)].filter((word) => !wordsOf(narrow).has(word))).toEqual([]);
  // Each part of the table says whose figures it has.
  expect(narrow.match(/^copy /gm)?.length).toBeGreaterThan(1);
  expect(textReport(result(), ingestSuite, { width: widest(whole) })).toBe(whole);
});

test('in Markdown, every row of the table has as many cells, and the facts come as JSON', () => {
  const text = markdownReport(result(), ingestSuite);
  expect(text).toMatch(/^## Messages into rows \(ingest\)/);
  const counts = markdownReportLines(text).map((line) => line.split('|').length);
  expect(counts).toHaveLength(6);
  expect(new Set(counts).size).toBe(1);
  const facts = /```json\n(.*)\n```/s.exec(text)?.[1] ?? '';
  const { config, tool, machine, database } = result();
  expect(JSON.parse(facts)).toEqual({ config, tool, machine, database });
});

test('as JSON, the report is the result itself, and text made from it again is the same', () => {
  const original = result({ state: 'aborted' });
  const read = JSON.parse(jsonReport(original)) as BenchResult;
  expect(read).toEqual(original);
  expect(jsonReport(original)).toMatch(/\}\n$/);
  expect(textReport(read, ingestSuite)).toBe(textReport(original, ingestSuite));
});

describe('a suite that demands something of its figures', () => {
  const suite = { columns: [], sharesOf: [], keepsOrder: true };
  const timed = (name: string, usPerOperation: number, more: Partial<VariantResult> = {}) => ({
    ...variant(name, 1, { metrics: { usPerOperation } }),
    reps: [
      { units: 1, elapsedMs: 1, metrics: { usPerOperation }, audit: CLEAN, perSecond: 1, order: 1, rep: 1 },
    ],
    ...more,
  });
  const demanding = (more: Partial<BenchResult> = {}) =>
    result({
      variants: [
        timed('write', 30, { floors: { '× bare': 'floor: bare', '× none': 'floor: none' } }),
        timed('floor: bare', 20, { role: 'floor' }),
      ],
      targets: [
        { title: 'write', figure: 1.5, unit: '×', bound: { atMost: 2 }, isMet: true },
        {
          title: 'batches',
          figure: 54_321.06,
          unit: ' messages/s',
          bound: { atLeast: 60_000 },
          isMet: false,
        },
      ],
      ...more,
    });

  test('is told which targets are met and which are missed', () => {
    const text = textReport(demanding(), suite);
    expect(text).toContain('Targets: 1 met, 1 missed');
    expect(text).toContain('  met    write: 1.5× (at most 2)\n');
    expect(text).toContain('  MISSED batches: 54,321.1 messages/s (at least 60,000)\n');
    expect(markdownReport(demanding(), suite)).toContain('- MISSED batches');
    expect(textReport(result(), ingestSuite), 'the control').not.toContain('Targets');
  });

  test('is shown in multiples of its floors, where these have run', () => {
    const { rows } = table(demanding(), suite);
    expect(rows.write).toMatchObject({ '× bare': '1.50', '× none': '' });
    expect(rows['floor: bare']).toMatchObject({ '× bare': '' });
    expect(table(result()).header, 'the control').not.toContain('× bare');
  });

  test('is compared with no baseline where it has none', () => {
    expect(table(demanding(), suite).header.join()).not.toContain('vs');
  });

  test('names the variants whose order was not kept, if that is promised', () => {
    const variants = [timed('write', 30), variant('other', 1, { audit: { ...CLEAN, outOfOrder: 1 } })];
    const invalid = demanding({ state: 'invalid', variants });
    expect(textReport(invalid, suite)).toContain(
      'INVALID: messages were lost, doubled or reordered (other).',
    );
    expect(textReport(invalid, { ...suite, keepsOrder: false })).toContain('lost or doubled ().');
  });
});
