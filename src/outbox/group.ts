/**
 * Messages that are written to the outbox together. A row for each frame would be billed and synchronised for each
 * frame; so what arrives within a few milliseconds becomes one row: the messages' texts one below the other, and a
 * list of the runs that they belong to.
 */

import type { Run } from './producer.ts';

/** A run as it was read back: its producer is a name again. */
export interface StoredRun {
  producer: string;
  epoch: number;
  firstSequence: number;
  rows: number;
  receivedAtMs: number;
  /** One digit for each message, 1 where it is plain; empty where all are. */
  plain: string;
  /** As in `Producer`. */
  isTracked: boolean;
}

/** Characters that a run adds to its group's row at the most, beside its producer's name and its messages. */
export const RUN_CHARACTERS = 80;

/** The columns of a group's row that hold messages. */
export interface EncodedGroup {
  rows: number;
  runs: string;
  body: string;
}

/** The runs as the texts of a row. */
export function encodeGroup(runs: readonly Run[]): EncodedGroup {
  let rows = 0;
  const runTexts: string[] = [];
  const texts: string[] = [];
  let nameBefore: string | undefined;
  for (const run of runs) {
    const { producer, epoch, firstSequence, receivedAtMs, chunks } = run;
    let isPlain = true;
    for (const { payloads, plain, text } of chunks) {
      texts.push(text ?? payloads.join('\n'));
      if (isPlain && plain.includes(false)) isPlain = false;
    }
    rows += run.rows;
    const digits = isPlain ? '' : chunks.map(({ plain }) => digitsOf(plain)).join('');
    const tracked = producer.isTracked ? 1 : 0;
    // A frame of which every other message is refused is thousands of runs: they need not all say whose they are.
    const name = producer.name === nameBefore ? '0' : JSON.stringify(producer.name);
    nameBefore = producer.name;
    runTexts.push(`[${name},${epoch},${firstSequence},${run.rows},${receivedAtMs},${tracked},"${digits}"]`);
  }
  return { rows, runs: `[${runTexts.join(',')}]`, body: texts.join('\n') };
}

function digitsOf(plain: readonly boolean[]): string {
  return plain.map((isPlain) => (isPlain ? '1' : '0')).join('');
}

/** The runs of a row, without its messages. */
export function decodeRuns(runs: string): StoredRun[] {
  let producer = '';
  return (JSON.parse(runs) as [string | 0, number, number, number, number, 0 | 1, string][]).map(
    ([name, epoch, firstSequence, rows, receivedAtMs, tracked, plain]) => {
      // 0: that of the run before.
      if (name !== 0) producer = name;
      return { producer, epoch, firstSequence, rows, receivedAtMs, plain, isTracked: tracked === 1 };
    },
  );
}

/** The runs of a group that begins at `start`, each with the position of its first message and that after its last. */
export function* runsFrom(
  start: bigint,
  runs: string,
): Generator<{ run: StoredRun; begin: bigint; end: bigint }> {
  let begin = start;
  for (const run of decodeRuns(runs)) {
    const end = begin + BigInt(run.rows);
    yield { run, begin, end };
    begin = end;
  }
}
