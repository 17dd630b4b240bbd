/** The last messages of a lane that are settled and still in storage: Postgres has taken them, so they bear witness about others. */

import type { Message } from '../sinks/message-batch.ts';
import type { DeadPositions } from './dead-positions.ts';
import { decodeRuns } from './group.ts';
import type { LaneStorage } from './lane-storage.ts';

/** Of the last group before `head`: the last message of each producer in it, without dead letters. */
export function lastMessagesBefore(head: bigint, storage: LaneStorage, dead: DeadPositions): Message[] {
  const found = new Map<string, Message>();
  const start = storage.startOfGroupAt(head - 1n);
  for (const { runs, body } of storage.read(start, start)) {
    const payloads = body.split('\n');
    let place = 0;
    for (const { producer, epoch, firstSequence, rows, receivedAtMs } of decodeRuns(runs)) {
      for (let row = 0; row < rows; row += 1, place += 1) {
        const position = start + BigInt(place);
        if (position >= head || dead.has(position)) continue;
        const payload = payloads[place] as string;
        found.set(producer, { producer, epoch, sequence: firstSequence + row, payload, receivedAtMs });
      }
    }
  }
  return [...found.values()];
}
