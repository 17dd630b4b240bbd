/** A storage that lasts as long as its object: for tests, and for a producer that makes a new client in the same process. */

import type { ClientStorage, SequenceRun, StoredBatch, StoredInstance } from '../storage.ts';

interface Kept {
  session?: string;
  acked: number;
  batches: StoredBatch[];
  discarded: SequenceRun[];
  inDoubt: StoredBatch[];
}

export function memoryStorage(): ClientStorage {
  const instances = new Map<string, Kept>();
  let isOpen = false;
  const put = (list: StoredBatch[], batch: StoredBatch): void => {
    const isNext = (list.at(-1)?.first ?? 0) < batch.first;
    const at = isNext ? -1 : list.findIndex(({ first }) => first === batch.first);
    if (at === -1) list.push(batch);
    else list[at] = batch;
  };
  const within =
    ({ first, last }: SequenceRun) =>
    (batch: StoredBatch): boolean =>
      batch.first >= first && batch.first + batch.count - 1 <= last;
  return {
    async load() {
      if (isOpen)
        throw Object.assign(new Error('This memory is open in another client'), { code: 'storage_in_use' });
      isOpen = true;
      return [...instances].map(([instance, { batches, discarded, inDoubt, ...rest }]): StoredInstance => {
        return { instance, ...rest, batches: [...batches], discarded: [...discarded], inDoubt: [...inDoubt] };
      });
    },
    begin(instance) {
      if (!instances.has(instance)) {
        instances.set(instance, { acked: 0, batches: [], discarded: [], inDoubt: [] });
      }
    },
    append(instance, batch) {
      const kept = instances.get(instance);
      if (kept !== undefined) put(kept.batches, batch);
    },
    saveSession(instance, session) {
      const kept = instances.get(instance);
      if (kept !== undefined) kept.session = session;
    },
    trim(instance, upTo) {
      const kept = instances.get(instance);
      if (kept === undefined) return;
      kept.acked = Math.max(kept.acked, upTo);
      kept.batches = kept.batches.filter(({ first, count }) => first + count - 1 > upTo);
      kept.discarded = kept.discarded.filter(({ last }) => last > upTo);
    },
    discard(instance, run) {
      const kept = instances.get(instance);
      if (kept === undefined) return;
      const isIn = within(run);
      kept.batches = kept.batches.filter((batch) => !isIn(batch));
      kept.inDoubt = kept.inDoubt.filter((batch) => !isIn(batch));
      if (run.last > kept.acked) kept.discarded = withRun(kept.discarded, run);
    },
    setAside(instance, batch) {
      const kept = instances.get(instance);
      if (kept !== undefined) put(kept.inDoubt, batch);
    },
    forget(instance) {
      instances.delete(instance);
    },
    close() {
      isOpen = false;
    },
  };
}

/** Adds a run; one that follows the last makes it longer, so that a long outage makes no long list. */
function withRun(runs: readonly SequenceRun[], { first, last }: SequenceRun): SequenceRun[] {
  const before = runs.at(-1);
  if (before === undefined || first < before.first || first > before.last + 1)
    return [...runs, { first, last }];
  return [...runs.slice(0, -1), { first: before.first, last: Math.max(before.last, last) }];
}
