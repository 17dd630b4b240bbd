import { createHash } from 'node:crypto';
import * as zlib from 'node:zlib';
import { zstdDecompressSync } from 'node:zlib';
import { calculateObjectSize, deserialize } from 'bson';
import { describe, expect, test } from 'vitest';
import type { ValueRead } from '../../../../lab/suites/stress/copy-value.ts';
import { drawRecord, type EpochRecord } from '../../../../lab/suites/stress/epochs.ts';
import {
  decodeValue,
  encodeRecord,
  PAYLOAD_FORMATS,
  type PayloadFormat,
  RecordCheck,
} from '../../../../lab/suites/stress/payload-format.ts';
import { Stopwatch } from '../../../../lab/suites/stress/stopwatch.ts';
import { zstdOf } from '../../../../lab/suites/stress/zstd.ts';

const ports = { zstd: zstdOf(zlib), sampleMemory() {} };
const noClocks = () => {
  const clock = new Stopwatch(() => 0);
  return { generate: clock, encode: clock, decode: clock };
};

async function encoded(format: PayloadFormat, seed: number, epochs: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of encodeRecord(format, { seed, epochs }, ports, noClocks()).chunks)
    chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The bytes in pieces of a size that cuts lines and characters anywhere. */
function valueInPieces(bytes: Uint8Array, size = 1_000): ValueRead {
  return {
    length: bytes.length,
    chunks: (async function* inPieces() {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    })(),
  };
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

const FIELDS = [
  'id_epoch',
  'known_data',
  'cycle_count',
  'MFE_trunc',
  'norm_MFE',
  'MAE_trunc',
  'norm_MAE',
  'AIR_trunc',
  'norm_AIR',
  'HitRate',
  'norm_Hit',
  'median(duration) cycle',
  'time_to_MFE(median)',
  'time_to_MAE(median)',
  'Intermediate score(median)',
];

describe('a record', () => {
  const record = drawRecord(7, 2_000);

  test('has the epochs 1 to n, each with the 15 fields of the Postgres stress test', () => {
    expect(Object.keys(record)).toEqual(Array.from({ length: 2_000 }, (_, index) => `epoch_${index + 1}`));
    for (const epoch of Object.values(record)) expect(Object.keys(epoch)).toEqual(FIELDS);
  });

  test.each([
    ['id_epoch', 0, 100],
    ['cycle_count', 5, 100],
    ['time_to_MFE(median)', 5, 100],
    ['time_to_MAE(median)', 5, 100],
  ] as const)('draws %s from all of %i to %i', (field, min, max) => {
    const values = Object.values(record).map((epoch) => epoch[field]);
    expect(values.every(Number.isInteger)).toBe(true);
    expect([Math.min(...values), Math.max(...values)]).toEqual([min, max]);
  });

  test('draws fractions from 0 to 1 with all the digits of a double, and both booleans', () => {
    const epochs = Object.values(record);
    for (const epoch of epochs) {
      for (const value of [epoch.MFE_trunc, epoch.norm_Hit, epoch['Intermediate score(median)']]) {
        expect(value >= 0 && value < 1).toBe(true);
      }
    }
    const digits = epochs.map(({ HitRate }) => String(HitRate).length);
    expect(digits.reduce((sum, count) => sum + count) / digits.length).toBeGreaterThan(18);
    expect(new Set(epochs.map(({ known_data }) => known_data))).toEqual(new Set([true, false]));
  });
});

describe.each(PAYLOAD_FORMATS)('the format %s', (format) => {
  test('has the same bytes for the same seed, and others for another', async () => {
    const [first, second, other] = [
      await encoded(format, 1, 1_500),
      await encoded(format, 1, 1_500),
      await encoded(format, 2, 1_500),
    ];
    expect(hash(first)).toBe(hash(second));
    expect(hash(first)).not.toBe(hash(other));
  });

  test('knows its length before, or not at all', async () => {
    const { length } = encodeRecord(format, { seed: 1, epochs: 1_500 }, ports, noClocks());
    expect(length).toBe(format === 'ndjson_zstd' ? undefined : (await encoded(format, 1, 1_500)).length);
  });

  test('comes back as it was, in whatever pieces', async () => {
    const check = new RecordCheck({ seed: 1, epochs: 1_500 });
    await decodeValue(format, valueInPieces(await encoded(format, 1, 1_500)), ports, noClocks(), check.take);
    expect(check.finish()).toBeUndefined();
  });

  test.each([
    ['of another seed', 2, 1_500, 'has another epoch_1 than was written'],
    ['that is shorter', 1, 1_499, 'has 1499 epochs of 1500 that were written'],
    ['that is longer', 1, 1_501, 'has epoch_1501, which was not written'],
  ])('a record %s is seen', async (_, seed, epochs, fault) => {
    const check = new RecordCheck({ seed: 1, epochs: 1_500 });
    await decodeValue(
      format,
      valueInPieces(await encoded(format, seed, epochs)),
      ports,
      noClocks(),
      check.take,
    );
    expect(check.finish()).toBe(fault);
  });

  test('garbage is no record', async () => {
    await expect(
      decodeValue(format, valueInPieces(new Uint8Array(100).fill(1)), ports, noClocks()),
    ).rejects.toThrow();
  });
});

test('bson is the library’s document of the whole record', async () => {
  const bytes = await encoded('bson', 3, 700);
  expect(bytes.length).toBe(calculateObjectSize(drawRecord(3, 700)));
  expect(deserialize(bytes)).toEqual(drawRecord(3, 700));
});

test('bson grows beyond the buffer that the library has at first', async () => {
  const bytes = await encoded('bson', 3, 70_000);
  expect(bytes.length).toBeGreaterThan(17 * 1024 * 1024);
  expect(bytes.length).toBe(calculateObjectSize(drawRecord(3, 70_000)));
});

test('jsonb is sent as JSON', async () => {
  expect(JSON.parse((await encoded('jsonb', 3, 700)).toString())).toEqual(drawRecord(3, 700));
});

test('ndjson_zstd is one line for each epoch, compressed by zstd', async () => {
  const bytes = await encoded('ndjson_zstd', 3, 1_300);
  const text = zstdDecompressSync(bytes).toString();
  const lines = text.split('\n');
  expect(lines.pop()).toBe('');
  const record: EpochRecord = Object.assign({}, ...lines.map((line) => JSON.parse(line) as EpochRecord));
  expect(lines).toHaveLength(1_300);
  expect(record).toEqual(drawRecord(3, 1_300));
  expect(bytes.length).toBeLessThan(text.length / 2);
});

test('a lost field, another value and a reordered epoch are seen', () => {
  const seen = (change: (record: EpochRecord) => object): string | undefined => {
    const check = new RecordCheck({ seed: 5, epochs: 3 });
    for (const [key, epoch] of Object.entries(change(drawRecord(5, 3)))) check.take(key, epoch);
    return check.finish();
  };
  expect(seen((record) => record)).toBeUndefined();
  expect(seen(({ epoch_1, epoch_2, epoch_3 }) => ({ epoch_1, epoch_3, epoch_2 }))).toBe(
    'has epoch_3 where epoch_2 was written',
  );
  expect(
    seen((record) => {
      const { HitRate: _, ...rest } = record.epoch_2 as NonNullable<EpochRecord['epoch_2']>;
      return { ...record, epoch_2: rest };
    }),
  ).toBe('has another epoch_2 than was written');
  expect(seen((record) => ({ ...record, epoch_3: { ...record.epoch_3, id_epoch: -1 } }))).toBe(
    'has another epoch_3 than was written',
  );
  expect(seen((record) => ({ ...record, epoch_3: null }))).toBe('has another epoch_3 than was written');
});

test('without zstd the format says so, and the others work', async () => {
  const none = { zstd: zstdOf({ constants: {} }), sampleMemory() {} };
  const { chunks } = encodeRecord('ndjson_zstd', { seed: 1, epochs: 1 }, none, noClocks());
  await expect((chunks as AsyncGenerator).next()).rejects.toThrow(
    'This runtime has no zstd (node:zlib has it since Node 22.15): use another format',
  );
  await expect(
    decodeValue('ndjson_zstd', valueInPieces(new Uint8Array(1)), none, noClocks()),
  ).rejects.toThrow('no zstd');
  expect(encodeRecord('jsonb', { seed: 1, epochs: 1 }, none, noClocks()).length).toBeGreaterThan(100);
});
