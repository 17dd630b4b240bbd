/** Delivers notifications: one request after the other to each receiver, all receivers at the same time. */

import { backoffMs } from '../../core/backoff.ts';
import { errorText, isSluiceError } from '../../core/errors.ts';
import { withTimeLimit } from '../../core/time-limit.ts';
import { bodyOf } from './bodies.ts';
import type { Delivery, DeliveryQueue, ReceiverFigures } from './delivery-queue.ts';
import type { Notification } from './notification.ts';
import { signatureHeaders } from './signature.ts';
import type { Webhook, WebhookFormat } from './webhook.ts';

/** How long, and how often, a delivery is tried. */
const GIVE_UP_MS = 86_400_000;
const MAX_TRIES = 100;
const BACKOFF = { baseMs: 2_000, maxMs: 900_000 };
/** Where the receiver says that the request is wrong, it has to be put right first: some hours, and not in quick succession. */
const MAX_REFUSED_TRIES = 30;
const REFUSED_BACKOFF = { baseMs: 30_000, maxMs: 900_000 };
/** The shortest and the longest `Retry-After` that is heeded. */
const MIN_RETRY_AFTER_MS = 1_000;
const MAX_RETRY_AFTER_MS = 3_600_000;
/** Requests to one receiver before others of the object get their turn. */
const MAX_AT_ONCE = 50;
const MAX_FAILURE_LENGTH = 200;
/** When deliveries are looked at again that are under way. */
const UNDER_WAY_MS = 60_000;

export interface CourierOptions {
  webhooks: readonly Webhook[];
  queue: DeliveryQueue;
  fetch: typeof fetch;
  now: () => number;
  /** From 0 to below 1. */
  random: () => number;
}

/** A receiver, as operators see it. Without the path of its address, which may be a secret. */
export interface ReceiverView extends ReceiverFigures {
  name: string;
  format: WebhookFormat;
  host: string;
  waiting: number;
}

/** What became of one try. */
export interface TryResult {
  isDelivered: boolean;
  /** Null where nothing was answered. */
  status: number | null;
  /** Why not; null where it was delivered. */
  failure: string | null;
  tookMs: number;
  retryAfterMs: number | undefined;
}

export class Courier {
  readonly #options: CourierOptions;
  /** Receivers that have just failed are left in peace until then, whatever else waits for them. */
  readonly #restUntilMs = new Map<string, number>();
  #running: Promise<void> | undefined;
  #isAskedAgain = false;
  #startedAtMs = 0;

  constructor(options: CourierOptions) {
    this.#options = options;
    options.queue.keepOnly(options.webhooks.map(({ name }) => name));
  }

  /** Puts a notification into the queue of each receiver that is to hear of it. */
  enqueue(notification: Notification): void {
    for (const { name, minSeverity, sinks } of this.#options.webhooks) {
      const isWanted =
        (minSeverity === 'warn' || notification.severity === 'page') &&
        (sinks === null || notification.sink === null || sinks.includes(notification.sink));
      if (isWanted) this.#options.queue.add(name, notification);
    }
  }

