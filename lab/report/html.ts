/** The report as one file that needs nothing else: charts, tables, and the result itself, to be read back. */

import { SluiceError } from '../../src/core/errors.ts';
import type { BenchResult } from '../result.ts';
import { chartsOf, escapeHtml } from './charts.ts';
import { readResult } from './json.ts';
import { comparisonText, footLines, headline, targetLines, verdictLines } from './lines.ts';
import { type ReportSuite, type Table, tableOf } from './table.ts';

const DATA_ID = 'bench-result';

/** Styles of charts and tables, for this file and for the Worker's page. The contrast of all texts is at least 4.5. */
export const REPORT_STYLE = `
:root { color-scheme: light dark; --ground: #fff; --ink: #1b1f24; --muted: #57606a; --rule: #d0d7de; --bar: #0b62c4; --floor: #8c959f; --bad: #b3261e; --good: #116329; --panel: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --ground: #0d1117; --ink: #e6edf3; --muted: #9da7b3; --rule: #30363d; --bar: #58a6ff; --floor: #6e7681; --bad: #ff8a80; --good: #56d364; --panel: #161b22; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 72rem; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding-bottom: .4rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr.floor th, tr.floor td { color: var(--muted); }
tbody th { font-weight: 500; }
li { overflow-wrap: anywhere; } figure { margin: 0; } figcaption { color: var(--muted); }
svg { width: 100%; max-width: 60rem; height: auto; } figure.scroll svg { min-width: 34rem; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg text.axis { fill: var(--muted); }
.bar.measured { fill: var(--bar); } .bar.floor { fill: var(--floor); } .whisker { stroke: var(--ink); stroke-width: 1.5; } .dot { fill: var(--ground); stroke: var(--ink); }
.grid { stroke: var(--rule); } .line { fill: none; stroke-width: 2; }
.line-0 { stroke: #0b62c4; } .line-1 { stroke: #b35900; stroke-dasharray: 7 3; } .line-2 { stroke: #116329; stroke-dasharray: 2 3; } .line-3 { stroke: #8250df; stroke-dasharray: 9 3 2 3; }
.line-4 { stroke: #a40e26; } .line-5 { stroke: #0a6f80; stroke-dasharray: 7 3; } .line-6 { stroke: #6b5b00; stroke-dasharray: 2 3; } .line-7 { stroke: #57606a; stroke-dasharray: 9 3 2 3; }
@media (prefers-color-scheme: dark) { .line-0 { stroke: #58a6ff; } .line-1 { stroke: #ffa657; } .line-2 { stroke: #56d364; } .line-3 { stroke: #d2a8ff; } .line-4 { stroke: #ff8a80; } .line-5 { stroke: #76e3ea; } .line-6 { stroke: #e3b341; } .line-7 { stroke: #9da7b3; } }
.bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); }
@media print { body { max-width: none; } }
`;

/** The whole document. */
export function htmlReport(result: BenchResult, suite: ReportSuite): string {
  const title = headline(result);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${REPORT_STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(result.startedAt)}, ${Math.round(result.durationMs / 1000)} s${result.seed === undefined ? '' : `, seed ${escapeHtml(String(result.seed))}`}</p>
${htmlBody(result, suite)}
</main>
<script type="application/json" id="${DATA_ID}">${JSON.stringify(result).replaceAll('<', '\\u003c')}</script>
</body>
</html>
`;
}

/** All of the report below its heading. */
export function htmlBody(result: BenchResult, suite: ReportSuite): string {
  const floors = new Set(result.variants.filter(({ role }) => role === 'floor').map(({ name }) => name));
  const verdict = verdictLines(result, suite).filter((line) => line !== '');
  return [
    ...verdict.map((line) => `<p class="bad">${escapeHtml(line)}</p>`),
    htmlTable(tableOf(result, suite), 'Medians over the repetitions', floors),
    ...chartsOf(result).map(({ title, svg }) => `<h2>${escapeHtml(title)}</h2>${figureOf(title, svg)}`),
    list(
      'What follows',
      (result.conclusions ?? []).map(({ title, text }) => `${title}: ${text}`),
    ),
    ...(result.conclusions ?? []).flatMap(({ title, table }) =>
      table === undefined ? [] : [htmlTable(table, title)],
    ),
    list('Against the baseline', (result.comparisons ?? []).map(comparisonText)),
    list('Targets', targetLines(result, '').slice(2)),
    list(
      'Warnings',
      (result.warnings ?? []).map(
        ({ code, where, text }) => `${code}${where === '' ? '' : ` (${where})`}: ${text}`,
      ),
    ),
    list('Notes', footLines(result)),
  ].join('\n');
}

// On a narrow screen a chart scrolls, as its texts would be too small to read otherwise.
function figureOf(title: string, svg: string): string {
  return `<figure class="scroll" tabindex="0" aria-label="${escapeHtml(title)}">${svg}</figure>`;
}

/** A table whose first column names its rows. */
export function htmlTable(
  { header, rows }: Table,
  caption: string,
  muted: ReadonlySet<string> = new Set(),
): string {
  const head = header.map((title) => `<th scope="col">${escapeHtml(title === '' ? 'variant' : title)}</th>`);
  const body = rows.map(([name = '', ...cells]) => {
    const kind = muted.has(name) ? ' class="floor"' : '';
    return `<tr${kind}><th scope="row">${escapeHtml(name)}</th>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`;
  });
  // Wide tables scroll, and a reader without a mouse must be able to do that too.
  return `<div class="scroll" role="region" tabindex="0" aria-label="${escapeHtml(caption)}"><table><caption>${escapeHtml(caption)}</caption><thead><tr>${head.join('')}</tr></thead><tbody>${body.join('')}</tbody></table></div>`;
}

function list(title: string, lines: readonly string[]): string {
  const items = lines.filter((line) => line !== '').map((line) => `<li>${escapeHtml(line)}</li>`);
  return items.length === 0 ? '' : `<h2>${escapeHtml(title)}</h2><ul>${items.join('')}</ul>`;
}

/** The result that a report holds. @throws SluiceError `invalid_options` where the text is no such report */
export function readHtmlReport(text: string, where: string): BenchResult {
  const data = new RegExp(`<script type="application/json" id="${DATA_ID}">(.*?)</script>`, 's').exec(
    text,
  )?.[1];
  if (data === undefined)
    throw new SluiceError('invalid_options', `${where} is no report of the bench: it holds no result`);
  return readResult(data, where);
}
