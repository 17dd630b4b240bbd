/**
 * One budget of memory for everything that shares an isolate. Several Durable Objects run in one isolate, which the platform ends
 * at 128 MB with all of them, and none of them sees what the others hold. So each says what it holds, and all stop taking more
 * before the platform ends them.
 *
 * Everything is synchronous: nothing may come between a check and the act on it.
 */

/** Budget of an isolate unless `MEMORY_BUDGET_BYTES` says otherwise: half of what it has. The rest is for code, garbage and bytes on their way. */
export const DEFAULT_MEMORY_BUDGET_BYTES = 64 * 1024 * 1024;
export const MIN_MEMORY_BUDGET_BYTES = 4 * 1024 * 1024;
export const MAX_MEMORY_BUDGET_BYTES = 96 * 1024 * 1024;

/**
 * - `passing`: what leaves memory for a storage at once. It may use the whole budget.
 * - `lasting`: what stays in memory until a database has it. It has to leave room for the other.
 */
export type MemoryUse = 'passing' | 'lasting';

/** The share of the budget that each use may fill. */
const SHARE: Record<MemoryUse, number> = { passing: 1, lasting: 0.75 };

/**
 * The share of the budget up to which messages are kept in memory that are in a storage too. Keeping them saves reading them back,
 * and nothing else: they are the first to go.
 */
const KEEP_SHARE = 0.5;

/** What one holder may keep all the same, so that one whose database is away does not slow down the others. */
const KEEP_AT_LEAST_BYTES = 1024 * 1024;

/**
 * From which share of its limit on a use is tight, and below which it is so no more. What passes has to ease above the limit of what lasts:
 * that may be full for as long as a database is away, and what has a storage would be refused for so long too.
 */
const TIGHT_AT: Record<MemoryUse, number> = { passing: 0.95, lasting: 0.9 };
const EASES_AT: Record<MemoryUse, number> = { passing: 0.875, lasting: 0.75 };

/** One use of the budget: whether it takes more, and whether it should be offered less. */
class Gate {
  readonly #share: number;
  readonly #tightAt: number;
  readonly #easesAt: number;
  #isShut = false;
  #isTight = false;

  constructor(use: MemoryUse) {
    this.#share = SHARE[use];
    this.#tightAt = TIGHT_AT[use];
    this.#easesAt = EASES_AT[use];
  }

  /** False where so many bytes would be too much, and from then on until enough of the limit is free. */
  admits(bytes: number, heldBytes: number, limitBytes: number): boolean {
    const limit = limitBytes * this.#share;
    if (this.#isShut && heldBytes > limit * this.#easesAt) return false;
    this.#isShut = heldBytes + bytes > limit;
    if (this.#isShut) this.#isTight = true;
    return !this.#isShut;
  }

  isTight(heldBytes: number, limitBytes: number): boolean {
    const limit = limitBytes * this.#share;
    if (heldBytes <= limit * this.#easesAt) {
      this.#isShut = false;
      this.#isTight = false;
    } else if (heldBytes >= limit * this.#tightAt) this.#isTight = true;
    return this.#isTight;
  }
}

export class MemoryBudget {
  #limitBytes: number;
  #heldBytes = 0;
  readonly #gates: Record<MemoryUse, Gate> = {
    passing: new Gate('passing'),
    lasting: new Gate('lasting'),
  };
  readonly #accounts = new Map<string, MemoryAccount>();
  // The platform says nothing when it drops an object. Once the object is garbage, so is what it held.
  readonly #dropped =
    typeof FinalizationRegistry === 'undefined'
      ? undefined
      : new FinalizationRegistry<MemoryAccount>((account) => account.close());

  constructor(limitBytes: number = DEFAULT_MEMORY_BUDGET_BYTES) {
    this.#limitBytes = limitBytes;
  }

  /** Bytes that all holders together may have. */
  get limitBytes(): number {
    return this.#limitBytes;
  }

  /** Another limit from now on. All objects of an isolate have the same variables, so they all say the same. */
  limitTo(limitBytes: number): void {
    this.#limitBytes = limitBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Opens the account of a holder. One of the same name is closed: the object was started again in the same isolate.
   *
   * @param holder the object that holds what the account counts; the account ends with it
   */
  open(name: string, holder: object): MemoryAccount {
    this.#accounts.get(name)?.close();
    const account = new MemoryAccount(this, (bytes) => {
      this.#heldBytes += bytes;
    });
    account.onClose = () => {
      if (this.#accounts.get(name) === account) this.#accounts.delete(name);
    };
    this.#accounts.set(name, account);
    this.#dropped?.register(holder, account);
    return account;
  }

  /** True where so many further bytes may be taken. Once it was false, it stays so until an eighth of the limit is free, of what lasts a quarter. */
  admits(bytes: number, use: MemoryUse): boolean {
    return this.#gates[use].admits(bytes, this.#heldBytes, this.#limitBytes);
  }

  /** True where clients should be told to send nothing for now. */
  isTight(use: MemoryUse): boolean {
    return this.#gates[use].isTight(this.#heldBytes, this.#limitBytes);
  }

  /** True where a holder of so many bytes may keep so many further ones in memory that are in a storage too. */
  mayKeep(bytes: number, ownBytes: number): boolean {
    const heldBytes = this.#heldBytes + bytes;
    if (heldBytes <= this.#limitBytes * KEEP_SHARE) return true;
    return ownBytes + bytes <= KEEP_AT_LEAST_BYTES && heldBytes <= this.#limitBytes * SHARE.lasting;
  }
}

/** What one holder has. */
export class MemoryAccount {
  readonly budget: MemoryBudget;
  /** Called once, when it is closed. */
  onClose: (() => void) | undefined;
  readonly #change: (bytes: number) => void;
  #bytes = 0;
  #isClosed = false;

  /** @param change is told of each change, in bytes */
  constructor(budget: MemoryBudget, change: (bytes: number) => void) {
    this.budget = budget;
    this.#change = change;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** So many bytes were added, or taken away where it is less than 0. */
  add(bytes: number): void {
    if (this.#isClosed) return;
    this.#bytes += bytes;
    this.#change(bytes);
  }

  /** The holder has exactly so many bytes. */
  set(bytes: number): void {
    if (bytes !== this.#bytes) this.add(bytes - this.#bytes);
  }

  /** The holder is gone, and so is what it held. */
  close(): void {
    this.set(0);
    this.#isClosed = true;
    this.onClose?.();
  }
}
