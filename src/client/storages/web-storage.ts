/**
 * A client's storage in `localStorage` or `sessionStorage`: what `send` has taken is there when the call returns. A browser
 * that is killed may lose the last moments of it; the client recovers from that by itself.
 */

import type { ClientStorage, SequenceRun, StoredBatch, StoredInstance } from '../storage.ts';
import { platformLocks, takeWebLock, type WebLocks } from './web-lock.ts';

/** What is needed of `localStorage`. */
export interface StorageArea {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface WebStorageOptions {
  /** Keeps two pages from using one storage. Default: `navigator.locks`, where there is one (pages over TLS). */
  locks?: WebLocks | undefined;
}

interface Head {
  order: number;
  session?: string;
  acked: number;
  discarded: SequenceRun[];
}

/**
 * @param area `localStorage` or `sessionStorage`
 * @param key begins the names of all items; one for each producer
 */
export function webStorage(area: StorageArea, key: string, options: WebStorageOptions = {}): ClientStorage {
  const locks = 'locks' in options ? options.locks : platformLocks();
  const heads = new Map<string, Head>();
  // The first sequences and the counts of what there is, so that a trim need not look through the area.
  const batches = new Map<string, Map<number, number>>();
  const inDoubt = new Map<string, Map<number, number>>();
  let release: (() => void) | undefined;

  // Without a slash, so that no key is the beginning of another.
  const prefix = `${encodeURIComponent(key)}/`;
  const headKey = (instance: string) => `${prefix}${instance}`;
  const batchKey = (instance: string, first: number) => `${prefix}${instance}/${first}`;
  const doubtKey = (instance: string, first: number) => `${prefix}${instance}/?${first}`;
  const indexOf = (index: Map<string, Map<number, number>>, instance: string): Map<number, number> => {
    const known = index.get(instance) ?? new Map<number, number>();
    index.set(instance, known);
    return known;
  };
  const saveHead = (instance: string, change: Partial<Head>): void => {
    const head = heads.get(instance);
    if (head === undefined) return;
    const next = { ...head, ...change };
    area.setItem(headKey(instance), JSON.stringify(next));
    heads.set(instance, next);
  };
  const remove = (
    index: Map<string, Map<number, number>>,
    instance: string,
    keyOf: (instance: string, first: number) => string,
    isGone: (first: number, last: number) => boolean,
  ): void => {
    const known = indexOf(index, instance);
    for (const [first, count] of known) {
      if (!isGone(first, first + count - 1)) continue;
      area.removeItem(keyOf(instance, first));
      known.delete(first);
    }
  };
  const allKeys = (): string[] => {
    const keys: string[] = [];
    for (let index = 0; index < area.length; index += 1) {
      const name = area.key(index);
      if (name?.startsWith(prefix)) keys.push(name);
    }
    return keys;
  };

  const read = (): StoredInstance[] => {
    heads.clear();
    batches.clear();
    inDoubt.clear();
    const found = new Map<string, { batches: StoredBatch[]; inDoubt: StoredBatch[] }>();
    const partsOf = (instance: string) => {
      const parts = found.get(instance) ?? { batches: [], inDoubt: [] };
      found.set(instance, parts);
      return parts;
    };
    for (const name of allKeys()) {
      const [instance = '', part] = name.slice(prefix.length).split('/');
      const value = area.getItem(name);
      if (value === null) continue;
      if (part === undefined) {
        heads.set(instance, JSON.parse(value) as Head);
        continue;
      }
      const isDoubt = part.startsWith('?');
      const first = Number(isDoubt ? part.slice(1) : part);
      const newline = value.indexOf('\n');
      const batch = { first, count: Number(value.slice(0, newline)), text: value.slice(newline + 1) };
      partsOf(instance)[isDoubt ? 'inDoubt' : 'batches'].push(batch);
      indexOf(isDoubt ? inDoubt : batches, instance).set(first, batch.count);
    }
    return [...heads]
      .sort(([, one], [, other]) => one.order - other.order)
      .map(([instance, { order: _, ...head }]) => {
        const parts = partsOf(instance);
        for (const list of [parts.batches, parts.inDoubt]) list.sort((one, other) => one.first - other.first);
        return { instance, ...head, ...parts };
      });
  };

  return {
    async load() {
      release ??= await takeWebLock(locks, `sluice ${key}`, 'a key');
      return read();
    },
    begin(instance) {
      if (heads.has(instance)) return;
      const order = Math.max(0, ...[...heads.values()].map((head) => head.order)) + 1;
      const head = { order, acked: 0, discarded: [] };
      area.setItem(headKey(instance), JSON.stringify(head));
      heads.set(instance, head);
    },
    append(instance, { first, count, text }) {
      area.setItem(batchKey(instance, first), `${count}\n${text}`);
      indexOf(batches, instance).set(first, count);
    },
    saveSession: (instance, session) => saveHead(instance, { session }),
    trim(instance, upTo) {
      const { acked = 0, discarded = [] } = heads.get(instance) ?? {};
      const left = discarded.filter(({ last }) => last > upTo);
      saveHead(instance, { acked: Math.max(acked, upTo), discarded: left });
      remove(batches, instance, batchKey, (_, last) => last <= upTo);
    },
    discard(instance, { first, last }) {
      const { acked = 0, discarded = [] } = heads.get(instance) ?? {};
      // Its texts may stand among others that are needed: what was discarded is noted before any is taken away.
      if (last > acked) saveHead(instance, { discarded: withRun(discarded, { first, last }) });
      const isGone = (from: number, to: number) => from >= first && to <= last;
      remove(batches, instance, batchKey, isGone);
      remove(inDoubt, instance, doubtKey, isGone);
    },
    setAside(instance, { first, count, text }) {
      area.setItem(doubtKey(instance, first), `${count}\n${text}`);
      indexOf(inDoubt, instance).set(first, count);
    },
    forget(instance) {
      // The head last: what has none is not read.
      remove(batches, instance, batchKey, () => true);
      remove(inDoubt, instance, doubtKey, () => true);
      area.removeItem(headKey(instance));
      heads.delete(instance);
    },
    close() {
      release?.();
      release = undefined;
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
