/**
 * Server-Sent Events by fetch, since `EventSource` cannot send a header, and a token in an address ends up in logs. It connects
 * again with growing pauses, and rests while the tab is hidden: a page that nobody sees makes no shard report each second.
 */

import { ApiError } from './api.ts';
import { EventStreamReader } from './event-stream.ts';

export type StreamState =
  | { state: 'connecting' }
  | { state: 'live' }
  /** The way is broken: it is tried again. */
  | { state: 'lost'; reason: string; sinceMs: number; retryAtMs: number }
  /** The tab is hidden. */
  | { state: 'resting' }
  /** The server says no: it is asked again when the page says so. */
  | { state: 'refused'; error: ApiError };

export interface EventSourceOptions {
  /** Asks for the stream. @throws ApiError where the server says no; TypeError where nobody answers */
  open(signal: AbortSignal): Promise<Response>;
  onEvent(kind: string, data: string): void;
  onState(state: StreamState): void;
}

/** A stream that says nothing for so long is broken, whatever the network says: the server sends each second. */
const SILENCE_MS = 10_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

export class LiveEvents {
  readonly #options: EventSourceOptions;
  #attempt: AbortController | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #lostAtMs: number | undefined;

  constructor(options: EventSourceOptions) {
    this.#options = options;
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) this.#rest();
      else this.connect();
    });
  }

  /** Connects now, in place of what is open or planned. */
  connect(): void {
    this.#end();
    if (document.hidden) {
      this.#options.onState({ state: 'resting' });
      return;
    }
    const attempt = new AbortController();
    this.#attempt = attempt;
    if (this.#lostAtMs === undefined) this.#options.onState({ state: 'connecting' });
    void this.#follow(attempt).catch((error: unknown) => {
      if (this.#attempt === attempt) this.#failed(error);
    });
  }

  #rest(): void {
    this.#end();
    this.#lostAtMs = undefined;
    this.#options.onState({ state: 'resting' });
  }

  #end(): void {
    clearTimeout(this.#retry);
    this.#attempt?.abort();
    this.#attempt = undefined;
  }

  async #follow(attempt: AbortController): Promise<void> {
    let silence = this.#silenceOf(attempt);
    try {
      const response = await this.#options.open(attempt.signal);
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      const events = new EventStreamReader();
      const decoder = new TextDecoder();
      for (;;) {
        const { done, value } = await reader.read();
        if (attempt.signal.aborted) throw attempt.signal.reason;
        if (done) throw new Error('the server has ended the stream');
        clearTimeout(silence);
        silence = this.#silenceOf(attempt);
        for (const { kind, data } of events.push(decoder.decode(value, { stream: true }))) {
          this.#isWell();
          this.#options.onEvent(kind, data);
        }
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #silenceOf(attempt: AbortController): ReturnType<typeof setTimeout> {
    return setTimeout(() => attempt.abort(new Error(`nothing came for ${SILENCE_MS / 1_000} s`)), SILENCE_MS);
  }

  #isWell(): void {
    this.#failures = 0;
    this.#lostAtMs = undefined;
    this.#options.onState({ state: 'live' });
  }

  #failed(error: unknown): void {
    this.#end();
    if (error instanceof ApiError && error.isFinal) {
      this.#lostAtMs = undefined;
      this.#options.onState({ state: 'refused', error });
      return;
    }
    const longest = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS);
    this.#failures += 1;
    // Pages that lost the same server do not come back in the same moment.
    const pauseMs = longest * (0.5 + Math.random() / 2);
    this.#lostAtMs ??= Date.now();
    const reason = error instanceof Error ? error.message : String(error);
    this.#options.onState({
      state: 'lost',
      reason,
      sinceMs: this.#lostAtMs,
      retryAtMs: Date.now() + pauseMs,
    });
    this.#retry = setTimeout(() => this.connect(), pauseMs);
  }
}
