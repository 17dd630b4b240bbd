/** The tiles of all sinks, of a sink or of a shard: the same figures at the same places. */

import type { JSX } from 'preact';
import {
  exactCount,
  shownBytes,
  shownCount,
  shownDuration,
  shownRate,
  shownShare,
} from '../../../../src/monitor/shown-figures.ts';
import type { SparkName, Tiles as TilesFigures } from '../../../../src/monitor/view.ts';
import { Tile, Tiles } from '../../parts/tile.tsx';

/** An age of the oldest message from which on `/health` says `degraded`. */
const OLD_MS = 60_000;

export interface FigureTilesProps {
  of: TilesFigures;
  sparks?: Record<SparkName, (number | null)[]> | undefined;
}

export function FigureTiles({ of, sparks }: FigureTilesProps): JSX.Element {
  const isFull = of.queueLimitBytes > 0 && of.queueBytes >= of.queueLimitBytes;
  const old = of.oldestMs > 0 ? `oldest ${shownDuration(of.oldestMs)}` : 'none waits';
  return (
    <Tiles>
      <Tile
        label="In"
        figure={shownRate(of.receivedPerSecond)}
        unit="/s"
        exact={`${exactCount(of.receivedPerSecond)} messages/s received`}
        note={`${shownCount(of.received)} in all`}
        spark={sparks?.received}
      />
      <Tile
        label="Out"
        figure={shownRate(of.committedPerSecond)}
        unit="/s"
        exact={`${exactCount(of.committedPerSecond)} messages/s committed in Postgres`}
        note={`${shownCount(of.committed)} in all`}
        spark={sparks?.committed}
      />
      <Tile
        label="Waiting"
        figure={shownCount(of.queueMessages)}
        exact={`${exactCount(of.queueMessages)} messages, ${shownBytes(of.queueBytes)} of ${shownBytes(of.queueLimitBytes)}`}
        note={of.queueMessages === 0 ? old : `${old} · ${shownShare(of.queueBytes, of.queueLimitBytes)} full`}
        tone={isFull ? 'bad' : of.oldestMs > OLD_MS ? 'warn' : undefined}
        spark={sparks?.queueMessages}
      />
      <Tile
        label="Ack p99"
        figure={splitUnit(shownDuration(of.ackP99Ms))[0]}
        unit={splitUnit(shownDuration(of.ackP99Ms))[1]}
        exact="99 of 100 messages were acknowledged within this time"
        note={`p50 ${shownDuration(of.ackP50Ms)} · flush p99 ${shownDuration(of.flushP99Ms)}`}
        spark={sparks?.ackP99Ms}
      />
      <Tile
        label="Dead letters"
        figure={shownCount(of.deadLetters)}
        exact={`${exactCount(of.deadLetters)} messages that Postgres refused are kept`}
        note={`${shownCount(of.dead)} in all`}
        tone={of.deadLetters > 0 ? 'warn' : undefined}
        spark={sparks?.deadLetters}
      />
    </Tiles>
  );
}

function splitUnit(text: string): [figure: string, unit: string] {
  const [figure = '', ...unit] = text.split(' ');
  return [figure, unit.join(' ')];
}
