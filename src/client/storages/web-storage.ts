/**
 * A client's storage in `localStorage` or `sessionStorage`: what `send` has taken is there when the call returns. A browser
 * that is killed may lose the last moments of it; the client recovers from that by itself.
 */

import type { ClientStorage } from '../storage.ts';
import { type Head, type RecordKey, recordStorage, type StorageRecord } from './record-storage.ts';
import { type WebLocks, webLock } from './web-lock.ts';

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

/**
 * @param area `localStorage` or `sessionStorage`
 * @param key begins the names of all items; one for each producer
 */
export function webStorage(area: StorageArea, key: string, options: WebStorageOptions = {}): ClientStorage {
  const lock = webLock(options, `sluice ${key}`, 'a key');
  // Without a slash, so that no key is the beginning of another.
  const prefix = `${encodeURIComponent(key)}/`;
  // A head: its instance. A batch: `instance/first`, and `instance/?first` where it is in doubt.
  const nameOf = ({ kind, instance, first }: RecordKey) =>
    prefix + instance + (kind === 'instances' ? '' : `/${kind === 'inDoubt' ? '?' : ''}${first}`);

  return recordStorage({
    async load() {
      await lock.acquire();
      const records: StorageRecord[] = [];
      for (let index = 0; index < area.length; index += 1) {
        const name = area.key(index);
        const text = name?.startsWith(prefix) ? area.getItem(name) : null;
        if (!name || text === null) continue;
        const [instance = '', part] = name.slice(prefix.length).split('/');
        if (part === undefined) {
          records.push({ kind: 'instances', instance, first: 0, value: JSON.parse(text) as Head });
          continue;
        }
        const kind = part.startsWith('?') ? 'inDoubt' : 'batches';
        const first = Number(part.replace('?', ''));
        const newline = text.indexOf('\n');
        const value = { first, count: Number(text.slice(0, newline)), text: text.slice(newline + 1) };
        records.push({ kind, instance, first, value });
      }
      return records;
    },
    write(put, removed) {
      if (put) {
        const { kind, value } = put;
        area.setItem(
          nameOf(put),
          kind === 'instances' ? JSON.stringify(value) : `${value.count}\n${value.text}`,
        );
      }
      for (const key of removed) area.removeItem(nameOf(key));
    },
    close: lock.release,
  });
}
