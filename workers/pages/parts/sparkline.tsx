/** A small line without axes: how a figure went lately. It says nothing that is not said beside it, so it is not read out. */

import type { JSX } from 'preact';

const WIDTH = 100;
const HEIGHT = 24;

export interface SparklineProps {
  /** Oldest first, at equal distances; null where nothing is known. */
  values: readonly (number | null)[];
}

export function Sparkline({ values }: SparklineProps): JSX.Element {
  const top = Math.max(...values.map((value) => value ?? 0), 0);
  const pieces = piecesOf(values, top);
  return (
    <svg class="spark" viewBox={`0 -1 ${WIDTH} ${HEIGHT + 2}`} preserveAspectRatio="none" aria-hidden="true">
      {pieces.map((points) => {
        const line = points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join('L');
        const [first, last] = [points[0], points.at(-1)];
        return [
          <path class="area" d={`M${first?.[0]} ${HEIGHT}L${line}L${last?.[0]} ${HEIGHT}Z`} />,
          <path d={`M${line}`} />,
        ];
      })}
    </svg>
  );
}

/** The line, in pieces where something is not known. A single figure is a short piece. */
function piecesOf(values: readonly (number | null)[], top: number): [number, number][][] {
  const pieces: [number, number][][] = [];
  const step = WIDTH / Math.max(1, values.length - 1);
  let piece: [number, number][] = [];
  for (const [index, value] of values.entries()) {
    if (value === null) {
      piece = [];
      continue;
    }
    if (piece.length === 0) pieces.push(piece);
    const y = top === 0 ? HEIGHT : HEIGHT * (1 - value / top);
    if (piece.length === 0) piece.push([Math.max(0, index * step - 0.5), y]);
    piece.push([index * step, y]);
  }
  return pieces;
}
