/**
 * A client's storage in a file, for producers in Node: records are appended and synced, so a power cut loses nothing that
 * was sent. A record that was cut off by one is passed over. The file is rewritten when most of it is of no use any more.
 *
 * Beside it lies `<path>.lock`, an empty file that the operating system locks: it cannot go stale.
 */

import { type FileHandle, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ClientStorage, SequenceRun, StoredBatch, StoredInstance } from '../src/client/index.ts';
import { withRun } from '../src/client/storages/record-storage.ts';
import { type FileLock, tryLock } from './postgres/lock.ts';

type FileRecord =
  | ['begin', instance: string]
  | ['append' | 'aside', instance: string, first: number, count: number, text: string]
  | ['session', instance: string, session: string]
  | ['trim', instance: string, upTo: number]
  | ['discard', instance: string, first: number, last: number]
  | ['forget', instance: string];

interface Kept {
  session?: string;
  acked: number;
  batches: StoredBatch[];
  discarded: SequenceRun[];
  inDoubt: StoredBatch[];
}

/** A file that is smaller is not rewritten. */
const COMPACT_FROM_BYTES = 256 * 1024;

/** How much larger than what is needed of it a file may be. */
const COMPACT_FACTOR = 4;

/** @param path of the file, made where it is missing; one for each producer */
export function fileStorage(path: string): ClientStorage {
  let lock: FileLock | undefined;
  let file: FileHandle | undefined;
  /** Bytes that are whole records; what lies after them is overwritten. */
  let size = 0;
  /** Size right after the file was rewritten. */
  let compactSize = 0;
  let kept = new Map<string, Kept>();

  const write = async (record: FileRecord, { isSynced }: { isSynced: boolean }): Promise<void> => {
    if (file === undefined) throw new Error('The storage is not open');
    const bytes = Buffer.from(`${JSON.stringify(record)}\n`);
    let written = 0;
    while (written < bytes.length) {
      const { bytesWritten } = await file.write(bytes, written, bytes.length - written, size + written);
      written += bytesWritten;
    }
    if (isSynced) await file.datasync();
    size += bytes.length;
    apply(kept, record);
  };

  const compact = async (): Promise<void> => {
    if (file === undefined || size < COMPACT_FROM_BYTES || size < compactSize * COMPACT_FACTOR) return;
    const text = [...kept]
      .flatMap(([instance, one]) => recordsOf(instance, one))
      .map((record) => `${JSON.stringify(record)}\n`);
    const bytes = Buffer.from(text.join(''));
    const fresh = await open(`${path}.new`, 'w+');
    try {
      await fresh.writeFile(bytes);
      await fresh.datasync();
      await rename(`${path}.new`, path);
      await syncFolder(dirname(path));
    } catch (error) {
      await fresh.close();
      throw error;
    }
    await file.close();
    file = fresh;
    size = bytes.length;
    compactSize = bytes.length;
  };

  return {
    async load() {
      lock ??= tryLock(`${path}.lock`);
      if (lock === undefined) {
        throw Object.assign(
          new Error(`Another process or client has ${path} open: give each its own producer and file`),
          {
            code: 'storage_in_use',
          },
        );
      }
      await file?.close();
      // Made where it is missing; writes are at positions, which a file that was opened to append to does not allow.
      await (await open(path, 'a')).close();
      const opened = await open(path, 'r+');
      file = opened;
      await syncFolder(dirname(path));
      const found = readRecords(await opened.readFile(), path);
      size = found.size;
      await opened.truncate(size);
      kept = found.kept;
      return [...kept].map(([instance, one]): StoredInstance => ({ instance, ...structuredClone(one) }));
    },
    begin: (instance) => write(['begin', instance], { isSynced: true }),
    append: (instance, { first, count, text }) =>
      write(['append', instance, first, count, text], { isSynced: true }),
    saveSession: (instance, session) => write(['session', instance, session], { isSynced: true }),
    // Losing one of these leaves an older state, from which the client recovers.
    async trim(instance, upTo) {
      await write(['trim', instance, upTo], { isSynced: false });
      await compact();
    },
    async discard(instance, { first, last }) {
      await write(['discard', instance, first, last], { isSynced: false });
      await compact();
    },
    setAside: (instance, { first, count, text }) =>
      write(['aside', instance, first, count, text], { isSynced: true }),
    async forget(instance) {
      await write(['forget', instance], { isSynced: false });
      await compact();
    },
    async close() {
      await file?.datasync().catch(() => undefined);
      await file?.close();
      file = undefined;
      lock?.release();
      lock = undefined;
    },
  };
}

/** What a file holds, and how many of its bytes are whole records. */
function readRecords(bytes: Buffer, path: string): { kept: Map<string, Kept>; size: number } {
  const kept = new Map<string, Kept>();
  let start = 0;
  for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
    try {
      apply(kept, JSON.parse(bytes.toString('utf8', start, end)) as FileRecord);
    } catch (error) {
      // Of a power cut only the end can be wrong: nothing that was synced comes after it.
      if (bytes.indexOf(10, end + 1) === -1) return { kept, size: start };
      throw new Error(`${path} is no storage of a client: the record at byte ${start} cannot be read`, {
        cause: error,
      });
    }
    start = end + 1;
  }
  return { kept, size: start };
}

function put(list: StoredBatch[], batch: StoredBatch): void {
  const isNext = (list.at(-1)?.first ?? 0) < batch.first;
  const at = isNext ? -1 : list.findIndex(({ first }) => first === batch.first);
  if (at === -1) list.push(batch);
  else list[at] = batch;
}

function apply(kept: Map<string, Kept>, record: FileRecord): void {
  const [name, instance] = record;
  if (name === 'begin') {
    if (!kept.has(instance)) kept.set(instance, { acked: 0, batches: [], discarded: [], inDoubt: [] });
    return;
  }
  const one = kept.get(instance);
  if (one === undefined) return;
  if (name === 'append' || name === 'aside') {
    const [, , first, count, text] = record;
    put(name === 'append' ? one.batches : one.inDoubt, { first, count, text });
  } else if (name === 'session') one.session = record[2];
  else if (name === 'trim') {
    const upTo = record[2];
    one.acked = Math.max(one.acked, upTo);
    one.batches = one.batches.filter(({ first, count }) => first + count - 1 > upTo);
    one.discarded = one.discarded.filter(({ last }) => last > upTo);
  } else if (name === 'discard') {
    const [, , first, last] = record;
    const isLeft = (batch: StoredBatch) => batch.first < first || batch.first + batch.count - 1 > last;
    one.batches = one.batches.filter(isLeft);
    one.inDoubt = one.inDoubt.filter(isLeft);
    if (last > one.acked) one.discarded = withRun(one.discarded, { first, last });
  } else if (name === 'forget') kept.delete(instance);
  else throw new Error(`There is no record ${String(name)}`);
}

function recordsOf(instance: string, { session, acked, batches, discarded, inDoubt }: Kept): FileRecord[] {
  const records: FileRecord[] = [['begin', instance]];
  if (session !== undefined) records.push(['session', instance, session]);
  if (acked > 0) records.push(['trim', instance, acked]);
  for (const { first, last } of discarded) records.push(['discard', instance, first, last]);
  for (const { first, count, text } of batches) records.push(['append', instance, first, count, text]);
  for (const { first, count, text } of inDoubt) records.push(['aside', instance, first, count, text]);
  return records;
}

/** A file that was made or renamed is there for good once its folder is synced; some systems have no such thing. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  try {
    await handle?.sync();
  } catch {
    // The system syncs no folders.
  } finally {
    await handle?.close();
  }
}
