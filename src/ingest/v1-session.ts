/** One socket that speaks `sluice.v1` (PROTOCOL.md is its law). */

import { clientName } from '../access/producer-name.ts';
import { closeCode, closeReason, type ErrorCode } from '../core/errors.ts';
import { HELLO_TIME_LIMIT_MS, MAX_BAD_FRAMES, MAX_FRAME_BYTES } from '../core/limits.ts';
import { type Producer, settledUpTo } from '../outbox/producer.ts';
import type { Refusal } from '../outbox/refusal.ts';
import { decodeBinaryFrame } from '../protocol/binary-frame.ts';
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
  readClientFrame,
} from '../protocol/sluice-v1.ts';
import { ClientCredit } from './client-credit.ts';
import type { Peer, Session, SessionMemory, SessionRequest } from './intake.ts';
import { ReaderCheck } from './reader-check.ts';
import { nacksOf } from './refused-lines.ts';
import { type GuardedSession, SessionGuard } from './session-guard.ts';
import type { BatchSource, BatchVerdict, SessionPort, ShardSession } from './session-port.ts';
import type { SessionQuota } from './session-quota.ts';

export class V1Session implements Session, ShardSession, BatchSource {
  readonly protocol = 'sluice.v1';
  /** What the client may send. */
  readonly credit: ClientCredit;
  /** Another one where a fresh token says other limits. */
  quota: SessionQuota | undefined;
  readonly #port: SessionPort;
  readonly #peer: Peer;
  readonly #name: string;
  readonly #onRemember: ((memory: SessionMemory) => void) | undefined;
  readonly #guard: SessionGuard;
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
  /** Messages that were taken and not acked yet, and when the first of them came. */
  #unacked = 0;
  #unackedSinceMs = 0;
  #unreadBytes = 0;

