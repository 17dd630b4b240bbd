/**
 * Sinks of the lab whose options change while a run goes on, as by deployments. They live in the isolate; a shard reads them
 * when it starts, so a change reaches it with its next start.
 */

import { sinkOfSpec } from '../../../lab/suites/ingest/bench-form.ts';
import type { BenchSinkSpec } from '../../../lab/suites/ingest/bench-sink.ts';
import type { Authorize } from '../../../src/access/authorize.ts';
import { jwt } from '../../../src/access/jwt.ts';
import type { LimitsOf } from '../../../src/access/limits.ts';
import { ownedName } from '../../../src/access/producer-name.ts';
import { tickets } from '../../../src/access/tickets.ts';
import type { Sink } from '../../../src/sinks/sink.ts';

/** A sink as a run defines it. `isDefined: false`: its shards find none under its name. */
export interface LabSink {
  spec: BenchSinkSpec;
  isDefined: boolean;
  /** How much somebody may send to it; missing: as much as they want. */
  limits?: LimitsOf;
  /** The secrets that sign tokens, and tickets, of those who may send. Missing: everybody may. */
  secrets?: string[];
}

const sinks = new Map<string, LabSink>();

/** What lets senders in, by the names of sinks. */
const locks = new Map<string, readonly Authorize[]>();

export function setLabSink(name: string, sink: LabSink): void {
  sinks.set(name, sink);
  const { secrets } = sink;
  if (secrets === undefined) locks.delete(name);
  else locks.set(name, [tickets(secrets), jwt({ secret: secrets })]);
}

/** What lets senders in; undefined where everybody may send. */
export function lockOf(name: string): readonly Authorize[] | undefined {
  return locks.get(name);
}

/** How many shards it has now; 1 where the name means nothing. */
export function labShards(name: string): number {
  return sinks.get(name)?.spec.options.shards ?? 1;
}

export function labLimits(name: string): LimitsOf {
  return sinks.get(name)?.limits ?? {};
}

/** The whole name of a producer: what is before its first `..` names its tenant, as in `acme..p1`. */
export function labOwnedName(producer: string): string {
  const end = producer.indexOf('..');
  return end > 0 ? ownedName(producer.slice(0, end), producer) : producer;
}

export function findLabSink(name: string): Sink | undefined {
  const sink = sinks.get(name);
  return sink?.isDefined === true ? { ...sinkOfSpec(sink.spec), name } : undefined;
}
