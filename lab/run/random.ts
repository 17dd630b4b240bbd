/** Randomness that repeats: two runs with one seed draw the same. */

/** Numbers from 0 (inclusive) to 1 (exclusive), by the generator mulberry32 (Tommy Ettinger, public domain). */
export type Random = () => number;

/** @param seed any integer; its lower 32 bits count */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return function next() {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A seed for a part of what another seed draws: parts do not disturb each other. */
export function derivedSeed(seed: number, ...parts: readonly (string | number)[]): number {
  // The seed as digits: xored in, seed 1 of part b would be seed 2 of part a.
  const text = [seed, ...parts].join('/');
  let hash = 2_166_136_261;
  for (const character of text) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16_777_619);
  return hash >>> 0;
}

/** The items in an order drawn by lot (Fisher and Yates). */
export function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const order = [...items];
  for (let index = order.length - 1; index > 0; index -= 1) {
    const other = Math.floor(random() * (index + 1));
    [order[index], order[other]] = [order[other] as Item, order[index] as Item];
  }
  return order;
}
