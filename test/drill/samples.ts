/** The text of `/metrics` as values by metric and labels. */

export interface MetricSample {
  name: string;
  labels: Readonly<Record<string, string>>;
  value: number;
}

export class Samples {
  readonly #samples: readonly MetricSample[];

  constructor(text: string) {
    this.#samples = text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map(sampleOf);
  }

  /** The value of a metric with these labels, and perhaps others; undefined where there is none. */
  value(name: string, labels: Readonly<Record<string, string>>): number | undefined {
    return this.#samples.find(
      (sample) =>
        sample.name === name &&
        Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
    )?.value;
  }
}

function sampleOf(line: string): MetricSample {
  const [, name = '', labels = '', value = ''] = /^([^\s{]+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
  const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
  return {
    name,
    labels: Object.fromEntries(pairs.map(([, label, text]) => [label, text as string])),
    value: value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value),
  };
}
