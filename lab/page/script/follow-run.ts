/** Follows a run's events to their end, over as many connections as it takes. */

import { EventStreamReader, type ServerSentEvent } from '../../../workers/pages/parts/event-stream.ts';
import { type Api, ApiError } from './api.ts';
import type { EndEvent, RepetitionEvent, RunProgressEvent, StateEvent } from './run-events.ts';

export interface RunReader {
  state(event: StateEvent): void;
  repetition(event: RepetitionEvent): void;
  progress(event: RunProgressEvent): void;
  /** The last event. */
  end(event: EndEvent): void;
  /** The connection is gone, and it is tried again; or it is back. */
  connected(isConnected: boolean): void;
}

/** The server says something every 15 s. A connection without a word for longer is dead, though nobody has said so. */
const SILENCE_MS = 40_000;
const FIRST_WAIT_MS = 250;
const MAX_WAIT_MS = 8_000;

/**
 * Resolves when the run has ended and its last event was told, or when the signal aborts.
 *
 * @throws ApiError where the server refuses: the token, or there is no such run any more
 */
export async function followRun(api: Api, id: string, reader: RunReader, signal: AbortSignal): Promise<void> {
  const place = { last: '0', hasEnded: false };
  let waitMs = FIRST_WAIT_MS;
  while (!signal.aborted) {
    const before = place.last;
    try {
      await readOnce(api, id, reader, place, signal);
      if (place.hasEnded || signal.aborted) return;
    } catch (error) {
      if (signal.aborted) return;
      // What the server refuses now it refuses again; what fails on the way or while it starts again may pass.
      if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
    }
    reader.connected(false);
    if (place.last !== before) waitMs = FIRST_WAIT_MS;
    await waited(waitMs, signal);
    waitMs = Math.min(waitMs * 2, MAX_WAIT_MS);
  }
}

async function readOnce(
  api: Api,
  id: string,
  reader: RunReader,
  place: { last: string; hasEnded: boolean },
  signal: AbortSignal,
): Promise<void> {
  const silence = new AbortController();
  let timer = 0;
  const heard = (): void => {
    clearTimeout(timer);
    timer = window.setTimeout(() => silence.abort(), SILENCE_MS);
  };
  try {
    heard();
    const response = await api.request(`/bench/runs/${encodeURIComponent(id)}/events`, {
      headers: { 'last-event-id': place.last },
      signal: AbortSignal.any([signal, silence.signal]),
    });
    if (response.body === null) return;
    reader.connected(true);
    const events = new EventStreamReader();
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      heard();
      for (const event of events.push(piece)) {
        if (signal.aborted) return;
        tell(reader, event);
        if (event.id !== undefined) place.last = event.id;
        if (event.kind === 'end') place.hasEnded = true;
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

function tell(reader: RunReader, { kind, data }: ServerSentEvent): void {
  const value = JSON.parse(data) as unknown;
  if (kind === 'state') reader.state(value as StateEvent);
  else if (kind === 'repetition') reader.repetition(value as RepetitionEvent);
  else if (kind === 'progress') reader.progress(value as RunProgressEvent);
  else if (kind === 'end') reader.end(value as EndEvent);
}

function waited(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
