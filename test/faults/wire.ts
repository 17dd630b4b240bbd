/** What happens to a client's frames before they reach its socket: the faults that no TCP proxy can make. */

import type { Random } from './random.ts';

/** One connection's way out. `forward` sends a frame, `cut` ends the connection by force. */
export interface WirePort {
  forward(frame: string): void;
  cut(): void;
}

/** Made new for each connection. Called with every frame that the client sends. */
export type Wire = (port: WirePort) => (frame: string) => void;

interface Batch {
  first: number;
  lines: string[];
}

/** The messages of a batch frame; undefined for any other frame. */
function readBatch(frame: string): Batch | undefined {
  const match = /^\{"t":"batch","seq":(\d+),"n":\d+\}\n/.exec(frame);
  if (match === null) return undefined;
  return { first: Number(match[1]), lines: frame.slice(match[0].length).split('\n') };
}

function writeBatch({ first, lines }: Batch): string {
  return `{"t":"batch","seq":${first},"n":${lines.length}}\n${lines.join('\n')}`;
}

/** Frames go out as they are. */
export const plainWire: Wire =
  ({ forward }) =>
  (frame) =>
    forward(frame);

/** The longest time that a connection lives on after its last batch: for some of them, an ack comes in between. */
const CUT_WITHIN_MS = 15;

/** Cuts the connection after some batch, so that the next one of the sequence is never sent on it. */
export function cuttingWire(random: Random, probability: number, onCut: () => void): Wire {
  return ({ forward, cut }) => {
    let isOver = false;
    return (frame) => {
      if (isOver) return;
      forward(frame);
      if (readBatch(frame) === undefined || !random.chance(probability)) return;
      isOver = true;
      onCut();
      setTimeout(cut, random.integer(0, CUT_WITHIN_MS));
    };
  };
}

/** Sends some batches several times. */
export function doublingWire(random: Random, probability: number, onDouble: () => void): Wire {
  return ({ forward }) =>
    (frame) => {
      forward(frame);
      if (readBatch(frame) === undefined || !random.chance(probability)) return;
      onDouble();
      for (let copies = random.integer(1, 4); copies > 0; copies -= 1) forward(frame);
    };
}

/** How many messages a re-cut batch may reach back. */
const REACH = 40;

/** Cuts batches elsewhere: into pieces, and into pieces that begin with messages that were sent before. */
export function recuttingWire(random: Random, onRecut: () => void): Wire {
  return ({ forward }) => {
    let before: Batch = { first: 1, lines: [] };
    return (frame) => {
      const batch = readBatch(frame);
      if (batch === undefined) {
        forward(frame);
        return;
      }
      const isNext = before.first + before.lines.length === batch.first;
      const known = isNext ? before.lines : [];
      onRecut();
      for (let from = 0; from < batch.lines.length; ) {
        const to = Math.min(batch.lines.length, from + random.integer(1, batch.lines.length));
        const back = random.integer(0, known.length + from);
        const lines = [...known, ...batch.lines].slice(known.length + from - back, known.length + to);
        forward(writeBatch({ first: batch.first + from - back, lines }));
        from = to;
      }
      const lines = [...known, ...batch.lines].slice(-REACH);
      before = { first: batch.first + batch.lines.length - lines.length, lines };
    };
  };
}

/** How long a batch waits to be overtaken. */
const OVERTAKE_MS = 20;

/**
 * Lets some batches be overtaken by the next one; some of them then never arrive. What is sent again arrives: a client
 * goes back once for each gap, since on a connection that lives nothing is lost twice.
 */
export function reorderingWire(random: Random, probability: number, onReorder: () => void): Wire {
  return ({ forward }) => {
    let held: string | undefined;
    let highest = 0;
    const release = (): void => {
      if (held !== undefined) forward(held);
      held = undefined;
    };
    return (frame) => {
      const first = readBatch(frame)?.first ?? 0;
      const isNew = first > highest;
      highest = Math.max(highest, first);
      if (!isNew) {
        release();
        forward(frame);
      } else if (held !== undefined) {
        onReorder();
        const overtaken = held;
        held = undefined;
        forward(frame);
        if (random.chance(0.5)) forward(overtaken);
      } else if (random.chance(probability)) {
        held = frame;
        setTimeout(release, OVERTAKE_MS);
      } else forward(frame);
    };
  };
}
