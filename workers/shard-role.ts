/** What a shard is: it follows from its name alone, so that one that wakes up by its alarm knows what to do. */

import { SluiceError } from '../src/core/errors.ts';
import type { Sink } from '../src/sinks/sink.ts';
import type { ShardPlace } from './objects.ts';
import { decodeShardName } from './shard-name.ts';

/** Why a shard has no sink. */
export class Fault {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/** What a shard is. It follows from its name alone. */
export interface ShardRole {
  /** Its number among the shards of its sink. */
  shard: number;
  /** How its checkpoints name it. */
  label: string;
  /** The sink's name, for people. */
  sinkName: string;
  /** Its place in the directory. Undefined: nobody has to find it, and producers do not move to it. */
  place: ShardPlace | undefined;
  /** The driver, where it is another than that of the Worker. */
  driver: string | undefined;
  /** The sink; it gives undefined where none is defined under the name now. Undefined itself: frames are only counted. */
  sink: (() => Sink | undefined) | undefined;
}

/** An object that is no shard of any sink. It counts frames, of which it gets none, and sleeps. */
export function noRole(name: string): ShardRole {
  return { shard: 0, label: name, sinkName: name, place: undefined, driver: undefined, sink: undefined };
}

/** The role of a shard of a sink. */
export function sinkRole(name: string, findSink: (sink: string) => Sink | undefined): ShardRole {
  // Until version 0.3 shards of a measurement were objects of this class. One that was left over wakes up by its alarm.
  if (!/\/\d+$/.test(name)) return noRole(name);
  const place = decodeShardName(name);
  return {
    shard: place.shard,
    label: String(place.shard),
    sinkName: place.sink,
    place,
    driver: undefined,
    sink: () => findSink(place.sink),
  };
}

/** It never throws: a shard that could not start would lose its alarm after six tries, and nobody could see what it holds. */
export function sinkOrFault(sinkName: string, findSink: () => Sink | undefined): Sink | Fault {
  try {
    const sink = findSink();
    if (sink !== undefined) return sink;
    return new Fault(
      new SluiceError(
        'unknown_sink',
        `The sink ${JSON.stringify(sinkName)}, which this shard belongs to, is not defined: define it again under this name, and the shard goes on`,
      ),
    );
  } catch (error) {
    return new Fault(error);
  }
}
