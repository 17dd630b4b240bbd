/** One socket that speaks `sluice.v1` (PROTOCOL.md is its law). */

import { closeCode, closeReason, type ErrorCode } from '../core/errors.ts';
import {
  HELLO_TIME_LIMIT_MS,
  MAX_BAD_FRAMES,
  MAX_CREDIT_BYTES,
  MAX_FRAME_BYTES,
  MAX_OVER_CREDIT,
  MAX_UNCONFIRMED_BYTES,
  PING_AFTER_BYTES,
  PONG_TIME_LIMIT_MS,
  SLOW_READER_BYTES,
} from '../core/limits.ts';
import { type Producer, settledUpTo } from '../outbox/producer.ts';
import type { Resumption } from '../outbox/producer-registry.ts';
import { decodeBinaryFrame } from '../protocol/binary-frame.ts';
import { JSON_PLAIN } from '../protocol/check-json.ts';
import { judgeMessage, REPLACEMENT, refusalText } from '../protocol/frame.ts';
import {
  type AckLevel,
  type BadFrame,
  type BatchBody,
  type BatchHeader,
  type Credit,
  encodeAck,
  encodeCredit,
  encodeFlow,
  encodeGap,
  encodeNack,
  encodeWelcome,
  type FlowReason,
  frameTooLarge,
  type Hello,
  type LineLimits,
  readBatchBody,
  readClientFrame,
} from '../protocol/sluice-v1.ts';
import { NO_CREDIT } from './credit.ts';
import { decideHello, type HelloDecision, sessionName } from './hello.ts';
import type { Peer, Session, SessionMemory } from './intake.ts';
import type { Pipeline } from './pipeline.ts';

/** How far beyond the last credit a client may be before its batches are refused: what was on its way. */
const CREDIT_SLACK = 1.25;

export class V1Session implements Session {
  readonly protocol = 'sluice.v1';
  readonly #pipeline: Pipeline;
  readonly #peer: Peer;
  readonly #name: string;
  readonly #onRemember: ((memory: SessionMemory) => void) | undefined;
  #producer: Producer | undefined;
  #ack: AckLevel = 'stored';
  /** True where a later instance of the client sends what an older one has left. */
  #isRecovery = false;
  #isClosed = false;
  /** How far the client's messages came on this connection. Acks cover nothing beyond: their nacks are still to be told. */
  #heard = 0;
  /** True once everything came that the shard had before this connection. */
  #isCaughtUp = false;
  #isLeaving = false;
  #cancelHelloLimit: (() => void) | undefined;
  #badFrames = 0;
  #overCredit = 0;
  /** What the client was last told, and what it sent since the credit fell to nothing. */
  #credit: Credit | undefined;
  #lastWindowBytes = 0;
  #bytesWithoutCredit = 0;
  #sentBytes = 0;
  #confirmedBytes = 0;
  /** Where the ping stood that waits for its pong; at most one is out. */
  #pingedAtBytes: number | undefined;
  #pingId = 0;
  #pingedAtMs = 0;

