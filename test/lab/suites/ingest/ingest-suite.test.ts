import { describe, expect, test } from 'vitest';
import { INGEST_PARAMETERS } from '../../../../lab/suites/ingest/ingest-parameters.ts';
import {
  COPY_FLOOR,
  INSERT_FLOOR,
  INSERT_FLOOR_ROWS,
  INTAKE_FLOOR,
  ingestSuite,
} from '../../../../lab/suites/ingest/ingest-suite.ts';
import { ingestVariantOf, sinkOptionsOf } from '../../../../lab/suites/ingest/ingest-variants.ts';
import { resolveOptions } from '../../../../src/core/option-table.ts';
import { resolveSinkOptions } from '../../../../src/sinks/sink-options.ts';
import { WRITER_MODES } from '../../../../src/sinks/writer-mode.ts';

type Given = Record<string, unknown>;

function resolve(given: Given = {}) {
  return resolveOptions(INGEST_PARAMETERS, given);
}

const BOUNDS = {
  duplicates: [0, 50],
  clients: [1, 1_000],
  messages: [1, 10_000_000],
  frame: [1, 5_000],
  linger: [0, 60_000],
  workers: [1, 6],
  connections: [0, 6],
  shards: [1, 256],
  rate: [0, 10_000_000],
} as const;

describe('the parameters', () => {
  test.each(Object.entries(BOUNDS))('%s takes whole numbers within %j and no others', (name, [min, max]) => {
    for (const value of [min, max, String(min), String(max)]) {
      expect(resolve({ [name]: value })).toMatchObject({ [name]: Number(value) });
    }
    for (const value of [min - 1, max + 1, min + 0.5, '', 'ten', '1e3', '0x10', null, Number.NaN]) {
      expect(() => resolve({ [name]: value }), String(value)).toThrow(
        new RegExp(`for ${name}: a whole number from ${min} to ${max} is allowed`),
      );
    }
  });

  test('batch takes several whole numbers within its bounds', () => {
    expect(resolve({ batch: '1,50000' })).toMatchObject({ batch: [1, 50_000] });
    for (const value of ['0', '50001', '', '100,', 'ten']) {
      expect(() => resolve({ batch: value })).toThrow(/for batch: a comma-separated list of whole numbers/);
    }
  });

  test('have these numbers, and no more', () => {
    const integers = Object.entries(INGEST_PARAMETERS).filter(([, { kind }]) => kind === 'integer');
    expect(integers.map(([name]) => name).toSorted()).toEqual(Object.keys(BOUNDS).toSorted());
  });

  test.each([
    ['sockets', ['hibernatable', 'resident']],
    ['driver', ['auto', 'tcp', 'neon']],
    ['column', ['jsonb', 'text']],
  ])('%s takes one of %j and nothing else', (name, words) => {
    for (const word of words) expect(resolve({ [name]: word })).toMatchObject({ [name]: word });
    for (const word of ['', 'other', `${words[0]} `, 1]) {
      expect(() => resolve({ [name]: word })).toThrow(`for ${name}: one of ${words.join(', ')} is allowed`);
    }
  });

  test('modes takes a list of modes, each once, and nothing else', () => {
    expect(resolve().modes).toEqual(WRITER_MODES);
    expect(resolve({ modes: 'copy, bulk,copy' }).modes).toEqual(['copy', 'bulk']);
    for (const modes of ['', 'copy,', 'paste', 'copy;bulk', []])
      expect(() => resolve({ modes })).toThrow(/for modes/);
  });

  test.each([
    ['acks', ['raw', 'none', 'stored', 'committed'], ['stored']],
    ['durability', ['outbox', 'memory'], ['outbox']],
    ['sinks', ['plain', 'mapped', 'routed'], ['plain']],
    ['conflicts', ['error', 'ignore', 'update'], ['error']],
  ])('%s takes a list of %j, and is %j unless told otherwise', (name, words, standard) => {
    expect(resolve()).toMatchObject({ [name]: standard });
    expect(resolve({ [name]: words.join() })).toMatchObject({ [name]: words });
    for (const word of ['', 'other', `${words[0]};${words[1]}`]) {
      expect(() => resolve({ [name]: word })).toThrow(new RegExp(`for ${name}`));
    }
  });

  test('have defaults within their own bounds', () => {
    expect(resolve(resolve())).toEqual(resolve());
  });
});

