/**
 * What a flusher does with a batch that Postgres refused for something in it: isolates the rows at fault, and notices where the
 * buffer has moved on meanwhile, so that nothing of the batch may be put back.
 */

import type { MessageBatch } from '../sinks/message-batch.ts';
import type { FlushFault } from './flush-faults.ts';
import type { IsolationAids, WriteEnd } from './flusher-options.ts';
import { type BatchEnd, type IsolationPorts, isolateBatch } from './isolation.ts';

export interface FlushIsolationPorts extends Pick<IsolationPorts, 'settle' | 'deadLetter'> {
  aids: Partial<IsolationAids>;
  write: (rows: MessageBatch) => Promise<WriteEnd>;
  classify: (error: unknown) => FlushFault;
  /** Called where the buffer has moved on: so many messages turned out to be settled. */
  moved: (settledRows: number) => void;
}

/**
 * @param error what the batch as a whole has just failed with, of class `isolate`
 * @returns `moved`: the buffer has moved on, and everything taken from it is void
 */
export async function isolateRefused(
  batch: MessageBatch,
  error: unknown,
  { aids: { judge, roomFor, look }, write, classify, settle, moved, deadLetter }: FlushIsolationPorts,
): Promise<BatchEnd | { state: 'moved' }> {
  let hasMoved = false;
  const assertNotMoved = (written: WriteEnd): void => {
    if (written.state === 'committed') return;
    hasMoved = true;
    moved(written.settledRows);
    throw new Error('The rest of the batch is settled elsewhere');
  };
  const end = await isolateBatch(batch, error, {
    write: async (rows) => assertNotMoved(await write(rows)),
    classify: (fault) => {
      const found = hasMoved ? 'retry' : classify(fault);
      return found === 'stop' ? 'pause' : found;
    },
    judge: judge ?? (async (refusal) => ({ do: 'condemn', error: refusal.error })),
    settle,
    deadLetter,
    roomFor: roomFor ?? ((rows) => rows.length),
    ...(look === undefined
      ? {}
      : {
          look: {
            ...look,
            writeWithout: async (rows, left, beforeCommit) =>
              assertNotMoved(await look.writeWithout(rows, left, beforeCommit)),
          },
        }),
  });
  return hasMoved ? { state: 'moved' } : end;
}