  constructor(
    pipeline: Pipeline,
    peer: Peer,
    name: string,
    onRemember: ((memory: SessionMemory) => void) | undefined,
  ) {
    this.#pipeline = pipeline;
    this.#peer = peer;
    this.#name = name;
    this.#onRemember = onRemember;
    this.#cancelHelloLimit = pipeline.timers.after(HELLO_TIME_LIMIT_MS, () =>
      this.close('hello_timeout', 'send {"t":"hello"} first'),
    );
  }

  get memory(): SessionMemory | undefined {
    const producer = this.#producer;
    if (producer === undefined) return undefined;
    const session = this.#isRecovery ? null : (producer.session?.id ?? null);
    return { epoch: producer.epoch, session, ack: this.#ack, isCaughtUp: this.#isCaughtUp };
  }

  get isWelcome(): boolean {
    return this.#producer !== undefined;
  }

  get ack(): AckLevel {
    return this.#ack;
  }

  /** True while the client believes that it may send nothing. */
  get hasNoCredit(): boolean {
    return this.#credit !== undefined && this.#credit.bytes === 0;
  }

  /** Goes on after a hibernation; the client has noticed nothing. */
  wake({ epoch, session, ack, isCaughtUp }: SessionMemory): void {
    this.#cancelHelloLimit?.();
    const producer = this.#pipeline.producers.findEpoch(this.#name, epoch);
    const isItsOwn = session === null || producer?.session?.id === session;
    if (producer === undefined || !isItsOwn || producer.isFloor || !isCaughtUp) {
      this.#pipeline.release(producer);
      this.close('shard_unavailable', 'the shard has forgotten where this producer stood: connect again');
      return;
    }
    this.#ack = ack;
    this.#isRecovery = session === null;
    this.#producer = producer;
    this.#heard = producer.nextSequence - 1;
    this.#isCaughtUp = true;
    this.#pipeline.welcome(producer, this);
    if (!this.#pipeline.mayLackCredit()) return;
    this.#credit = NO_CREDIT;
    this.#lastWindowBytes = MAX_CREDIT_BYTES;
  }

  receive(frame: string | ArrayBuffer, nowMs: number): void {
    if (this.#isClosed) return;
    if (frame === 'ping') {
      this.#send('pong');
      return;
    }
    if (typeof frame === 'string') {
      this.#take(frame, this.#pipeline.lineLimits, nowMs);
      return;
    }
    if (frame.byteLength > MAX_FRAME_BYTES) {
      this.#take(frameTooLarge(), this.#pipeline.lineLimits, nowMs);
      return;
    }
    const { text, badLines } = decodeBinaryFrame(frame);
    if (badLines?.has(0) === true) {
      const message = 'The first line of a binary frame is no UTF-8: encode the frame as UTF-8';
      this.#take({ t: 'bad', code: 'invalid_utf8', message }, this.#pipeline.lineLimits, nowMs);
      return;
    }
    const limits = { maxMessageBytes: this.#pipeline.maxMessageBytes, takesReplacement: true, badLines };
    this.#take(text, limits, nowMs);
  }

  #take(frame: string | BadFrame, limits: LineLimits, nowMs: number): void {
    const read = typeof frame === 'string' ? readClientFrame(frame) : frame;
    if (this.#producer === undefined && read.t !== 'hello') {
      if (read.t === 'bad' && read.code === 'invalid_hello') this.close('invalid_hello', read.message);
      else this.close('hello_required', 'the first frame has to be {"t":"hello"}');
      return;
    }
    switch (read.t) {
      case 'batch':
        this.#takeBatch(this.#producer as Producer, frame as string, read, limits, nowMs);
        break;
      case 'hello':
        try {
          this.#takeHello(read, nowMs);
        } catch (error) {
          // All that can fail in it is the storage, and what memory holds of the producer may differ from it now.
          this.close('shard_unavailable', 'the shard cannot read or write its storage: try again later');
          this.#pipeline.failStorage(error);
        }
        break;
      case 'bad':
        this.#refuseFrame(read.code === 'invalid_hello' ? 'invalid_frame' : read.code, read.message);
        break;
      case 'pong':
        if (read.id === this.#pingId && this.#pingedAtBytes !== undefined) {
          this.#confirmedBytes = this.#pingedAtBytes;
          this.#pingedAtBytes = undefined;
        }
        break;
      case 'ping':
        this.#pipeline.ackSoon(this);
        this.#pipeline.storeGroup();
        break;
      case 'flush':
        this.#pipeline.flushSoon();
        break;
      case 'bye':
        this.#isLeaving = true;
        this.#pipeline.ackSoon(this);
        this.#pipeline.flushSoon();
        break;
    }
  }

  #takeHello(hello: Hello, nowMs: number): void {
    const pipeline = this.#pipeline;
    if (this.#producer !== undefined) {
      this.#refuseFrame('invalid_frame', 'hello: this session has begun already');
      return;
    }
    if (hello.producer !== undefined && hello.producer !== this.#name) {
      this.close(
        'invalid_hello',
        `this socket belongs to the producer ${this.#name}, as named in its address`,
      );
      return;
    }
    // The session before, if there is one, is acked what it sent before anything changes; and what is welcomed as stored
    // has to be.
    if (!pipeline.storeGroup()) {
      this.close('shard_unavailable', 'the shard cannot write its outbox: try again later');
      return;
    }
    const epochs = pipeline.producers.epochsOf(this.#name);
    if (epochs.length === 0 && pipeline.producers.isFull) {
      this.close('shard_unavailable', 'the shard has no room for another producer: try again later');
      return;
    }
    const decision = decideHello(hello, epochs, nowMs);
    if (decision.kind === 'refuse') {
      pipeline.release(epochs.at(-1));
      this.close(decision.code, decision.reason);
      return;
    }
    const { producer, isKnown, missing, next } = this.#carryOut(decision, nowMs);
    this.#cancelHelloLimit?.();
    // The nearest level that promises as much.
    this.#ack = hello.ack === 'stored' && !pipeline.hasOutbox ? 'committed' : hello.ack;
    this.#isRecovery = hello.intent === 'recover';
    this.#producer = producer;
    pipeline.welcome(producer, this);
    if (decision.kind === 'begin') pipeline.fenceOlder(producer);
    this.#hear(producer, next - 1);
    const credit = pipeline.grant();
    this.#noteCredit(credit);
    this.#send(
      encodeWelcome(
        {
          producer: this.#name,
          epoch: producer.epoch,
          session: this.#isRecovery ? undefined : producer.session?.id,
          known: isKnown,
          ack: this.#ack,
          taken: producer.nextSequence - 1,
          committed: settledUpTo(producer),
          missing,
          sure: decision.kind === 'recover' ? decision.sure : undefined,
          credit,
          maxMessageBytes: pipeline.maxMessageBytes,
          delivery: pipeline.delivery,
        },
        pipeline.hasOutbox,
      ),
    );
  }

  // What was decided becomes durable: a welcome that names a session leaves when its row is written.
  #carryOut(
    decision: Exclude<HelloDecision, { kind: 'refuse' }>,
    nowMs: number,
  ): { producer: Producer; next: number } & Resumption {
    const { producers } = this.#pipeline;
    const startSession = (producer: Producer, ordinal: number, previous?: string): void =>
      producers.startSession(
        producer,
        sessionName(ordinal, this.#pipeline.randomId().slice(0, 8)),
        previous,
        nowMs,
      );
    if (decision.kind === 'begin') {
      const { epoch, next, instance, ordinal, previous } = decision;
      const producer = producers.begin(this.#name, epoch, next, nowMs, instance);
      producer.isKnown = false;
      if (ordinal !== undefined) startSession(producer, ordinal, previous);
      return { producer, next, isKnown: false, missing: undefined };
    }
    const { producer } = decision;
    if (decision.kind === 'continue' && decision.isForgetful) producer.isKnown = false;
    const next = decision.next ?? 1;
    const resumption = producers.resume(producer, next, nowMs);
    const { ordinal } = decision;
    if (ordinal !== undefined)
      startSession(producer, ordinal, decision.kind === 'continue' ? decision.previous : undefined);
    return { producer, next, ...resumption };
  }

  #takeBatch(
    producer: Producer,
    frame: string,
    header: BatchHeader,
    limits: LineLimits,
    nowMs: number,
  ): void {
    const pipeline = this.#pipeline;
    if (producer.session !== undefined && !this.#isRecovery) producer.session.hasCome = true;
    const { seq, n } = header;
    const expected = producer.nextSequence;
    const last = seq + n - 1;
    pipeline.countReceived(n);
    producer.isKnown = true;
    if (seq > this.#heard + 1) {
      pipeline.countRefused('gap', n);
      this.#send(encodeGap(this.#heard + 1, seq));
      return;
    }
    if (n === 1 && seq === expected && this.#takeOne(producer, frame, header, limits, nowMs)) return;
    const skipped = Math.min(n, expected - seq);
    const body = readBatchBody(frame, header, skipped, limits);
    if (body === undefined) {
      pipeline.countRefused('invalid_frame', n);
      this.#refuseFrame(
        'invalid_frame',
        `batch: n says ${n}, and there are not so many lines below the header`,
      );
      return;
    }
    pipeline.countDuplicate(skipped);
    const taken = n - skipped;
    if (taken === 0) {
      this.#hear(producer, last);
      this.#nackRefused(seq, body.refused);
      pipeline.ackSoon(this);
      pipeline.afterGather(nowMs);
      return;
    }
    const refusal = this.#overrun(frame.length) ?? pipeline.refusalOf(body.payloads);
    if (refusal !== undefined) {
      this.#nackRefused(
        seq,
        body.refused.filter(({ offset }) => offset < skipped),
      );
      this.#hear(producer, expected - 1);
      pipeline.countRefused(refusal, taken);
      this.#send(
        encodeNack(refusal, true, 'Nothing of it was taken: send it again when the credit allows', {
          from: expected,
          to: last,
        }),
      );
      if (refusal === 'buffer_full') pipeline.sendFlow(this);
      else this.#countOverCredit();
      return;
    }
    this.#gather(producer, header, skipped, body, nowMs);
    producer.nextSequence = last + 1;
    this.#hear(producer, last);
    if (body.refused.at(-1)?.offset === n - 1) pipeline.skipSequences(producer);
    // The nacks before the ack that covers them; and all that the shard has to know before the nacks, since they may be
    // the end of a client that does not read.
    this.#nackRefused(seq, body.refused);
    if (!this.#isClosed) pipeline.ackSoon(this);
    pipeline.afterGather(nowMs);
  }

  // What a client sends again after a resume is acked as it comes: an ack of all that is stored would cover messages
  // whose nacks are still to be told.
  #hear(producer: Producer, upTo: number): void {
    this.#heard = Math.max(this.#heard, upTo);
    const isCaughtUp = this.#heard >= producer.nextSequence - 1;
    if (this.#isCaughtUp && isCaughtUp) return;
    this.#isCaughtUp = isCaughtUp;
    this.#onRemember?.(this.memory as SessionMemory);
  }

  // Refused messages use up their sequences, so the others become several runs.
  #gather(
    producer: Producer,
    { seq, n }: BatchHeader,
    skipped: number,
    body: BatchBody,
    nowMs: number,
  ): void {
    const { payloads, plain, refused } = body;
    if (refused.length === 0) {
      this.#pipeline.gather(producer, seq + skipped, body, nowMs);
      return;
    }
    let row = 0;
    let from = skipped;
    for (const { offset, code } of [...refused, { offset: n, code: undefined }]) {
      if (offset < skipped) continue;
      const rows = offset - from;
      if (rows > 0) {
        const chunk = {
          payloads: payloads.slice(row, row + rows),
          plain: plain.slice(row, row + rows),
          text: undefined,
        };
        this.#pipeline.gather(producer, seq + from, chunk, nowMs);
      }
      row += rows;
      from = offset + 1;
      if (code !== undefined) this.#pipeline.countRefused(code, 1);
    }
  }

  // Those of lines that were skipped too: the nack of the first time may have been lost with its connection, and an ack
  // must not pass for it. Neighbours that are refused for the same reason share a nack.
  #nackRefused(seq: number, refused: BatchBody['refused']): void {
    for (let index = 0; index < refused.length; ) {
      const { offset, code } = refused[index] as BatchBody['refused'][number];
      let count = 1;
      while (refused[index + count]?.code === code && refused[index + count]?.offset === offset + count) {
        count += 1;
      }
      const range = { from: seq + offset, to: seq + offset + count - 1 };
      this.#send(encodeNack(code, false, refusalText(code, this.#pipeline.frameLimits), range));
      index += count;
    }
  }

  // The way of a single plain message for which there is room: nine tenths of the work of producers that do not batch.
  #takeOne(
    producer: Producer,
    frame: string,
    { seq, bodyStart }: BatchHeader,
    { takesReplacement, badLines }: LineLimits,
    nowMs: number,
  ): boolean {
    const pipeline = this.#pipeline;
    if (badLines !== undefined || (!takesReplacement && frame.includes(REPLACEMENT))) return false;
    const newline = frame.indexOf('\n', bodyStart);
    const isOneLine = newline === -1 || newline === frame.length - 1;
    if (!isOneLine || this.hasNoCredit) return false;
    const end = newline === -1 ? frame.length : newline;
    if (!pipeline.hasRoomFor(1, end - bodyStart)) return false;
    if (judgeMessage(frame, bodyStart, end, pipeline.maxMessageBytes) !== JSON_PLAIN) return false;
    pipeline.gatherOne(producer, seq, frame.slice(bodyStart, end), true, nowMs);
    producer.nextSequence = seq + 1;
    this.#hear(producer, seq);
    pipeline.ackSoon(this);
    pipeline.afterGather(nowMs);
    return true;
  }

  // A client that was told to send nothing has at most on its way what it was granted before.
  #overrun(bytes: number): 'over_credit' | undefined {
    if (!this.hasNoCredit) return undefined;
    this.#bytesWithoutCredit += bytes;
    return this.#bytesWithoutCredit > this.#lastWindowBytes * CREDIT_SLACK + this.#pipeline.maxMessageBytes
      ? 'over_credit'
      : undefined;
  }

  #countOverCredit(): void {
    this.#overCredit += 1;
    if (this.#overCredit >= MAX_OVER_CREDIT) {
      this.close('over_credit', 'far beyond the credit: wait for the flow frame that grants some');
    }
  }

  #noteCredit(credit: Credit): void {
    if (credit.bytes > 0) {
      this.#lastWindowBytes = Math.max(credit.bytes, this.#lastWindowBytes / 2);
      this.#bytesWithoutCredit = 0;
      this.#overCredit = 0;
    }
    this.#credit = credit;
  }

  #refuseFrame(code: ErrorCode, message: string): void {
    this.#badFrames += 1;
    this.#send(encodeNack(code, false, message));
    if (this.#badFrames > MAX_BAD_FRAMES) this.close('invalid_frame', 'too many frames that cannot be read');
  }

  /** Acks what the outbox has. Only to be called when everything that was taken is in it. */
  sendAck(credit: Credit, creditText: string): void {
    const producer = this.#producer;
    if (this.#isClosed || producer === undefined) return;
    this.#noteCredit(credit);
    const taken = producer.nextSequence - 1;
    const committed = settledUpTo(producer);
    this.#send(
      encodeAck(
        Math.min(taken, this.#heard),
        Math.min(committed, this.#heard),
        creditText,
        this.#pipeline.hasOutbox,
      ),
    );
    // A client that does not read was closed by that.
    if (this.#isClosed || !this.#isLeaving) return;
    if (this.#ack !== 'stored' && committed < taken) return;
    this.#send('{"t":"bye"}');
    this.#isClosed = true;
    this.#peer.close(1000, 'bye');
    this.#pipeline.leave(producer, this);
  }

  /** The producer's `committed` has moved. */
  onCommitted(): void {
    if (this.#ack === 'committed' || this.#isLeaving) this.#pipeline.ackSoon(this);
  }

  /** A message that was stored is among the dead letters. */
  sendDead(epoch: number, sequence: number, reason: string): void {
    if (this.#ack !== 'committed' || this.#producer?.epoch !== epoch) return;
    this.#send(encodeNack('dead_letter', false, reason, { from: sequence, to: sequence }));
  }

  sendFlow(credit: Credit, reason: FlowReason): void {
    if (this.#producer === undefined) return;
    this.#noteCredit(credit);
    this.#send(encodeFlow(encodeCredit(credit), reason));
  }

  /** Tells the client to stop and to come back. The socket is closed by `close`, once all is stored. */
  drain(retryMs: number): void {
    this.#send(`{"t":"drain","retryMs":${retryMs}}`);
  }

  #send(frame: string): void {
    if (this.#isClosed) return;
    this.#peer.send(frame);
    this.#sentBytes += frame.length;
    const unconfirmed = this.#sentBytes - this.#confirmedBytes;
    const nowMs = this.#pipeline.timers.now();
    const isSilent = this.#pingedAtBytes !== undefined && nowMs - this.#pingedAtMs >= PONG_TIME_LIMIT_MS;
    if (unconfirmed > MAX_UNCONFIRMED_BYTES || (isSilent && unconfirmed > SLOW_READER_BYTES)) {
      this.close('slow_reader', 'read what the server sends, and answer its pings');
    } else if (unconfirmed > PING_AFTER_BYTES && this.#pingedAtBytes === undefined) {
      this.#pingId += 1;
      this.#pingedAtBytes = this.#sentBytes;
      this.#pingedAtMs = nowMs;
      this.#peer.send(`{"t":"ping","id":${this.#pingId}}`);
    }
  }

  close(code: ErrorCode, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#peer.close(closeCode(code), closeReason(code, reason));
    this.end();
  }

  end(): void {
    this.#isClosed = true;
    this.#cancelHelloLimit?.();
    if (this.#producer !== undefined) this.#pipeline.leave(this.#producer, this);
  }
}
