/** One socket that speaks `sluice.v1` (PROTOCOL.md is its law). */

import { closeCode, closeReason, type ErrorCode } from '../core/errors.ts';
import { HELLO_TIME_LIMIT_MS, MAX_BAD_FRAMES, MAX_FRAME_BYTES } from '../core/limits.ts';
import { type Producer, settledUpTo } from '../outbox/producer.ts';
import type { Refusal } from '../outbox/refusal.ts';
import { decodeBinaryFrame } from '../protocol/binary-frame.ts';
import { refusalText } from '../protocol/frame.ts';
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
  type NackDetails,
  type RefusedLine,
  readClientFrame,
} from '../protocol/sluice-v1.ts';
import { ClientCredit } from './client-credit.ts';
import type { Peer, Session, SessionMemory } from './intake.ts';
import { ReaderCheck } from './reader-check.ts';
import type { BatchSource, BatchVerdict, SessionPort, ShardSession } from './session-port.ts';

/** Who refuses a message before it is stored, where the code of the refusal does not say it. */
const REFUSED_BY: Partial<Record<RefusedLine['code'], NackDetails>> = {
  invalid_message: { by: 'schema', column: null, constraint: null, sqlState: null },
  sink_failed: { by: 'sink', column: null, constraint: null, sqlState: null },
};

export class V1Session implements Session, ShardSession, BatchSource {
  readonly protocol = 'sluice.v1';
  /** What the client may send. */
  readonly credit: ClientCredit;
  readonly #port: SessionPort;
  readonly #peer: Peer;
  readonly #name: string;
  readonly #onRemember: ((memory: SessionMemory) => void) | undefined;
  readonly #reader = new ReaderCheck();
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

