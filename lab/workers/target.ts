/** Checks a bench target that came in by a request: it ends in table names, so nothing unexpected may pass. */

import { SluiceError } from '../../src/core/errors.ts';
import { MAX_SHARDS } from '../../src/core/limits.ts';
import { assertKnownNames, optionTable, resolveOptions } from '../../src/core/option-table.ts';
import { resolveSinkOptions } from '../../src/sinks/sink-options.ts';
import { BENCH_COLUMNS, BENCH_FORMS } from '../suites/ingest/bench-sink.ts';
import type { BenchTarget } from '../suites/ingest/load.ts';
import type { UpsertSpec } from '../suites/ingest/upsert-keys.ts';
import { encodeBenchShardName } from './bench-shard-name.ts';

const NAME = /^[a-z0-9]{1,32}$/;

/** @throws SluiceError `invalid_options` */
export function readBenchTarget(text: string | undefined): BenchTarget {
  const given = parseObject(text, 'target');
  assertKnownNames(given, ['run', 'spec', 'driver', 'shards'], 'target');
  const { spec, driver, shards } = given;
  const run = readBenchName(given.run, 'target.run');
  const options = resolveOptions(
    {
      driver: { kind: 'choice', choices: ['auto', 'tcp', 'neon'], default: 'auto', description: '' },
      shards: { kind: 'integer', min: 1, max: MAX_SHARDS, default: 1, description: '' },
    },
    { driver, shards },
    'target',
  );
  if (spec === null) return { run, spec: null, ...options };
  const { column, options: sinkOptions, ...named } = spec as Record<string, unknown>;
  const table = readBenchName(named.table, 'target.spec.table');
  const chosen = BENCH_COLUMNS.find((known) => known === column);
  if (chosen === undefined) throw wrong('target.spec.column', BENCH_COLUMNS.join(', '));
  resolveSinkOptions((sinkOptions ?? {}) as Record<string, unknown>, 'target.spec.options');
  const upsert = readUpsert(named.upsert);
  const form = BENCH_FORMS.find((known) => known === named.form);
  if (form !== named.form) throw wrong('target.spec.form', BENCH_FORMS.join(', '));
  return {
    run,
    spec: {
      table,
      column: chosen,
      options: (sinkOptions ?? {}) as object,
      ...(upsert === undefined ? {} : { upsert }),
      ...(form === undefined ? {} : { form }),
    },
    ...options,
  };
}

const UPSERT = optionTable({
  action: { kind: 'choice', choices: ['ignore', 'update'], default: 'ignore', description: '' },
  duplicates: { kind: 'integer', min: 0, max: 50, default: 0, description: '' },
  /** 0: as many as `duplicates` leaves. */
  keys: { kind: 'integer', min: 0, max: 1_000_000, default: 0, description: '' },
});

function readUpsert(given: unknown): UpsertSpec | undefined {
  if (given === undefined) return undefined;
  const { keys, ...upsert } = resolveOptions(
    UPSERT,
    (given ?? {}) as Record<string, unknown>,
    'target.spec.upsert',
  );
  return keys === 0 ? upsert : { ...upsert, keys };
}

/**
 * Checks a name that becomes part of others.
 *
 * @param option what it is, for the error
 * @throws SluiceError `invalid_options`
 */
export function readBenchName(name: unknown, option: string): string {
  if (typeof name !== 'string' || !NAME.test(name)) throw wrong(option, NAME.source);
  return name;
}

/** The name of one of a target's shards. */
export function benchShardName({ run, spec, driver }: BenchTarget, shard: number): string {
  return encodeBenchShardName({ bench: run, spec, driver, shard });
}

function parseObject(text: string | undefined, name: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text ?? '');
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {}
  throw wrong(name, 'a JSON object');
}

function wrong(option: string, allowed: string): SluiceError {
  return new SluiceError('invalid_options', `Cannot use this ${option}: ${allowed} is allowed`, {
    details: { option, allowed },
  });
}
