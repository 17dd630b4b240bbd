/** The rules of the two text formats, read line by line: what is wrong with a text. A reading of its own, apart from what writes it. */

import type { MetricsFormat } from '../../../src/monitor/prometheus-text.ts';

const SAMPLE =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"/g;
const SUFFIXES: Record<MetricsFormat, Record<string, readonly string[]>> = {
  prometheus: { counter: [''], gauge: [''], histogram: ['_bucket', '_sum', '_count'] },
  openmetrics: {
    counter: ['_total'],
    gauge: [''],
    info: ['_info'],
    histogram: ['_bucket', '_sum', '_count', '_created'],
  },
};

export interface ReadSample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface ReadText {
  faults: string[];
  samples: ReadSample[];
}

export function readMetricsText(text: string, format: MetricsFormat): ReadText {
  const faults: string[] = [];
  const samples: ReadSample[] = [];
  const heads = new Set<string>();
  const types = new Map<string, string>();
  const series = new Set<string>();
  let family = '';
  if (!text.endsWith('\n')) faults.push('the last line does not end');
  const lines = text.split('\n').slice(0, -1);
  if (format === 'openmetrics' && lines.pop() !== '# EOF') faults.push('no # EOF');
  for (const line of lines) {
    const head = /^# (HELP|TYPE|UNIT) (\S+) (.*)$/.exec(line);
    if (head !== null) {
      const [, kind = '', name = '', value = ''] = head;
      if (heads.has(`${kind} ${name}`)) faults.push(`${kind} twice: ${name}`);
      heads.add(`${kind} ${name}`);
      if (kind === 'TYPE') types.set(name, value);
      if (kind === 'UNIT' && (format !== 'openmetrics' || !name.endsWith(`_${value}`)))
        faults.push(`unit ${value} of ${name}`);
      // A family's lines stand together, and its head comes first.
      if (name !== family && [...series].some((one) => familyOf(one.split('{')[0] as string) === name))
        faults.push(`parted: ${name}`);
      family = name;
      continue;
    }
    const [, name = '', labelText = '', value = ''] = SAMPLE.exec(line) ?? [];
    if (name === '') {
      faults.push(`no line of the format: ${line}`);
      continue;
    }
    if (familyOf(name) !== family) faults.push(`without its head: ${line}`);
    const labels = Object.fromEntries(
      [...labelText.matchAll(LABEL)].map(([, label, escaped]) => [
        label as string,
        unescaped(escaped as string),
      ]),
    );
    const key = `${name}{${JSON.stringify(Object.entries(labels).toSorted())}}`;
    if (series.has(key)) faults.push(`twice: ${line}`);
    series.add(key);
    samples.push({ name, labels, value: Number(value) });
  }
  return { faults: [...faults, ...histogramFaults(samples, types)], samples };

  function familyOf(name: string): string | undefined {
    for (const [of, type] of types)
      if (SUFFIXES[format][type]?.some((suffix) => of + suffix === name)) return of;
    return undefined;
  }
}

function unescaped(text: string): string {
  return text.replaceAll(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter));
}

function histogramFaults(samples: readonly ReadSample[], types: ReadonlyMap<string, string>): string[] {
  const faults: string[] = [];
  const counts = new Map<string, number>();
  const buckets = new Map<string, [le: number, count: number][]>();
  for (const { name, labels, value } of samples) {
    const [, family = '', part = ''] = /^(.*)_(bucket|count)$/.exec(name) ?? [];
    if (types.get(family) !== 'histogram') continue;
    const { le, ...others } = labels;
    const key = `${family}${JSON.stringify(others)}`;
    if (part === 'count') counts.set(key, value);
    else buckets.set(key, [...(buckets.get(key) ?? []), [Number(le?.replace('+Inf', 'Infinity')), value]]);
  }
  for (const [key, ofOne] of buckets) {
    for (const [at, [le, count]] of ofOne.entries()) {
      const [lastLe, lastCount] = ofOne[at - 1] ?? [Number.NEGATIVE_INFINITY, 0];
      if (!(le > lastLe)) faults.push(`borders do not rise: ${key}`);
      if (!(count >= lastCount)) faults.push(`buckets fall: ${key}`);
    }
    const [le, count] = ofOne.at(-1) as [number, number];
    if (le !== Number.POSITIVE_INFINITY) faults.push(`no +Inf: ${key}`);
    if (count !== counts.get(key)) faults.push(`+Inf is not the count: ${key}`);
  }
  if (buckets.size !== counts.size) faults.push('a histogram lacks its count or its buckets');
  return faults;
}
