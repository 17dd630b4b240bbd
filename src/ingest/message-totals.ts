/** Messages in numbers, over all lives. `received` is `committed + dead + duplicate + refused + buffered`. */
export interface MessageTotals {
  received: number;
  stored: number;
  committed: number;
  dead: number;
  duplicate: number;
  refused: number;
}
