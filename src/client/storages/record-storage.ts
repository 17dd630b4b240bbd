import type { ClientStorage, SequenceRun, StoredBatch, StoredInstance } from '../storage.ts';

/** What is kept of an instance besides its messages. Written as it is, so its names stay. */
export interface Head {
  /** The later it began, the higher. */
  order: number;
  session?: string;
  acked: number;
  discarded: SequenceRun[];
}

/** An instance's head, whose `first` is 0, or one of its batches. */
export interface RecordKey {
  kind: 'instances' | 'batches' | 'inDoubt';
  instance: string;
  first: number;
}

export type StorageRecord =
  | (RecordKey & { kind: 'instances'; value: Head })
  | (RecordKey & { kind: 'batches' | 'inDoubt'; value: StoredBatch });

/** Where records are kept: a storage of the browser, or memory. */
export interface RecordPlace {
  /** Opens it, where that is not done yet, and returns all records. */
  load(): Promise<readonly StorageRecord[]>;
  /** Puts a record or replaces it, and then removes others in their order. Done when this returns, or when it resolves. */
  write(put: StorageRecord | undefined, removed: readonly RecordKey[]): Promise<void> | void;
  close(): void;
}

/** First and last sequences of batches: what can be removed is known without reading texts. */
type Batches = Map<number, number>;

interface Known {
  head: Head;
  batches: Batches;
  inDoubt: Batches;
}

/** A storage on records. What is known here is what was written, so that a method that failed can be repeated. */
export function recordStorage(place: RecordPlace): ClientStorage {
  const known = new Map<string, Known>();

  const write = (
    put: StorageRecord | undefined,
    removed: readonly RecordKey[],
    done: () => void,
  ): Promise<void> | void => {
    const writing = place.write(put, removed);
    return writing ? writing.then(done) : done();
  };
  /** Changes a head, and removes the batches of some kinds that are gone. */
  const change = (
    instance: string,
    changeOf: (head: Head) => Partial<Head> | undefined,
    kinds: readonly ('batches' | 'inDoubt')[] = [],
    isGone: (first: number, last: number) => boolean = () => true,
  ): Promise<void> | void => {
    const one = known.get(instance);
    if (!one) return;
    const changed = changeOf(one.head);
    const head = { ...one.head, ...changed };
    const gone = kinds.flatMap((kind) =>
      [...one[kind]]
        .filter(([first, last]) => isGone(first, last))
        .map(([first]) => ({ kind, instance, first })),
    );
    return write(changed && { kind: 'instances', instance, first: 0, value: head }, gone, () => {
      one.head = head;
      for (const { kind, first } of gone) one[kind].delete(first);
    });
  };
  const put = (kind: 'batches' | 'inDoubt', instance: string, value: StoredBatch): Promise<void> | void => {
    const { first } = value;
    return write({ kind, instance, first, value }, [], () => {
      known.get(instance)?.[kind].set(first, lastOf(value));
    });
  };

  return {
    async load() {
      const found = new Map<string, { head?: Head; batches: StoredBatch[]; inDoubt: StoredBatch[] }>();
      for (const { kind, instance, value } of await place.load()) {
        const one = found.get(instance) ?? { batches: [], inDoubt: [] };
        found.set(instance, one);
        if (kind === 'instances') one.head = value;
        else one[kind].push(value);
      }
      known.clear();
      const loaded: (StoredInstance & Head)[] = [];
      for (const [instance, { head, ...lists }] of found) {
        if (!head) continue;
        const indexOf = (list: StoredBatch[]) =>
          new Map(
            list.sort((one, other) => one.first - other.first).map((batch) => [batch.first, lastOf(batch)]),
          );
        known.set(instance, { head, batches: indexOf(lists.batches), inDoubt: indexOf(lists.inDoubt) });
        // A discard that was cut short has left the record of what it has noted.
        const inDoubt = lists.inDoubt.filter(
          (batch) => !head.discarded.some(({ first, last }) => first <= batch.first && last >= lastOf(batch)),
        );
        loaded.push({ instance, ...head, ...lists, inDoubt });
      }
      return loaded.sort((one, other) => one.order - other.order).map(({ order: _, ...stored }) => stored);
    },
    begin(instance) {
      if (known.has(instance)) return;
      const order = Math.max(0, ...[...known.values()].map(({ head }) => head.order)) + 1;
      const head: Head = { order, acked: 0, discarded: [] };
      return write({ kind: 'instances', instance, first: 0, value: head }, [], () => {
        known.set(instance, { head, batches: new Map(), inDoubt: new Map() });
      });
    },
    append: (instance, batch) => put('batches', instance, batch),
    setAside: (instance, batch) => put('inDoubt', instance, batch),
    saveSession: (instance, session) => change(instance, () => ({ session })),
    trim: (instance, upTo) =>
      change(
        instance,
        ({ acked, discarded }) => ({
          acked: Math.max(acked, upTo),
          discarded: discarded.filter(({ last }) => last > upTo),
        }),
        ['batches'],
        (_, last) => last <= upTo,
      ),
    discard: (instance, run) =>
      change(
        instance,
        ({ acked, discarded }) => (run.last > acked ? { discarded: withRun(discarded, run) } : undefined),
        ['batches', 'inDoubt'],
        (first, last) => first >= run.first && last <= run.last,
      ),
    forget(instance) {
      const one = known.get(instance);
      if (!one) return;
      const keysOf = (kind: 'batches' | 'inDoubt') =>
        [...one[kind].keys()].map((first) => ({ kind, instance, first }));
      // The head last: batches without one are not read.
      const keys: RecordKey[] = [...keysOf('batches'), ...keysOf('inDoubt')];
      return write(undefined, [...keys, { kind: 'instances', instance, first: 0 }], () => {
        known.delete(instance);
      });
    },
    close: () => place.close(),
  };
}

function lastOf({ first, count }: StoredBatch): number {
  return first + count - 1;
}

/** Adds a run; one that follows the last makes it longer, so that a long outage makes no long list. */
export function withRun(runs: readonly SequenceRun[], run: SequenceRun): SequenceRun[] {
  const before = runs.at(-1);
  if (!before || run.first < before.first || run.first > before.last + 1) return [...runs, run];
  return [...runs.slice(0, -1), { first: before.first, last: Math.max(before.last, run.last) }];
}
