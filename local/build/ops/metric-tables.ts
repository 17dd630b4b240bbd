/** The tables of docs/metrics.md. */

import { ANALYTICS_BLOBS, ANALYTICS_DOUBLES } from '../../../src/monitor/exports/analytics-point.ts';
import { METRICS, type Metric } from '../../../src/monitor/metrics.ts';
import { METRICS_PREFIX } from '../../../src/monitor/prometheus-text.ts';

const HEADS: Record<NonNullable<Metric['of']>, string> = {
  shard: 'Of a shard: labels `sink`, `shard`',
  database: 'Of a database: label `database`',
  monitor: 'Of the monitor',
};

/** Units as people read them: `{message}` of UCUM is "messages". */
function unitText(unit: string): string {
  if (unit === 's') return 'seconds';
  if (unit === 'By') return 'bytes';
  if (unit === '1') return '';
  const word = unit.slice(1, -1);
  return /(?:[^aeiou]y)$/.test(word)
    ? `${word.slice(0, -1)}ies`
    : word === 'batch'
      ? 'batches'
      : word === 'series'
        ? word
        : `${word}s`;
}

function rowOf({ name, type, unit, label, help }: Metric): string {
  const cells = [
    `\`${METRICS_PREFIX}${name}\``,
    type,
    unitText(unit),
    label === undefined ? '' : `\`${label}\``,
    help,
  ];
  return `| ${cells.join(' | ')} |`;
}

export function metricTables(): string {
  return (Object.keys(HEADS) as (keyof typeof HEADS)[])
    .map((of) =>
      [
        `### ${HEADS[of]}`,
        '',
        '| metric | type | unit | label | meaning |',
        '|---|---|---|---|---|',
        ...METRICS.filter((metric) => (metric.of ?? 'shard') === of).map(rowOf),
      ].join('\n'),
    )
    .join('\n\n');
}

export function analyticsTable(): string {
  const rows = [
    ['index1', '`sink/shard`, cut to 96 bytes'],
    ...ANALYTICS_BLOBS.map((meaning, at) => [`blob${at + 1}`, meaning]),
    ...ANALYTICS_DOUBLES.map(([meaning, { kind }], at) => [
      `double${at + 1}`,
      kind === 'counted' ? `${meaning}, since the last point` : meaning,
    ]),
  ];
  return [
    '| field | meaning |',
    '|---|---|',
    ...rows.map(([field, meaning]) => `| ${field} | ${meaning} |`),
  ].join('\n');
}

/** Puts a table where a page has its marks. @throws Error where it has none */
export function withTable(page: string, name: string, table: string): string {
  const [begin, end] = [`<!-- ${name}: made by local/build/ops.ts -->`, `<!-- end of ${name} -->`];
  const [before, rest] = page.split(begin) as [string, string?];
  const after = rest?.split(end)[1];
  if (after === undefined) throw new Error(`The page has no marks for ${name}`);
  return `${before}${begin}\n\n${table}\n\n${end}${after}`;
}
