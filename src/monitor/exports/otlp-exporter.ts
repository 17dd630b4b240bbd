/** Sends figures to a collector by OTLP/HTTP: one request after the other, with a bounded queue and a bounded time for each. */

import { backoffMs } from '../../core/backoff.ts';
import { errorText } from '../../core/errors.ts';
import type { Timers } from '../../core/timers.ts';
import type { ExportCounts, Exporter, NewFigures } from './exporter.ts';
import type { OtlpOptions } from './otlp-options.ts';
import { type OtlpBatch, otlpBatches } from './otlp-request.ts';
import { retryAfterMs } from './retry-after.ts';

/** How long a request may take. */
export const REQUEST_MS = 10_000;
/** How long a batch is tried before it is given up. Totals go on: the next batch has what this one had. */
export const GIVE_UP_MS = 30_000;
/** Batches that wait. The oldest ones go first: what is newer says more. */
export const MAX_QUEUED_BATCHES = 64;
const BACKOFF = { baseMs: 1_000, maxMs: 10_000 };
/** What is read of an answer. */
const MAX_ANSWER_BYTES = 65_536;

/** What the protocol says may be tried again. Every other status is final. */
const RETRYABLE = new Set([429, 502, 503, 504]);

export interface OtlpPorts {
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  timers: Timers;
  /** From 0 to below 1. */
  random: () => number;
  /** Told once when it begins to fail and once when it works again: no line for each request. */
  log: (level: 'warn' | 'info', message: string) => void;
}

/** How a try ended: `again` may follow after a time that the collector has named. */
type TryEnd =
  | { state: 'taken'; rejected: number; why: string }
  | { state: 'refused'; why: string }
  | { state: 'again'; afterMs: number | undefined; why: string };

export class OtlpExporter implements Exporter {
  readonly name = 'otlp';
  readonly #options: OtlpOptions;
  readonly #instance: string;
  readonly #ports: OtlpPorts;
  readonly #counts: ExportCounts = { sent: 0, lost: 0 };
  readonly #queue: OtlpBatch[] = [];
  #run: Promise<void> | undefined;
  #isFailing = false;

  /** @param instance `service.instance.id` */
  constructor(options: OtlpOptions, instance: string, ports: OtlpPorts) {
    this.#options = options;
    this.#instance = instance;
    this.#ports = ports;
  }

  get counts(): Readonly<ExportCounts> {
    return this.#counts;
  }

  push(figures: NewFigures): Promise<void> {
    const { service } = this.#options;
    for (const batch of otlpBatches(figures, { service, instance: this.#instance })) {
      if (this.#queue.length >= MAX_QUEUED_BATCHES) this.#lose(this.#queue.shift());
      this.#queue.push(batch);
    }
    this.#run ??= this.#sendAll().finally(() => {
      this.#run = undefined;
    });
    return this.#run;
  }

  async #sendAll(): Promise<void> {
    for (let batch = this.#queue.shift(); batch !== undefined; batch = this.#queue.shift()) {
      if (await this.#send(batch)) continue;
      // A collector that is away would take the whole time for each of them.
      for (const waiting of this.#queue.splice(0)) this.#lose(waiting);
    }
  }

  /** @returns false where the collector does not answer, or has no room */
  async #send(batch: OtlpBatch): Promise<boolean> {
    const { timers, random } = this.#ports;
    const body = batch.body();
    const untilMs = timers.now() + GIVE_UP_MS;
    for (let failures = 1; ; failures += 1) {
      const end = await this.#try(body);
      if (end.state === 'taken') {
        this.#took(batch, end);
        return true;
      }
      this.#fails(end.why);
      const waitMs = end.state === 'again' ? (end.afterMs ?? backoffMs(failures, random(), BACKOFF)) : 0;
      if (end.state === 'refused' || timers.now() + waitMs > untilMs) {
        this.#lose(batch);
        return end.state === 'refused';
      }
      await new Promise<void>((resolve) => timers.after(waitMs, resolve));
    }
  }

  async #try(body: string): Promise<TryEnd> {
    const { fetch, timers } = this.#ports;
    const { url, headers } = this.#options;
    const controller = new AbortController();
    const cancel = timers.after(REQUEST_MS, () =>
      controller.abort(new Error(`no answer within ${REQUEST_MS / 1_000} s`)),
    );
    try {
      const response = await fetch(url.href, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body,
        signal: controller.signal,
        // The headers hold a secret, which is for this address alone.
        redirect: 'manual',
      });
      const answer = await readAtMost(response, MAX_ANSWER_BYTES);
      const { status } = response;
      if (status >= 200 && status < 300) return { state: 'taken', ...partialSuccess(answer) };
      const why = `it answered ${status}`;
      if (!RETRYABLE.has(status)) return { state: 'refused', why };
      return {
        state: 'again',
        afterMs: retryAfterMs(response.headers.get('retry-after'), timers.now()),
        why,
      };
    } catch (error) {
      return { state: 'again', afterMs: undefined, why: errorText(error).slice(0, 200) };
    } finally {
      cancel();
    }
  }

  #took(batch: OtlpBatch, { rejected, why }: { rejected: number; why: string }): void {
    const lost = Math.min(rejected, batch.points);
    this.#counts.sent += batch.points - lost;
    this.#counts.lost += lost;
    if (lost > 0) this.#fails(`it rejected ${lost} of ${batch.points} points: ${why}`);
    else if (this.#isFailing) {
      this.#isFailing = false;
      this.#ports.log('info', `The collector ${this.#options.url.host} takes metrics again`);
    }
  }

  #lose(batch: OtlpBatch | undefined): void {
    this.#counts.lost += batch?.points ?? 0;
  }

  #fails(why: string): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#ports.log('warn', `The collector ${this.#options.url.host} does not take metrics: ${why}`);
  }
}

/** The protocol answers with what it did not take, and why; nothing where it took all, or says so in another way. */
function partialSuccess(answer: string): { rejected: number; why: string } {
  const none = { rejected: 0, why: '' };
  try {
    const { partialSuccess: partial } = JSON.parse(answer) as {
      partialSuccess?: { rejectedDataPoints?: unknown; errorMessage?: unknown };
    };
    const rejected = Number(partial?.rejectedDataPoints ?? 0);
    if (!(rejected > 0)) return none;
    return { rejected, why: String(partial?.errorMessage ?? 'it does not say why').slice(0, 200) };
  } catch {
    return none;
  }
}

/** The first bytes of an answer as text; the rest is not read. */
async function readAtMost(response: Response, bytes: number): Promise<string> {
  if (response.body === null) return '';
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (let left = bytes; left > 0; ) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    text += decoder.decode(value.subarray(0, left), { stream: true });
    left -= value.length;
  }
  await reader.cancel();
  return text;
}
