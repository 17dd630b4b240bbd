import type { ClientStorage } from '../storage.ts';
import { type RecordKey, recordStorage, type StorageRecord } from './record-storage.ts';
import { storageInUse } from './web-lock.ts';

/** A storage that lasts as long as its object: for tests, and for a producer that makes a new client in the same process. */
export function memoryStorage(): ClientStorage {
  const records = new Map<string, StorageRecord>();
  const nameOf = ({ kind, instance, first }: RecordKey) => `${kind}/${instance}/${first}`;
  let isInUse = false;
  return recordStorage({
    async load() {
      if (isInUse) throw storageInUse('This memory is open in another client');
      isInUse = true;
      return [...records.values()];
    },
    write(put, removed) {
      if (put) records.set(nameOf(put), put);
      for (const key of removed) records.delete(nameOf(key));
    },
    close() {
      isInUse = false;
    },
  });
}
