/**
 * The JSON Schema of a result (2020-12): what `GET /bench/schema.json` and `npm run bench -- schema` answer. A test
 * holds every kind of result to it, and it to the types.
 */

import { WARNING_CODES } from './result.ts';

const number = { type: 'number' } as const;
const text = { type: 'string' } as const;
const count = { type: 'integer', minimum: 0 } as const;
const numberOrNull = { type: ['number', 'null'] } as const;
const texts = { type: 'object', additionalProperties: text } as const;

function object<Properties extends Record<string, unknown>>(
  properties: Properties,
  optional: readonly (keyof Properties)[] = [],
) {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required, additionalProperties: false };
}

function list(items: unknown) {
  return { type: 'array', items };
}

function ref(name: string) {
  return { $ref: `#/$defs/${name}` };
}

const bound = { oneOf: [object({ atMost: number }), object({ atLeast: number })] };

export const RESULT_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Result of a run of the Sluice bench',
  ...object(
    {
      schemaVersion: { const: 1 },
      suite: text,
      title: text,
      unit: { ...text, description: 'What is counted per second' },
      state: {
        enum: ['complete', 'aborted', 'invalid'],
        description: 'invalid: messages were lost or doubled, so no figure of this run counts',
      },
      startedAt: { ...text, format: 'date-time' },
      durationMs: number,
      tool: texts,
      machine: { type: 'object', additionalProperties: { type: ['string', 'number'] } },
      database: texts,
      config: { type: 'object' },
      seed: count,
      warmUpMs: number,
      variants: list(ref('variant')),
      targets: list(object({ title: text, figure: number, unit: text, bound, isMet: { type: 'boolean' } })),
      comparisons: list(ref('comparison')),
      conclusions: list(ref('conclusion')),
      warnings: list(ref('warning')),
      notes: list(text),
    },
    ['seed', 'warmUpMs', 'targets', 'comparisons', 'conclusions', 'warnings'],
  ),
  $defs: {
    variant: object(
      {
        name: text,
        role: { enum: ['measured', 'floor'] },
        description: text,
        labels: texts,
        floors: texts,
        ladder: text,
        reps: list(ref('repetition')),
        summary: object({
          perSecond: ref('spread'),
          elapsedMs: ref('spread'),
          metrics: { type: 'object', additionalProperties: numberOrNull },
          audit: { oneOf: [ref('audit'), { type: 'null' }] },
        }),
      },
      ['labels', 'floors', 'ladder'],
    ),
    repetition: object(
      {
        units: number,
        elapsedMs: number,
        perSecond: number,
        order: { ...count, description: "Which of the run's repetitions it was, from 1" },
        rep: { ...count, description: "Which of the variant's it was, from 1" },
        metrics: { type: 'object', additionalProperties: numberOrNull },
        audit: { oneOf: [ref('audit'), { type: 'null' }] },
        broken: { ...text, description: 'Why this step of a ladder did not hold' },
        histograms: { type: 'object', additionalProperties: ref('histogram') },
        windows: { ...list(number), description: 'Units done in each quarter of a second' },
        server: ref('server'),
        warnings: list(ref('warning')),
      },
      // Results before the first seed numbered repetitions by their place.
      ['rep', 'broken', 'histograms', 'windows', 'server', 'warnings'],
    ),
    spread: object(
      {
        median: number,
        min: number,
        max: number,
        interval: { oneOf: [object({ low: number, high: number }), { type: 'null' }] },
      },
      ['interval'],
    ),
    audit: object({
      sent: count,
      refused: count,
      found: count,
      lost: count,
      duplicated: count,
      outOfOrder: count,
    }),
    histogram: object({
      count,
      minUs: number,
      meanUs: number,
      p50Us: number,
      p90Us: number,
      p99Us: number,
      p999Us: number,
      maxUs: number,
      hdr: { ...text, description: 'HdrHistogram V2, compressed, base64; microseconds, three digits' },
    }),
    server: object({
      walBytesPerRow: numberOrNull,
      walFullPageImages: numberOrNull,
      tableBytesPerRow: numberOrNull,
      indexBytesPerRow: numberOrNull,
      checkpoints: numberOrNull,
      statements: {
        oneOf: [
          list(object({ text, calls: number, rows: number, meanMs: number, totalMs: number })),
          { type: 'null' },
        ],
      },
      io: {
        oneOf: [
          list(
            object({
              object: text,
              context: text,
              reads: number,
              writes: number,
              extends: number,
              fsyncs: number,
            }),
          ),
          { type: 'null' },
        ],
      },
      waits: { oneOf: [{ type: 'object', additionalProperties: number }, { type: 'null' }] },
      waitSamples: count,
      missing: list(text),
    }),
    warning: object({ code: { enum: WARNING_CODES }, where: text, text }),
    conclusion: object(
      {
        title: text,
        text,
        figures: {
          type: 'object',
          additionalProperties: { type: ['number', 'string', 'boolean', 'null'] },
        },
        table: object({ header: list(text), rows: list(list(text)) }),
      },
      ['figures', 'table'],
    ),
    comparison: object({
      base: text,
      head: text,
      metric: text,
      change: { ...number, description: '0.1 is a tenth more (Hodges-Lehmann)' },
      changeLow: numberOrNull,
      changeHigh: numberOrNull,
      p: { type: 'number', minimum: 0, maximum: 1 },
      correctedP: { type: 'number', minimum: 0, maximum: 1 },
      verdict: { enum: ['faster', 'slower', 'same', 'too few runs'] },
    }),
  },
} as const;
