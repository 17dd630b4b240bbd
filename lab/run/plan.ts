/**
 * The order in which a run takes its repetitions: round by round, so that what changes on the machine meanwhile meets
 * every variant alike, and within a round by lot, so that none always comes after the same other one.
 */

import type { Variant } from '../suite.ts';
import { derivedSeed, seededRandom, shuffled } from './random.ts';

/** One repetition of one variant, to be run. */
export interface PlanEntry {
  variant: Variant;
  /** From 1. */
  rep: number;
}

/**
 * All repetitions of a run, in their order. The same variants, repetitions and seed give the same order.
 *
 * The steps of a ladder follow each other as they are declared. Variants that stand beside another one follow or lead
 * it directly: figures that are divided by each other should meet the same minute of the machine.
 */
export function planOf(variants: readonly Variant[], reps: number, seed: number): PlanEntry[] {
  const blocks = blocksOf(variants);
  return Array.from({ length: reps }, (_, index) => index + 1).flatMap((rep) => {
    const random = seededRandom(derivedSeed(seed, 'order', rep));
    return shuffled(blocks, random).flatMap((block) => {
      const isLadder = block[0]?.ladder !== undefined;
      return (isLadder ? block : shuffled(block, random)).map((variant) => ({ variant, rep }));
    });
  });
}

function blocksOf(variants: readonly Variant[]): Variant[][] {
  const blocks = new Map<string, Variant[]>();
  for (const variant of variants) {
    const { name, ladder, beside } = variant;
    const key = ladder === undefined ? `beside ${beside ?? name}` : `ladder ${ladder}`;
    const block = blocks.get(key);
    if (block === undefined) blocks.set(key, [variant]);
    else block.push(variant);
  }
  return [...blocks.values()];
}