describe.each(['quick', 'full'] as const)('the preset %s', (name) => {
  test('resolves, and each of its values can be overridden', () => {
    const preset = ingestSuite.presets[name];
    expect(resolve(preset)).toMatchObject(preset);
    for (const parameter of Object.keys(preset)) {
      expect(resolve({ ...preset, [parameter]: '7' })).toMatchObject({ [parameter]: 7 });
    }
  });
});

test('the full run is a million messages; the quick one is less than the usual one', () => {
  const count = ({ clients, messages }: { clients: number; messages: number }): number => clients * messages;
  expect(count(resolve(ingestSuite.presets.full))).toBe(1_000_000);
  expect(count(resolve(ingestSuite.presets.quick))).toBeLessThan(count(resolve()));
});

describe('the variants', () => {
  test('are the chosen modes in their own order, whatever the order asked for, then the floors', () => {
    expect(
      ingestSuite.variants(resolve({ modes: 'copy,naive' })).map(({ name, role }) => [name, role]),
    ).toEqual([
      ['naive', 'measured'],
      ['copy', 'measured'],
      [COPY_FLOOR, 'floor'],
      [INSERT_FLOOR, 'floor'],
      [INTAKE_FLOOR, 'floor'],
    ]);
    expect(ingestSuite.variants(resolve())).toHaveLength(WRITER_MODES.length + 3);
  });

  test('are each way with each level on each kind of durability that has it; the first has the plain name', () => {
    const acks = 'raw,stored,committed';
    const variants = ingestSuite.variants(
      resolve({ modes: 'buffered,copy', acks, durability: 'outbox,memory' }),
    );
    const measured = variants.filter(({ role }) => role === 'measured');
    expect(measured.map(({ name, labels }) => [name, labels?.delivery])).toEqual([
      ['buffered', 'at least once'],
      ['buffered stored outbox', 'at least once'],
      ['buffered committed outbox', 'at least once'],
      ['buffered raw memory', 'at least once'],
      ['buffered committed memory', 'at least once'],
      ['copy', 'exactly once'],
      ['copy stored outbox', 'exactly once'],
      ['copy committed outbox', 'exactly once'],
      ['copy raw memory', 'at least once'],
      ['copy committed memory', 'at least once'],
    ]);
    const batch = 5_000;
    expect(measured.slice(5).map((variant) => ingestVariantOf(variant, resolve()))).toEqual([
      { mode: 'copy', ack: 'raw', durability: 'outbox', conflict: 'error', sink: 'plain', batch },
      { mode: 'copy', ack: 'stored', durability: 'outbox', conflict: 'error', sink: 'plain', batch },
      { mode: 'copy', ack: 'committed', durability: 'outbox', conflict: 'error', sink: 'plain', batch },
      { mode: 'copy', ack: 'raw', durability: 'memory', conflict: 'error', sink: 'plain', batch },
      { mode: 'copy', ack: 'committed', durability: 'memory', conflict: 'error', sink: 'plain', batch },
    ]);
    for (const { labels } of measured) expect(Object.keys(labels ?? {})).toEqual(ingestSuite.labels);
  });

  test('are each size of batches, of the modes that have some', () => {
    const parameters = resolve({ modes: 'naive,copy', batch: '100,5000' });
    const measured = ingestSuite.variants(parameters).filter(({ role }) => role === 'measured');
    expect(measured.map((variant) => [variant.name, ingestVariantOf(variant, parameters).batch])).toEqual([
      ['naive', 100],
      ['copy', 100],
      ['copy 5000', 5_000],
    ]);
    expect(measured.map(({ labels }) => labels?.batch)).toEqual(['', '100', '5000']);
  });

  test('are each rule for messages that share a key, beside each other', () => {
    const parameters = resolve({ modes: 'copy', acks: 'stored,committed', conflicts: 'error,update' });
    const measured = ingestSuite.variants(parameters).filter(({ role }) => role === 'measured');
    expect(measured.map((variant) => [variant.name, ingestVariantOf(variant, parameters).conflict])).toEqual([
      ['copy', 'error'],
      ['copy update', 'update'],
      ['copy committed outbox', 'error'],
      ['copy committed outbox update', 'update'],
    ]);
  });

  test('are each kind of sink beside each other; upserts are plain, and routes need a batch', () => {
    const named = (given: Given) =>
      ingestSuite
        .variants(resolve(given))
        .filter(({ role }) => role === 'measured')
        .map((variant) => [variant.name, ingestVariantOf(variant, resolve()).sink]);
    const sinks = 'plain,mapped,routed';
    expect(named({ modes: 'naive,copy', sinks, conflicts: 'error,update' })).toEqual([
      ['naive', 'plain'],
      ['naive update', 'plain'],
      ['naive mapped', 'mapped'],
      ['copy', 'plain'],
      ['copy update', 'plain'],
      ['copy mapped', 'mapped'],
      ['copy routed', 'routed'],
    ]);
    expect(() => named({ modes: 'naive,copy', sinks: 'routed' })).toThrow(/routed with the mode naive/);
  });

  test('cannot be made of the level stored without an outbox: that says so instead of measuring nothing', () => {
    expect(() => ingestSuite.variants(resolve({ durability: 'memory' }))).toThrow(
      /acks none, committed and raw/,
    );
    expect(() => ingestSuite.variants(resolve({ durability: 'memory', acks: 'raw' }))).not.toThrow();
  });

  test('count their units: all messages, but for the floor of single inserts', () => {
    const parameters = resolve({ clients: 3, messages: 11 });
    const units = ingestSuite
      .variants(parameters)
      .map((variant) => [variant.name, ingestSuite.unitsPerRep(variant, parameters)]);
    expect(Object.fromEntries(units)).toMatchObject({
      naive: 33,
      copy: 33,
      [COPY_FLOOR]: 33,
      [INTAKE_FLOOR]: 33,
      [INSERT_FLOOR]: INSERT_FLOOR_ROWS,
    });
  });

  test('include the baseline and the floors that the report compares with', () => {
    const names = ingestSuite.variants(resolve()).map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining([ingestSuite.baseline, ...ingestSuite.sharesOf.map(({ floor }) => floor)]),
    );
  });
});

