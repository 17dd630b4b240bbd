/** Counts by a label. Its values may come from strangers, as codes of a close do: so the first ones are told apart, and no more. */

const MAX_LABELS = 32;
const OTHERS = 'other';

export class LabelledCounts {
  readonly #counts = new Map<string, number>();
  readonly #maxLabels: number;

  /** @param maxLabels labels that are told apart; what has a further one is counted under `other`. Default: 32 */
  constructor(maxLabels = MAX_LABELS) {
    this.#maxLabels = maxLabels;
  }

  add(label: string, count = 1): void {
    const before = this.#counts.get(label);
    if (before !== undefined || this.#counts.size < this.#maxLabels)
      this.#counts.set(label, (before ?? 0) + count);
    else this.#counts.set(OTHERS, (this.#counts.get(OTHERS) ?? 0) + count);
  }

  get total(): number {
    let total = 0;
    for (const count of this.#counts.values()) total += count;
    return total;
  }

  entries(): IterableIterator<[label: string, count: number]> {
    return this.#counts.entries();
  }
}
