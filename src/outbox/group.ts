/**
 * Messages that are written to the outbox together. A row for each frame would be billed and synchronised for each
 * frame; so what arrives within a few milliseconds becomes one row: the messages' texts one below the other, and a
 * list of the runs that they belong to.
 */

import type { Producer } from '../ingest/producer.ts';

/** Messages of one producer with sequences that follow each other. */
export interface Run {
  readonly producer: Producer;
  readonly epoch: number;
  readonly firstSequence: number;
  readonly receivedAtMs: number;
  readonly payloads: string[];
  /** Per payload: true where it has no backslash and no control character. */
  readonly plain: boolean[];
  /** True where that holds for all. */
  isPlain: boolean;
}

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

/** The columns of a group's row that hold messages. */
export interface EncodedGroup {
  rows: number;
  runs: string;
  body: string;
}

/** The runs as the texts of a row. */
export function encodeGroup(runs: readonly Run[]): EncodedGroup {
  let rows = 0;
  let runsText = '';
  let body = '';
  for (const run of runs) {
    const { producer, epoch, firstSequence, payloads, receivedAtMs } = run;
    const separator = rows === 0 ? '' : ',';
    const plain = run.isPlain ? '' : run.plain.map((isPlain) => (isPlain ? '1' : '0')).join('');
    const tracked = producer.isTracked ? 1 : 0;
    runsText += `${separator}[${JSON.stringify(producer.name)},${epoch},${firstSequence},${payloads.length},${receivedAtMs},${tracked},"${plain}"]`;
    const text = payloads.length === 1 ? (payloads[0] as string) : payloads.join('\n');
    body = rows === 0 ? text : `${body}\n${text}`;
    rows += payloads.length;
  }
  return { rows, runs: `[${runsText}]`, body };
}

/** The runs of a row, without its messages. */
export function decodeRuns(runs: string): StoredRun[] {
  return (JSON.parse(runs) as [string, number, number, number, number, 0 | 1, string][]).map(
    ([producer, epoch, firstSequence, rows, receivedAtMs, tracked, plain]) => ({
      producer,
      epoch,
      firstSequence,
      rows,
      receivedAtMs,
      plain,
      isTracked: tracked === 1,
    }),
  );
}