test('a rate is told in the notes, and none where there is none', () => {
  expect(ingestSuite.notes(resolve({ rate: 1234 })).join()).toContain('1234 messages/s');
  expect(ingestSuite.notes(resolve()).join()).not.toContain('schedule');
});

test.each(WRITER_MODES.flatMap((mode) => [[mode, 'outbox'] as const, [mode, 'memory'] as const]))(
  'the sink of the mode %s with durability %s gets the parameters, and its options resolve at every bound',
  (mode, durability) => {
    const options = sinkOptionsOf(
      { mode, durability, batch: 123 },
      resolve({ linger: 45, workers: 2, connections: 3, shards: 4, sockets: 'resident' }),
    );
    expect(options).toEqual({
      writer: mode,
      durability,
      batchRows: 123,
      lingerMs: 45,
      workers: 2,
      connections: 3,
      shards: 4,
      sockets: 'resident',
    });
    for (const end of [0, 1] as const) {
      const extremes = Object.fromEntries(
        Object.entries(BOUNDS).map(([name, bounds]) => [name, bounds[end]]),
      );
      const batch = [1, 50_000][end] as number;
      const given = sinkOptionsOf({ mode, durability, batch }, resolve(extremes));
      expect(resolveSinkOptions({ ...given })).toMatchObject(given);
    }
  },
);