  constructor(
    port: SessionPort,
    peer: Peer,
    { producer, access, memory, onRemember }: Omit<SessionRequest, 'protocol' | 'nowMs'>,
    quota?: SessionQuota,
  ) {
    this.#port = port;
    this.#peer = peer;
    this.#name = producer;
    this.quota = quota;
    this.#onRemember = onRemember;
    this.#guard = new SessionGuard(access, producer, this.#guarded(), memory?.askedAtMs);
    this.credit = new ClientCredit(port.terms.maxMessageBytes);
    this.#cancelHelloLimit = port.terms.timers.after(HELLO_TIME_LIMIT_MS, () =>
      this.close('hello_timeout', 'send {"t":"hello"} first'),
    );
    if (memory !== undefined) this.#wake(memory);
  }

  #guarded(): GuardedSession {
    const session = this;
    return {
      get isWelcome() {
        return session.isWelcome;
      },
      now: () => this.#port.terms.timers.now(),
      send: (frame) => this.#send(frame),
      close: (code, reason) => this.close(code, reason),
      receive: (frame, nowMs) => this.receive(frame, nowMs),
      onAsked: () => this.#remember(),
    };
  }

  get memory(): SessionMemory | undefined {
    const producer = this.#producer;
    if (producer === undefined) return undefined;
    const session = this.#isRecovery ? null : (producer.session?.id ?? null);
    const { askedAtMs } = this.#guard;
    return { epoch: producer.epoch, session, ack: this.#ack, isCaughtUp: this.#isCaughtUp, askedAtMs };
  }

  get isWelcome(): boolean {
    return this.#producer !== undefined;
  }

  get heard(): number {
    return this.#heard;
  }

  /** Goes on after a hibernation; the client has noticed nothing. */
  #wake(memory: SessionMemory): void {
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
    if (nowMs >= this.#guard.dueAtMs && !this.#guard.mayTake(frame, nowMs)) return;
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
      case 'auth':
        this.#guard.renew(read.token);
        break;
      case 'pong':
        this.#reader.pong(read.id);
        this.#noteUnread(this.#reader.unreadBytes);
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
    const name = clientName(this.#name);
    if (hello.producer !== undefined && hello.producer !== name) {
      this.close('invalid_hello', `this socket belongs to the producer ${name}, as named in its address`);
      return;
    }
    const welcome = (): void => this.#welcome(hello, this.#port.terms.timers.now());
    if (this.#guard.admits(hello.token, welcome)) this.#welcome(hello, nowMs);
  }

  #welcome(hello: Hello, nowMs: number): void {
    const welcomed = this.#port.welcome(this, this.#name, hello, nowMs);
    if (welcomed === undefined) return;
    const { producer, next, ack, isRecovery, isKnown, missing, session, sure, credit } = welcomed;
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
          producer: clientName(this.#name),
          epoch: producer.epoch,
          session,
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
    if (this.quota?.isUntold === true) this.#port.sendFlow(this, true);
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
    if (this.#unacked === 0) this.#unackedSinceMs = nowMs;
    this.#unacked += n;
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
        if (code !== 'over_credit') this.#port.sendFlow(this, code === 'rate_limited');
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
    this.#remember();
  }

  #remember(): void {
    const { memory } = this;
    if (memory !== undefined) this.#onRemember?.(memory);
  }

  #nackRefused(seq: number, refused: BatchBody['refused']): void {
    for (const nack of nacksOf(seq, refused, this.#port.terms.frameLimits)) this.#send(nack);
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
    if (this.#unacked > 0) this.#noteAcked();
    // A client that does not read was closed by that.
    if (this.#isClosed || !this.#isLeaving) return;
    if (this.#ack !== 'stored' && committed < taken) return;
    this.#send('{"t":"bye"}');
    this.#isClosed = true;
    this.#noteUnread(0);
    this.#guard.end();
    this.#peer.close(1000, 'bye');
    this.quota?.leave();
    this.#port.leave(this, producer);
  }

  #noteAcked(): void {
    const { measured, timers } = this.#port.terms;
    measured.acked(this.#unacked, this.#unackedSinceMs, timers.now());
    this.#unacked = 0;
  }

  onCommitted(): void {
    if (this.#ack === 'committed' || this.#isLeaving) this.#port.ackSoon(this);
  }

  sendDead(epoch: number, sequence: number, refusal: Refusal): void {
    if (this.#ack !== 'committed' || this.#producer?.epoch !== epoch) return;
    const range = { from: sequence, to: sequence };
    this.#send(encodeNack('dead_letter', false, refusal.reason, range, refusal));
  }

  sendFlow(credit: Credit, reason: FlowReason, retryMs?: number): void {
    if (this.#producer === undefined) return;
    this.credit.note(credit);
    this.#send(encodeFlow(encodeCredit(credit), reason, retryMs));
  }

  drain(retryMs: number): void {
    this.#send(`{"t":"drain","retryMs":${retryMs}}`);
  }

  #send(frame: string): void {
    if (this.#isClosed) return;
    this.#peer.send(frame);
    const nowMs = this.#port.terms.timers.now();
    const reader = this.#reader.sent(frame.length, nowMs);
    this.#noteUnread(this.#reader.unreadBytes);
    if (reader === 'slow') this.close('slow_reader', 'read what the server sends, and answer its pings');
    else if (reader === 'ask') this.#peer.send(`{"t":"ping","id":${this.#reader.pingId}}`);
    // After what was to be said: an ack counts, though the time for a fresh token is over.
    if (nowMs >= this.#guard.dueAtMs) this.#guard.look(nowMs);
  }

  // Memory that the platform needs for what the client has not read.
  #noteUnread(bytes: number): void {
    if (bytes === this.#unreadBytes) return;
    this.#port.addUnread(bytes - this.#unreadBytes);
    this.#unreadBytes = bytes;
  }

  close(code: ErrorCode, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (code === 'fenced') this.#port.terms.measured.sessionsFenced += 1;
    this.#peer.close(closeCode(code), closeReason(code, reason));
    this.end();
  }

  end(): void {
    this.#isClosed = true;
    this.#noteUnread(0);
    this.#guard.end();
    this.#cancelHelloLimit?.();
    this.quota?.leave();
    if (this.#producer !== undefined) this.#port.leave(this, this.#producer);
  }
}