  /**
   * @param name the producer, as the socket's address names it
   * @param onRemember called when `memory` has changed
   */
  constructor(
    port: SessionPort,
    peer: Peer,
    name: string,
    onRemember: ((memory: SessionMemory) => void) | undefined,
  ) {
    this.#port = port;
    this.#peer = peer;
    this.#name = name;
    this.#onRemember = onRemember;
    this.credit = new ClientCredit(port.terms.maxMessageBytes);
    this.#cancelHelloLimit = port.terms.timers.after(HELLO_TIME_LIMIT_MS, () =>
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

  get heard(): number {
    return this.#heard;
  }

  /** Goes on after a hibernation; the client has noticed nothing. */
  wake(memory: SessionMemory): void {
    this.#cancelHelloLimit?.();
    const producer = this.#port.wake(this, this.#name, memory);
    if (producer === undefined) {
      this.close('shard_unavailable', 'the shard has forgotten where this producer stood: connect again');
      return;
    }
    this.#ack = memory.ack;
    this.#isRecovery = memory.session === null;
    this.#producer = producer;
    this.#heard = producer.nextSequence - 1;
    this.#isCaughtUp = true;
  }

  receive(frame: string | ArrayBuffer, nowMs: number): void {
    if (this.#isClosed) return;
    if (frame === 'ping') {
      this.#send('pong');
      return;
    }
    const { lineLimits, maxMessageBytes } = this.#port.terms;
    if (typeof frame === 'string') {
      this.#take(frame, lineLimits, nowMs);
      return;
    }
    if (frame.byteLength > MAX_FRAME_BYTES) {
      this.#take(frameTooLarge(), lineLimits, nowMs);
      return;
    }
    const { text, badLines } = decodeBinaryFrame(frame);
    if (badLines?.has(0) === true) {
      const message = 'The first line of a binary frame is not UTF-8: encode the frame as UTF-8';
      this.#take({ t: 'bad', code: 'invalid_utf8', message }, lineLimits, nowMs);
      return;
    }
    this.#take(text, { maxMessageBytes, takesReplacement: true, badLines }, nowMs);
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
        this.#takeHello(read, nowMs);
        break;
      case 'bad':
        this.#refuseFrame(read.code === 'invalid_hello' ? 'invalid_frame' : read.code, read.message);
        break;
      case 'pong':
        this.#reader.pong(read.id);
        break;
      case 'ping':
        this.#port.ackSoon(this);
        this.#port.storeGroup();
        break;
      case 'flush':
        this.#port.flushSoon();
        break;
      case 'bye':
        this.#isLeaving = true;
        this.#port.ackSoon(this);
        this.#port.flushSoon();
        break;
    }
  }

  #takeHello(hello: Hello, nowMs: number): void {
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
    const welcomed = this.#port.welcome(this, this.#name, hello, nowMs);
    if (welcomed === undefined) return;
    const { producer, next, ack, isRecovery, isKnown, missing, sure, credit } = welcomed;
    this.#cancelHelloLimit?.();
    this.#ack = ack;
    this.#isRecovery = isRecovery;
    this.#producer = producer;
    this.#hear(producer, next - 1);
    this.credit.note(credit);
    const { maxMessageBytes, delivery, hasOutbox } = this.#port.terms;
    this.#send(
      encodeWelcome(
        {
          producer: this.#name,
          epoch: producer.epoch,
          session: isRecovery ? undefined : producer.session?.id,
          known: isKnown,
          ack,
          taken: producer.nextSequence - 1,
          committed: settledUpTo(producer),
          missing,
          sure,
          credit,
          maxMessageBytes,
          delivery,
        },
        hasOutbox,
      ),
    );
  }

  #takeBatch(
    producer: Producer,
    frame: string,
    header: BatchHeader,
    limits: LineLimits,
    nowMs: number,
  ): void {
    if (producer.session !== undefined && !this.#isRecovery) producer.session.hasCome = true;
    const verdict = this.#port.takeBatch(producer, this, frame, header, limits, nowMs);
    if (verdict.kind !== 'taken') {
      this.#refuseBatch(producer, header, verdict);
      return;
    }
    const { seq, n } = header;
    this.#hear(producer, seq + n - 1);
    // The nacks before the ack that covers them. The shard knows already all that it has to know, since the nacks may be the
    // end of a client that does not read.
    if (verdict.refused.length > 0) this.#nackRefused(seq, verdict.refused);
    this.#port.endBatch(this, nowMs);
  }

  #refuseBatch(
    producer: Producer,
    { seq, n }: BatchHeader,
    verdict: Exclude<BatchVerdict, { kind: 'taken' }>,
  ): void {
    switch (verdict.kind) {
      case 'gap':
        this.#send(encodeGap(this.#heard + 1, seq));
        break;
      case 'malformed':
        this.#refuseFrame(
          'invalid_frame',
          `batch: n says ${n}, and there are not so many lines below the header`,
        );
        break;
      case 'deferred': {
        const { code, from, refused } = verdict;
        this.#nackRefused(seq, refused);
        this.#hear(producer, from - 1);
        const range = { from, to: seq + n - 1 };
        this.#send(
          encodeNack(code, true, 'Nothing of it was taken: send it again when the credit allows', range),
        );
        if (code === 'buffer_full') this.#port.sendFlow(this);
        else if (this.credit.isIgnored())
          this.close('over_credit', 'far beyond the credit: wait for the flow frame that grants some');
        break;
      }
    }
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

  // Those of lines that were skipped too: the nack of the first time may have been lost with its connection, and an ack
  // must not pass for it. Neighbours that are refused for the same reason share a nack.
  #nackRefused(seq: number, refused: BatchBody['refused']): void {
    let nacks = 0;
    for (let index = 0; index < refused.length; ) {
      const { offset, code } = refused[index] as RefusedLine;
      const reason = reasonOf(refused[index], nacks);
      let count = 1;
      for (let next = refused[index + 1]; next !== undefined; next = refused[index + count]) {
        if (next.offset !== offset + count || next.code !== code || reasonOf(next, nacks) !== reason) break;
        count += 1;
      }
      const range = { from: seq + offset, to: seq + offset + count - 1 };
      const text = reason ?? refusalText(code, this.#port.terms.frameLimits);
      this.#send(encodeNack(code, false, text, range, REFUSED_BY[code]));
      nacks += 1;
      index += count;
    }
  }

  #refuseFrame(code: ErrorCode, message: string): void {
    this.#badFrames += 1;
    this.#send(encodeNack(code, false, message));
    if (this.#badFrames > MAX_BAD_FRAMES) this.close('invalid_frame', 'too many frames that cannot be read');
  }

  sendAck(credit: Credit, creditText: string): void {
    const producer = this.#producer;
    if (this.#isClosed || producer === undefined) return;
    this.credit.note(credit);
    const taken = producer.nextSequence - 1;
    const committed = settledUpTo(producer);
    this.#send(
      encodeAck(
        Math.min(taken, this.#heard),
        Math.min(committed, this.#heard),
        creditText,
        this.#port.terms.hasOutbox,
      ),
    );
    // A client that does not read was closed by that.
    if (this.#isClosed || !this.#isLeaving) return;
    if (this.#ack !== 'stored' && committed < taken) return;
    this.#send('{"t":"bye"}');
    this.#isClosed = true;
    this.#peer.close(1000, 'bye');
    this.#port.leave(this, producer);
  }

  onCommitted(): void {
    if (this.#ack === 'committed' || this.#isLeaving) this.#port.ackSoon(this);
  }

  sendDead(epoch: number, sequence: number, refusal: Refusal): void {
    if (this.#ack !== 'committed' || this.#producer?.epoch !== epoch) return;
    const range = { from: sequence, to: sequence };
    this.#send(encodeNack('dead_letter', false, refusal.reason, range, refusal));
  }

  sendFlow(credit: Credit, reason: FlowReason): void {
    if (this.#producer === undefined) return;
    this.credit.note(credit);
    this.#send(encodeFlow(encodeCredit(credit), reason));
  }

  drain(retryMs: number): void {
    this.#send(`{"t":"drain","retryMs":${retryMs}}`);
  }

  #send(frame: string): void {
    if (this.#isClosed) return;
    this.#peer.send(frame);
    const reader = this.#reader.sent(frame.length, this.#port.terms.timers.now());
    if (reader === 'slow') this.close('slow_reader', 'read what the server sends, and answer its pings');
    else if (reader === 'ask') this.#peer.send(`{"t":"ping","id":${this.#reader.pingId}}`);
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
    if (this.#producer !== undefined) this.#port.leave(this, this.#producer);
  }
}

/** Nacks of a batch that have a reason of their own; further ones give the one of their code, so that neighbours can share. */
const MAX_OWN_REASONS = 100;

function reasonOf(refused: RefusedLine | undefined, nacks: number): string | undefined {
  return nacks < MAX_OWN_REASONS ? refused?.message : undefined;
}
