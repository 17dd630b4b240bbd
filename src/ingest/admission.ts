/**
 * What of a frame is taken: its messages are gathered where they are good, new and in their place, and where there is room for
 * them. Everything that arrives is counted here.
 */

import { compactTexts } from '../core/compact-text.ts';
import { MAX_REFUSALS_PER_ERROR_FRAME } from '../core/limits.ts';
import type { Producer } from '../outbox/producer.ts';
import { JSON_PLAIN } from '../protocol/check-json.ts';
import {
  type DecodedFrame,
  decodeFrame,
  encodeErrorFrame,
  judgeMessage,
  REPLACEMENT,
  type RefusalCode,
} from '../protocol/frame.ts';
import { type BatchBody, type BatchHeader, type LineLimits, readBatchBody } from '../protocol/sluice-v1.ts';
import { type Capacity, charactersOf } from './capacity.ts';
import type { GroupCommit } from './group-commit.ts';
import type { IntakeCounters } from './intake-counters.ts';
import type { MemoryHold } from './memory-hold.ts';
import type { Meter } from './meter.ts';
import type { SchemaGate } from './schema-gate.ts';
import type { BatchSource, BatchVerdict, SessionTerms } from './session-port.ts';
import {
  fullShareSentence,
  newAmountOf,
  type RateRefusal,
  rawAmountOf,
  refusalSentence,
  type SessionQuota,
} from './session-quota.ts';

/** What became of a raw frame. */
export interface Receipt {
  /** Messages taken. */
  accepted: number;
  /** The frame that answers refusals, ready to be sent; undefined where all was taken. */
  errorFrame: string | undefined;
  /** True when there was no room: the socket is to be closed. */
  isFull: boolean;
  /** What was full. Default: `buffer_full`. */
  fullCode?: 'memory_full';
  /** True when a limit refused all of it. */
  isRateLimited?: true;
}

export interface AdmissionOptions {
  terms: SessionTerms;
  capacity: Capacity;
  group: GroupCommit;
  counters: IntakeCounters;
  memory: MemoryHold;
  /** Asked of every message that is good JSON. Missing: the sink has no schema. */
  gate: SchemaGate | undefined;
}

const TAKEN: BatchVerdict = { kind: 'taken', refused: [] };
const GAP: BatchVerdict = { kind: 'gap' };
const MALFORMED: BatchVerdict = { kind: 'malformed' };

export class Admission {
  readonly #terms: SessionTerms;
  readonly #capacity: Capacity;
  readonly #group: GroupCommit;
  readonly #counters: IntakeCounters;
  readonly #memory: MemoryHold;
  readonly #gate: SchemaGate | undefined;

  constructor({ terms, capacity, group, counters, memory, gate }: AdmissionOptions) {
    this.#terms = terms;
    this.#capacity = capacity;
    this.#group = group;
    this.#counters = counters;
    this.#memory = memory;
    this.#gate = gate;
  }

  /**
   * Takes the frame of a raw socket.
   *
   * @param quota what the socket may send; undefined where nothing bounds it
   */
  takeRawFrame(
    producer: Producer,
    frame: string | ArrayBuffer,
    nowMs: number,
    quota?: SessionQuota,
  ): Receipt {
    const { frameLimits } = this.#terms;
    const amount = quota === undefined || typeof frame !== 'string' ? undefined : rawAmountOf(frame, quota);
    const refusal = amount === undefined ? undefined : quota?.refusalOf(amount, nowMs);
    if (refusal !== undefined) return this.#refuseByRate(refusal);
    if (typeof frame === 'string' && !this.#memory.admitsFrame(frame)) {
      this.#counters.received += 1;
      return this.#refuseByMemory(1, 0);
    }
    const decoded = this.#decode(frame);
    const { payloads, refusedCount } = decoded;
    this.#counters.received += payloads.length + refusedCount;
    if (refusedCount > 0) this.#countRefusals(decoded);
    if (payloads.length > 0) {
      const characters = charactersOf(payloads);
      if (!this.#capacity.hasRoomFor(payloads.length, characters))
        return this.#refuseRawFrame(payloads.length, characters, refusedCount);
      if (!this.#memory.admits(payloads.length, characters))
        return this.#refuseByMemory(payloads.length, refusedCount);
      const fullShare = quota?.fullShare(payloads.length, characters);
      if (fullShare !== undefined) return this.#refuseByShare(fullShare, payloads.length, refusedCount);
      decoded.payloads = compactTexts(payloads, characters, (frame as string).length);
      this.#group.gather(producer, producer.nextSequence, decoded, nowMs);
      producer.nextSequence += payloads.length;
      this.#group.endFrame(nowMs);
    }
    if (amount !== undefined) quota?.take(amount, nowMs);
    const errorFrame =
      refusedCount === 0 ? undefined : encodeErrorFrame(decoded.refusals, refusedCount, frameLimits);
    return { accepted: payloads.length, errorFrame, isFull: false };
  }

  // Before anything of it is read: reading is what a flood costs. So it counts as one message.
  #refuseByRate(refusal: RateRefusal): Receipt {
    this.#counters.received += 1;
    this.#counters.countRefused('rate_limited', 1);
    const message = refusalSentence(refusal);
    const errorFrame = encodeErrorFrame(
      [{ line: 0, code: 'rate_limited', message }],
      1,
      this.#terms.frameLimits,
    );
    return { accepted: 0, errorFrame, isFull: false, isRateLimited: true };
  }

  #refuseByMemory(messages: number, refusedCount: number): Receipt {
    this.#countRefusedByMemory(messages);
    const { frameLimits } = this.#terms;
    const refused = refusedCount + messages;
    const errorFrame = encodeErrorFrame([{ line: 0, code: 'memory_full' }], refused, frameLimits);
    return { accepted: 0, errorFrame, isFull: true, fullCode: 'memory_full' };
  }

