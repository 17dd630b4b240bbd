/** Asks a sink's schema of the messages of a frame: what it refuses is refused with the frame, what it makes is taken. */

import { JSON_ESCAPED, JSON_PLAIN } from '../protocol/check-json.ts';
import { type DecodedFrame, judgeMessage, type RefusalCode, refusalText } from '../protocol/frame.ts';
import type { BatchBody } from '../protocol/sluice-v1.ts';
import type { AskSchema } from '../sinks/message-schema.ts';

/** A message as it is to be stored, or why it is not. */
export type GateVerdict = { payload: string; isPlain: boolean } | { code: RefusalCode; message: string };

export class SchemaGate {
  readonly #ask: AskSchema;
  readonly #maxMessageBytes: number;

  constructor(ask: AskSchema, maxMessageBytes: number) {
    this.#ask = ask;
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Never throws. */
  judge(payload: string): GateVerdict {
    const verdict = this.#ask(payload);
    if ('code' in verdict) return verdict;
    // A schema may make anything: what is stored has to be what Postgres takes.
    const text = verdict.payload;
    const json = judgeMessage(text, 0, text.length, this.#maxMessageBytes);
    if (json === JSON_PLAIN || json === JSON_ESCAPED) return { payload: text, isPlain: json === JSON_PLAIN };
    return {
      code: json,
      message: `What the sink's schema makes of it cannot be stored. ${refusalText(json)}`,
    };
  }

  /** @param lines the frame's line of each payload */
  gateFrame(decoded: DecodedFrame, lines: readonly number[], maxRefusals: number): DecodedFrame {
    const { refusals } = decoded;
    const gated = { payloads: [] as string[], plain: [] as boolean[], refusals: [...refusals] };
    let { refusedCount } = decoded;
    decoded.payloads.forEach((payload, index) => {
      const verdict = this.judge(payload);
      if ('code' in verdict) {
        refusedCount += 1;
        gated.refusals.push({ line: lines[index] as number, code: verdict.code, message: verdict.message });
        return;
      }
      gated.payloads.push(verdict.payload);
      gated.plain.push(verdict.isPlain);
    });
    gated.refusals.sort((one, other) => one.line - other.line);
    return { ...gated, refusals: gated.refusals.slice(0, maxRefusals), refusedCount, text: undefined };
  }

  /**
   * @param body all lines of a batch, none of them skipped
   * @param skipped lines that were taken before: they are judged again, so that a lost refusal is told again
   */
  gateBatch(body: BatchBody, lines: number, skipped: number): BatchBody {
    const refused: BatchBody['refused'][number][] = [];
    const payloads: string[] = [];
    const plain: boolean[] = [];
    let place = 0;
    let bad = 0;
    for (let offset = 0; offset < lines; offset += 1) {
      const before = body.refused[bad];
      if (before?.offset === offset) {
        refused.push(before);
        bad += 1;
        continue;
      }
      const verdict = this.judge(body.payloads[place] as string);
      place += 1;
      if ('code' in verdict) refused.push({ offset, ...verdict });
      else if (offset >= skipped) {
        payloads.push(verdict.payload);
        plain.push(verdict.isPlain);
      }
    }
    return { payloads, plain, refused, text: undefined };
  }
}
