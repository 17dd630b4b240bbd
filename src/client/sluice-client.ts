/**
 * A client of `sluice.v1` (PROTOCOL.md): it numbers messages, sends them in batches within the server's credit, keeps
 * them until they are acknowledged, and goes on after a lost connection or a restart without losing or doubling one.
 *
 * On Web APIs only: for browsers, Workers and Node 20 and later.
 *
 * ```ts
 * const client = new SluiceClient({ url: 'wss://example.com/ws/messages', producer: 'dev-7f3a' });
 * await client.send({ celsius: 21.5 }); // resolves once the server has it on disk
 * client.post({ celsius: 21.6 }); // nobody waits for it: it never throws nor rejects
 * await client.close();
 * ```
 */

import { Call } from './calls.ts';
import { checkOptions } from './check-options.ts';
import { type ClientContext, newCounts } from './context.ts';
import { defer } from './deferred.ts';
import { createEnding, type Ending } from './ending.ts';
import { SluiceError } from './errors.ts';
import type {
  BatchReceipt,
  ClientState,
  ClientStats,
  CloseReport,
  InDoubtMessages,
  UnsettledMessages,
} from './events.ts';
import { createIntake, type Intake } from './intake.ts';
import { createLink, type Link } from './link.ts';
import { jsonOf } from './message-text.ts';
import type { SluiceClientOptions } from './options.ts';
import { randomName } from './platform.ts';
import { createReceiver, type Receiver } from './receiver.ts';
import { createRecovery, type Recovery } from './recovery.ts';
import { SendBuffer } from './send-buffer.ts';
import { SendWindow } from './send-window.ts';
import { createSender, type Sender } from './sender.ts';
import { createWindowStorage, type WindowStorage } from './window-storage.ts';

const CLOSE_LIMIT_MS = 30_000;

interface ClientParts extends ClientContext {
  intake: Intake;
  sender: Sender;
  keeper: WindowStorage;
  recovery: Recovery;
  link: Link;
  receiver: Receiver;
  ending: Ending;
}

/**
 * A producer's connection to one sink. It connects by itself and keeps at it, whatever the network does, until it is
 * closed or the server says that it is of no use (`fenced`, `replaced`, `failed` among the events).
 *
 * @throws SluiceError `invalid_options` from the constructor
 */
export class SluiceClient {
  readonly producer: string;
  /** The name of this start, by which a later one recovers what it leaves. */
  readonly instance: string;
  readonly #parts: ClientParts;
  #sharedFlush: { call: Call; promise: Promise<void> } | undefined;
  #sendingDoubts: Promise<BatchReceipt> | undefined;

  constructor(options: SluiceClientOptions) {
    const checked = checkOptions(options);
    const { storage, onEvent } = checked;
    const buffer = new SendBuffer(checked.sendBufferMessages, checked.sendBufferBytes);
    const own = new SendWindow(randomName(), buffer, storage !== undefined);
    const parts: Partial<ClientParts> & ClientContext = {
      settings: checked,
      clock: checked.timers,
      counts: newCounts(),
      buffer,
      own,
      emit(event) {
        // Later, so that a listener may call the client, whatever it is in the middle of.
        if (onEvent) queueMicrotask(() => onEvent(event));
      },
    };
    // Each part says which of the others it needs. None calls one before all are there.
    const all = parts as ClientParts;
    parts.intake = createIntake(all);
    parts.sender = createSender(all);
    parts.keeper = createWindowStorage(all);
    parts.recovery = createRecovery(all);
    parts.link = createLink(all);
    parts.receiver = createReceiver(all);
    parts.ending = createEnding(all);
    this.#parts = all;
    this.producer = checked.producer;
    this.instance = own.instance;
    if (!storage) all.link.connect();
    else all.keeper.run();
  }

