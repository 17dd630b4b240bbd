/** The nacks of a batch's lines that are refused. */

import { type FrameLimits, refusalText } from '../protocol/frame.ts';
import { type BatchBody, encodeNack, type NackDetails, type RefusedLine } from '../protocol/sluice-v1.ts';

/** Who refuses a message before it is stored, where the code of the refusal does not say it. */
const REFUSED_BY: Partial<Record<RefusedLine['code'], NackDetails>> = {
  invalid_message: { by: 'schema', column: null, constraint: null, sqlState: null },
  sink_failed: { by: 'sink', column: null, constraint: null, sqlState: null },
};

/** Nacks of a batch that have a reason of their own; further ones give the one of their code, so that neighbours can share. */
const MAX_OWN_REASONS = 100;

/**
 * The nacks, in order. Those of lines that were skipped too: the nack of the first time may have been lost with its connection,
 * and an ack must not pass for it. Neighbours that are refused for the same reason share a nack.
 *
 * @param seq the sequence of the batch's first line
 */
export function* nacksOf(seq: number, refused: BatchBody['refused'], limits: FrameLimits): Generator<string> {
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
    yield encodeNack(code, false, reason ?? refusalText(code, limits), range, REFUSED_BY[code]);
    nacks += 1;
    index += count;
  }
}

function reasonOf(refused: RefusedLine | undefined, nacks: number): string | undefined {
  return nacks < MAX_OWN_REASONS ? refused?.message : undefined;
}
