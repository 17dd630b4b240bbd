/** What a client needs of a storage. */

/** Messages as a storage keeps them: `count` of them, one per line of `text`, the first with the sequence `first`. */
export interface StoredBatch {
  readonly first: number;
  readonly count: number;
  readonly text: string;
}

/** Sequences from `first` to `last`, both included. */
export interface SequenceRun {
  readonly first: number;
  readonly last: number;
}

/** What a storage has of one instance: one start of a program. */
export interface StoredInstance {
  readonly instance: string;
  /** The session given to `saveSession` last. */
  readonly session?: string;
  /** The highest sequence given to `trim`; 0 before the first. */
  readonly acked: number;
  /** Every batch that was appended and not trimmed, in the order of their sequences. */
  readonly batches: readonly StoredBatch[];
  /** What was given to `discard`. Runs up to `acked` may be left out. */
  readonly discarded: readonly SequenceRun[];
  /** What was given to `setAside` and not discarded. */
  readonly inDoubt: readonly StoredBatch[];
}

/**
 * Where a producer keeps what it must not forget. A storage belongs to one producer, and to one client at a time.
 *
 * The client calls one method at a time, in order, and repeats one that failed (pauses from 250 ms to 30 s), so each has
 * to stand being called twice with the same arguments. A storage may lose the last of its writes in a crash: what is left
 * has to be a state that it was in. There are ready-made ones: `memoryStorage`, `webStorage` and `indexedDbStorage`
 * in `sluice/client/storages`, and for Node `fileStorage` in `sluice/node`.
 */
export interface ClientStorage {
  /**
   * Called once, before anything else: what older instances have left, the oldest first. A storage that another client
   * has open rejects with an error whose `code` is `storage_in_use`.
   */
  load(): Promise<readonly StoredInstance[]>;
  /** An instance begins. Called before anything of it is stored. */
  begin(instance: string): Promise<void> | void;
  /** Called as soon as messages are taken; they are sent once this has resolved. */
  append(instance: string, batch: StoredBatch): Promise<void> | void;
  /** The session that the server has named last. */
  saveSession(instance: string, session: string): Promise<void> | void;
  /** Everything up to a sequence is settled. A batch that reaches beyond it is kept whole. */
  trim(instance: string, upTo: number): Promise<void> | void;
  /** The texts of these messages are not needed any more, whether appended or set aside; their sequences stay used. */
  discard(instance: string, run: SequenceRun): Promise<void> | void;
  /** Messages whose fate is unknown: kept apart, `trim` does not touch them. */
  setAside(instance: string, batch: StoredBatch): Promise<void> | void;
  /** Nothing of this instance is needed any more. */
  forget(instance: string): Promise<void> | void;
  /** The client has ended: another one may open the storage. Nothing is called after it. */
  close(): Promise<void> | void;
}

export type StorageOperationName = keyof ClientStorage;