  /**
   * When there is something to deliver; Infinity where not. While deliveries are under way it is some time ahead: who looked again at
   * once would do so until a slow receiver has answered. Should the object end meanwhile, they are taken up then.
   */
  get dueMs(): number {
    const { webhooks, queue } = this.#options;
    let dueMs = Number.POSITIVE_INFINITY;
    for (const { name } of webhooks)
      dueMs = Math.min(dueMs, Math.max(queue.dueMs(name), this.#restUntilMs.get(name) ?? 0));
    return this.#running === undefined ? dueMs : Math.max(dueMs, this.#startedAtMs + UNDER_WAY_MS);
  }

  /** Delivers what is due. Called while it does, it looks again when it is done. Never fails. */
  deliver(): Promise<void> {
    this.#isAskedAgain = true;
    if (this.#running === undefined) this.#startedAtMs = this.#options.now();
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Sends a notification to every receiver once, past the queue. */
  async test(notification: Notification): Promise<(TryResult & { name: string })[]> {
    const { webhooks } = this.#options;
    return await Promise.all(
      webhooks.map(async (webhook) => {
        const result = await this.#try(webhook, notification);
        // A test leaves nothing open where it opened something.
        if (webhook.format === 'pagerduty' && result.isDelivered)
          await this.#try(webhook, { ...notification, kind: 'resolved' });
        return { name: webhook.name, ...result };
      }),
    );
  }

  receivers(): ReceiverView[] {
    const { webhooks, queue } = this.#options;
    return webhooks.map(({ name, format, url }) => ({
      name,
      format,
      host: url.host,
      waiting: queue.waiting(name),
      ...queue.figures(name),
    }));
  }

  async #run(): Promise<void> {
    while (this.#isAskedAgain) {
      this.#isAskedAgain = false;
      await Promise.all(this.#options.webhooks.map((webhook) => this.#deliverTo(webhook)));
    }
  }

  async #deliverTo(webhook: Webhook): Promise<void> {
    const { queue, now } = this.#options;
    for (let sent = 0; sent < MAX_AT_ONCE; sent += 1) {
      if ((this.#restUntilMs.get(webhook.name) ?? 0) > now()) return;
      const delivery = queue.next(webhook.name, now());
      if (delivery === undefined) return;
      const result = await this.#try(webhook, delivery.notification);
      if (!result.isDelivered) {
        this.#noteFailure(delivery, result);
        return;
      }
      this.#restUntilMs.delete(webhook.name);
      queue.delivered(delivery, result.status ?? 0, now());
    }
  }

  #noteFailure(delivery: Delivery, { status, failure, retryAfterMs }: TryResult): void {
    const { queue, now, random } = this.#options;
    const tries = delivery.tries + 1;
    const isRefused = status !== null && status >= 400 && status < 500 && ![408, 425, 429].includes(status);
    const waitMs = retryAfterMs ?? backoffMs(tries, random(), isRefused ? REFUSED_BACKOFF : BACKOFF);
    const dueMs = now() + waitMs;
    this.#restUntilMs.set(delivery.webhook, dueMs);
    queue.failed(delivery, { status, text: failure ?? '' }, dueMs, now());
    const isOver =
      tries >= (isRefused ? MAX_REFUSED_TRIES : MAX_TRIES) || dueMs - delivery.createdAtMs > GIVE_UP_MS;
    if (isOver) queue.givenUp(delivery);
  }

  async #try(webhook: Webhook, notification: Notification): Promise<TryResult> {
    const { now } = this.#options;
    const startedAtMs = now();
    const ending = new AbortController();
    try {
      const request = this.#request(webhook, notification, ending.signal);
      const response = await withTimeLimit(request, webhook.timeoutMs, 'waiting for the receiver');
      const { status, headers } = response;
      const isDelivered = status >= 200 && status < 300;
      return {
        isDelivered,
        status,
        failure: isDelivered ? null : `it answered ${status}`,
        tookMs: now() - startedAtMs,
        retryAfterMs: retryAfterMs(headers.get('retry-after'), now()),
      };
    } catch (error) {
      const failure = withoutAddress(error, webhook);
      return {
        isDelivered: false,
        status: null,
        failure,
        tookMs: now() - startedAtMs,
        retryAfterMs: undefined,
      };
    } finally {
      // Ends what hangs, and lets go of an answer's text, which nobody reads.
      ending.abort();
    }
  }

  async #request(webhook: Webhook, notification: Notification, signal: AbortSignal): Promise<Response> {
    const { format, routingKey, secrets, url } = webhook;
    // Taken out of the options: the platform's own refuses to be called as a method of something else.
    const { fetch } = this.#options;
    const body = bodyOf(notification, format, routingKey);
    const timestamp = Math.floor(this.#options.now() / 1_000);
    const signed =
      format === 'json' ? await signatureHeaders(secrets, { id: notification.id, timestamp, body }) : {};
    return await fetch(url.href, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'Sluice', ...signed },
      body,
      signal,
      // An answer must not lead to an address that nobody has checked.
      redirect: 'manual',
    });
  }
}

/** Seconds, or a date (RFC 9110, 10.2.3). */
function retryAfterMs(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - nowMs;
  return Number.isFinite(ms) ? Math.min(MAX_RETRY_AFTER_MS, Math.max(MIN_RETRY_AFTER_MS, ms)) : undefined;
}

/** What an error says, without the address: its path may be a secret, and platforms put it into the text. */
function withoutAddress(error: unknown, { url }: Webhook): string {
  if (isSluiceError(error)) return error.message;
  const text = errorText(error).replaceAll(url.href, '…');
  const path = `${url.pathname}${url.search}`;
  return (path.length > 1 ? text.replaceAll(path, '…') : text).slice(0, MAX_FAILURE_LENGTH);
}