  #countRefusedByMemory(messages: number): void {
    this.#counters.countRefused('memory_full', messages);
    this.#memory.countRefused(messages);
  }

  #decode(frame: string | ArrayBuffer): DecodedFrame {
    const { frameLimits } = this.#terms;
    if (this.#gate === undefined) return decodeFrame(frame, frameLimits);
    const lines: number[] = [];
    const decoded = decodeFrame(frame, frameLimits, lines);
    return this.#gate.gateFrame(decoded, lines, MAX_REFUSALS_PER_ERROR_FRAME);
  }

  #countRefusals({ refusals, refusedCount }: DecodedFrame): void {
    for (const { code } of refusals) this.#counters.countRefused(code, 1);
    // Refusals beyond those spelled out are counted under the last reason given, so that the sums hold.
    const unnamed = refusedCount - refusals.length;
    if (unnamed > 0) this.#counters.countRefused(refusals.at(-1)?.code ?? 'invalid_json', unnamed);
  }

  #refuseByShare(fullShare: Meter, messages: number, refusedCount: number): Receipt {
    this.#counters.countRefused('buffer_full', messages);
    const errorFrame = encodeErrorFrame(
      [{ line: 0, code: 'buffer_full', message: fullShareSentence(fullShare) }],
      refusedCount + messages,
      this.#terms.frameLimits,
    );
    return { accepted: 0, errorFrame, isFull: true };
  }

  #refuseRawFrame(messages: number, characters: number, refusedCount: number): Receipt {
    // A frame that the empty buffer could not hold will never fit: "try again later" would be a lie.
    const isFull = this.#capacity.couldHold(messages, characters);
    const code: RefusalCode = isFull ? 'buffer_full' : 'frame_too_large';
    this.#counters.countRefused(code, messages);
    const errorFrame = encodeErrorFrame(
      [{ line: 0, code }],
      refusedCount + messages,
      this.#terms.frameLimits,
    );
    return { accepted: 0, errorFrame, isFull };
  }

  /** Takes what can be taken of a batch (`SessionPort.takeBatch`). */
  takeBatch(
    producer: Producer,
    source: BatchSource,
    frame: string,
    header: BatchHeader,
    limits: LineLimits,
    nowMs: number,
  ): BatchVerdict {
    const { seq, n } = header;
    const counters = this.#counters;
    const expected = producer.nextSequence;
    counters.received += n;
    producer.isKnown = true;
    if (seq > source.heard + 1) {
      counters.countRefused('gap', n);
      return GAP;
    }
    if (n === 1 && seq === expected && this.#takeOne(producer, source, frame, header, limits, nowMs))
      return TAKEN;
    const skipped = Math.min(n, expected - seq);
    const { quota } = source;
    const amount = quota === undefined ? undefined : newAmountOf(frame, header, skipped, quota);
    // Before it is read, where nothing of it has to be answered again: reading is what a flood costs.
    const early =
      amount === undefined || skipped > 0 ? undefined : quota?.refuses(amount, source.credit.isNone, nowMs);
    if (early !== undefined) {
      counters.countRefused(early, n);
      return { kind: 'deferred', code: early, from: expected, refused: [] };
    }
    if (skipped === 0 && !this.#memory.admitsFrame(frame))
      return this.#deferByMemory(source, frame, n, expected);
    const body = this.#readBody(frame, header, skipped, limits);
    if (body === undefined) {
      counters.countRefused('invalid_frame', n);
      return MALFORMED;
    }
    counters.duplicate += skipped;
    const { payloads, refused } = body;
    if (skipped === n) return { kind: 'taken', refused };
    const code =
      this.#noRoomFor(source, frame.length, payloads) ??
      (amount === undefined ? undefined : quota?.refuses(amount, source.credit.isNone, nowMs));
    if (code !== undefined) {
      counters.countRefused(code, n - skipped);
      if (code === 'memory_full') this.#memory.countRefused(n - skipped);
      const refusedBefore = refused.filter(({ offset }) => offset < skipped);
      return { kind: 'deferred', code, from: expected, refused: refusedBefore };
    }
    body.payloads = compactTexts(payloads, charactersOf(payloads), frame.length);
    this.#gather(producer, header, skipped, body, nowMs);
    producer.nextSequence = seq + n;
    if (amount !== undefined) quota?.take(amount, nowMs);
    if (refused.length === 0) return TAKEN;
    if (refused.at(-1)?.offset === n - 1) this.#group.skipSequences(producer);
    return { kind: 'taken', refused };
  }

  // One that sends on though it has no credit is told so, and closed in the end.
  #deferByMemory({ credit }: BatchSource, frame: string, messages: number, from: number): BatchVerdict {
    const code = credit.isOverrunBy(frame.length) ? 'over_credit' : 'memory_full';
    if (code === 'memory_full') this.#countRefusedByMemory(messages);
    else this.#counters.countRefused(code, messages);
    return { kind: 'deferred', code, from, refused: [] };
  }

  #readBody(frame: string, header: BatchHeader, skipped: number, limits: LineLimits): BatchBody | undefined {
    if (this.#gate === undefined) return readBatchBody(frame, header, skipped, limits);
    const body = readBatchBody(frame, header, 0, limits);
    return body === undefined ? undefined : this.#gate.gateBatch(body, header.n, skipped);
  }

  // The way of a single plain message for which there is room: nine tenths of the work of producers that do not batch.
  #takeOne(
    producer: Producer,
    { credit, quota }: BatchSource,
    frame: string,
    { seq, bodyStart }: BatchHeader,
    { maxMessageBytes, takesReplacement, badLines }: LineLimits,
    nowMs: number,
  ): boolean {
    if (
      this.#gate !== undefined ||
      badLines !== undefined ||
      (!takesReplacement && frame.includes(REPLACEMENT))
    )
      return false;
    const newline = frame.indexOf('\n', bodyStart);
    const isOneLine = newline === -1 || newline === frame.length - 1;
    if (!isOneLine || credit.isNone) return false;
    const end = newline === -1 ? frame.length : newline;
    if (!this.#capacity.hasRoomFor(1, end - bodyStart) || !this.#memory.admitsFrame(frame)) return false;
    const amount = quota?.amountOf(frame, bodyStart, 1);
    if (amount !== undefined && quota?.allows(amount, nowMs) === false) return false;
    if (quota?.fullShare(1, end - bodyStart) !== undefined) return false;
    if (judgeMessage(frame, bodyStart, end, maxMessageBytes) !== JSON_PLAIN) return false;
    this.#group.gatherOne(producer, seq, frame.slice(bodyStart, end), true, nowMs);
    producer.nextSequence = seq + 1;
    if (amount !== undefined) quota?.take(amount, nowMs);
    return true;
  }

  #noRoomFor(
    { credit, quota }: BatchSource,
    frameLength: number,
    payloads: readonly string[],
  ): 'over_credit' | 'buffer_full' | 'memory_full' | undefined {
    if (credit.isOverrunBy(frameLength)) return 'over_credit';
    const characters = charactersOf(payloads);
    if (!this.#capacity.hasRoomFor(payloads.length, characters)) return 'buffer_full';
    if (!this.#memory.admits(payloads.length, characters)) return 'memory_full';
    return quota?.fullShare(payloads.length, characters) === undefined ? undefined : 'buffer_full';
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
      this.#group.gather(producer, seq + skipped, body, nowMs);
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
        this.#group.gather(producer, seq + from, chunk, nowMs);
      }
      row += rows;
      from = offset + 1;
      if (code !== undefined) this.#counters.countRefused(code, 1);
    }
  }
}
