/** How a run is told while it goes on: as Server-Sent Events, and as text for a terminal. */

import { sseText } from '../../src/core/sse-text.ts';
import { systemTimers } from '../../src/core/timers.ts';
import { EventStream } from '../../workers/event-stream.ts';
import { textReport } from '../report/text.ts';
import type { RunControl, RunFollower } from '../run/run-control.ts';
import type { RunEvent } from '../run/run-store.ts';
import type { BenchProgress } from '../run/runner.ts';

const encoder = new TextEncoder();

const PROGRESS_LINE_EVERY_MS = 1_000;

/**
 * Events of a run: `state`, `repetition` and `end` with an id each, so that a reader that connects again goes on where
 * it was; `progress` without one, as nobody needs an old one.
 */
export function runEvents(control: RunControl, id: string, after: number): ReadableStream<Uint8Array> {
  let stop = (): void => {};
  const stream = new EventStream({ timers: systemTimers, onEnd: () => stop() });
  stream.ready();
  const follower: RunFollower = {
    event: ({ id: number, kind, data }) =>
      stream.send(sseText({ event: kind, data: JSON.stringify(data), id: number })),
    progress(progress) {
      // A reader that has not taken everything needs the events, and no progress that is old already.
      if (stream.hasRoom)
        stream.send(sseText({ event: 'progress', data: JSON.stringify(progressOf(progress)) }));
    },
    close: () => stream.end(),
  };
  try {
    stop = control.follow(id, after, follower);
  } catch (error) {
    stream.end();
    throw error;
  }
  return stream.body;
}

function progressOf({ variant, rep, reps, done, total, steps }: BenchProgress) {
  return { variant, rep, reps, done, total, steps };
}

/** A run as text: a line for each repetition, now and then one in between, and the table at the end. */
export function runText(control: RunControl, id: string): Response {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  // A reader that is gone ends the run: nobody is left to read its result, and it costs money.
  const cancel = (): void => void control.cancel(id).catch(() => {});
  const write = (text: string): void => void writer.write(encoder.encode(text)).catch(cancel);
  writer.closed.catch(cancel);
  let writtenAtMs = Date.now();
  let failure: string | undefined;
  const follower: RunFollower = {
    event({ kind, data }: RunEvent) {
      if (kind === 'repetition') write(repetitionLine(data as RepetitionData));
      if (kind === 'end') failure = (data as { error?: string }).error;
    },
    progress({ variant, rep, reps, done, total }) {
      if (done === 0 || done === total || Date.now() - writtenAtMs < PROGRESS_LINE_EVERY_MS) return;
      writtenAtMs = Date.now();
      write(`${variant.padEnd(13)} ${rep}/${reps}  ${Math.round((done / total) * 100)}%\n`);
    },
    close() {
      const { result, suite } = control.result(id);
      if (failure !== undefined) write(`\nThe run failed: ${failure}\n`);
      else write(`\n${textReport(result, suite)}`);
      void writer.close().catch(() => {});
    },
  };
  control.follow(id, 0, follower);
  return new Response(readable, {
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
      'content-encoding': 'identity',
      'sluice-run': id,
    },
  });
}

interface RepetitionData {
  variant: string;
  rep: number;
  reps: number;
  elapsedMs: number;
  perSecond: number;
  broken?: string;
}

function repetitionLine({ variant, rep, reps, elapsedMs, perSecond, broken }: RepetitionData): string {
  const figures = `${(elapsedMs / 1000).toFixed(2)} s  ${Math.round(perSecond)}/s`;
  return `${variant.padEnd(13)} ${rep}/${reps}  ${figures}${broken === undefined ? '' : `  broke: ${broken}`}\n`;
}
