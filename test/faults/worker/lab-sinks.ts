/**
 * Sinks of the lab whose options change while a run goes on, as by deployments. They live in the isolate; a shard reads them
 * when it starts, so a change reaches it with its next start.
 */

import { sinkOfSpec } from '../../../lab/suites/ingest/bench-form.ts';
import type { BenchSinkSpec } from '../../../lab/suites/ingest/bench-sink.ts';
import type { LimitsOf } from '../../../src/access/limits.ts';
import { ownedName } from '../../../src/access/producer-name.ts';
import type { Sink } from '../../../src/sinks/sink.ts';

/** A sink as a run defines it. `isDefined: false`: its shards find none under its name. */
export interface LabSink {
  spec: BenchSinkSpec;
  isDefined: boolean;
  /** How much somebody may send to it; missing: as much as they want. */
  limits?: LimitsOf;
}

const sinks = new Map<string, LabSink>();

export function setLabSink(name: string, sink: LabSink): void {
  sinks.set(name, sink);
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