  /**
   * `recovering`: connected, and sending what older instances have left. `paused`: connected, and the server wants nothing at
   * the moment. `draining`: `close` was called.
   */
  get state(): ClientState {
    if (this.#parts.ending.endError) return 'closed';
    if (this.#parts.ending.isClosing) return 'draining';
    const { connection, isPaused } = this.#parts.sender;
    if (!connection?.isWelcomed) return 'connecting';
    if (!connection.isOwn) return 'recovering';
    return isPaused || connection.drainUntilMs !== undefined ? 'paused' : 'ready';
  }

  /** A copy of the counters. */
  get stats(): ClientStats {
    const { blocked, blockedMessages } = this.#parts.intake.calls;
    const { messages, utf8Size: bytes } = this.#parts.buffer;
    const credit = this.#parts.sender.creditNow;
    return {
      ...this.#parts.counts,
      unsettled: this.#parts.ending.unsettledCount,
      unackedMessages: messages,
      unackedBytes: bytes,
      waitingMessages: this.#parts.own.waiting.amount,
      blockedCalls: blocked.amount,
      blockedMessages,
      creditMessages: credit.messages,
      creditBytes: credit.bytes,
    };
  }

  /**
   * Messages of older instances whose fate is unknown: they are in the storage until `sendInDoubt` or `dropInDoubt` is
   * called. There are none without a storage.
   */
  get inDoubt(): readonly InDoubtMessages[] {
    return this.#parts.recovery.doubts.map(({ window, first, texts }) => ({
      instance: window.instance,
      first,
      texts: [...texts],
    }));
  }

  /**
   * Sends a value as JSON. Resolves when it has reached the client's level (`none`: when it was handed to the socket).
   *
   * The promise rejects with a SluiceError: the refusal's own code (`invalid_json`, `dead_letter`, …),
   * `message_dropped` or `send_buffer_full` as `whenFull` says, `client_closed` after `close`, or what ended the client. It needs its
   * `catch`, or an `await` in a `try`: a rejection that nobody handles ends a Node process. To send without waiting, use
   * `post`.
   */
  send(message: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#enqueueValue(message, new Call('one', 1, resolve as () => void, reject));
    });
  }

  /** Sends a text that is JSON already, in one line; otherwise like `send`. */
  sendText(json: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#enqueue([json], new Call('one', 1, resolve as () => void, reject));
    });
  }

  /**
   * Sends a value as JSON, and forgets it: never throws, never rejects. What is refused is told by the events `refused`,
   * `nack` and `dropped` and counted in `stats`; what is left when the client ends, by the event `closed`.
   */
  post(message: unknown): void {
    this.#enqueueValue(message, new Call('post', 1, ignore, ignore));
  }

  /**
   * Sends many texts with one promise, which resolves when the last of them is settled. The array has to stay as it
   * is until then only where `whenFull` is `block`. Rejects when the client ends before, and with `send_buffer_full`.
   */
  sendBatch(texts: readonly string[]): Promise<BatchReceipt> {
    if (texts.length === 0) return Promise.resolve({ messages: 0, refused: [] });
    return new Promise((resolve, reject) => {
      const call = new Call('batch', texts.length, resolve as (receipt?: BatchReceipt) => void, reject);
      this.#enqueue(texts, call);
    });
  }

  /** Resolves when the send buffer has room. Rejects when the client ends before. */
  ready(): Promise<void> {
    const { endError } = this.#parts.ending;
    return endError ? Promise.reject(endError) : this.#parts.intake.ready();
  }

  /**
   * Sends what waits without lingering, asks the server to write what it buffers, and resolves when everything that
   * was sent before is acked (at the level; `stored` for `none`) or refused. Rejects when the client ends before.
   */
  flush(): Promise<void> {
    const { overError } = this.#parts.ending;
    if (overError) return Promise.reject(overError);
    // The same question with nothing sent in between has the same answer.
    const shared = this.#sharedFlush;
    if (shared && !shared.call.isDone) return shared.promise;
    const { promise, resolve, reject } = defer<void>();
    const call = new Call('flush', 0, () => resolve(), reject);
    this.#parts.sender.isDue = true;
    this.#enqueue([], call);
    this.#sharedFlush = { call, promise };
    this.#parts.intake.settle();
    this.#parts.sender.pump();
    return promise;
  }

  /**
   * Sends the messages in doubt as new ones, and forgets them once they are settled. Those of them that the server has
   * already are there twice then.
   */
  sendInDoubt(): Promise<BatchReceipt> {
    // Asked twice, they are sent once.
    this.#sendingDoubts ??= this.#sendDoubts().finally(() => {
      this.#sendingDoubts = undefined;
    });
    return this.#sendingDoubts;
  }

  async #sendDoubts(): Promise<BatchReceipt> {
    const { doubts } = this.#parts.recovery;
    const receipt = await this.sendBatch(doubts.flatMap(({ texts }) => texts));
    this.#parts.recovery.dropDoubts(doubts);
    return receipt;
  }

  /** Forgets the messages in doubt, and returns how many there were. Those that the server does not have are lost. */
  dropInDoubt(): number {
    const { doubts } = this.#parts.recovery;
    this.#parts.recovery.dropDoubts(doubts);
    return doubts.reduce((sum, { count }) => sum + count, 0);
  }

  /**
   * What an ended client still holds of its own messages: those that the server may have, and those that were never
   * sent. For a client without a storage; what is in a storage is recovered by the next client that opens it.
   */
  unsettled(): UnsettledMessages {
    const left = this.#parts.own.unsettled();
    left.unsent.push(...this.#parts.ending.leftBlocked);
    return left;
  }

  /**
   * Sends what waits, says goodbye and resolves when everything is acked (`none`: committed), or after the time limit.
   * From now on nothing more is taken. Whatever was not acked is counted in the report, and its promises reject with
   * `client_closed`; where there is a storage it stays there, and the next client sends it.
   *
   * @param options `timeLimitMs`: 0 ends it at once. Default: 30,000.
   */
  close({ timeLimitMs = CLOSE_LIMIT_MS }: { timeLimitMs?: number } = {}): Promise<CloseReport> {
    return this.#parts.ending.close(timeLimitMs);
  }

  #enqueueValue(message: unknown, call: Call): void {
    const text = jsonOf(message);
    if (typeof text === 'string') this.#enqueue([text], call);
    else if (this.#isTaking(call)) {
      const { message: reason, cause } = text;
      this.#parts.intake.refuseCall(call, new SluiceError('invalid_json', reason, { cause }));
    }
  }

  #enqueue(texts: readonly string[], call: Call): void {
    if (!this.#isTaking(call)) return;
    this.#sharedFlush = undefined;
    if (!this.#parts.intake.enqueue(texts, call)) return;
    // In the storage before anything else.
    this.#parts.keeper.run();
    this.#parts.sender.schedule();
  }

  /** Counts the messages of a call, and refuses them where the client is over. */
  #isTaking(call: Call): boolean {
    this.#parts.counts.offered += call.total;
    const { overError } = this.#parts.ending;
    if (overError) this.#parts.intake.refuseCall(call, overError);
    return overError === undefined;
  }
}

function ignore(): void {}
