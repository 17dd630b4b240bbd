import { describe, expect, test } from 'vitest';
import { planOf } from '../../../lab/run/plan.ts';
import { derivedSeed, seededRandom, shuffled } from '../../../lab/run/random.ts';
import type { Variant } from '../../../lab/suite.ts';

function variant(name: string, more: Partial<Variant> = {}): Variant {
  return { name, role: 'measured', description: name, ...more };
}

function order(variants: Variant[], reps: number, seed: number): string[] {
  return planOf(variants, reps, seed).map((entry) => `${entry.variant.name}${entry.rep}`);
}

describe('the plan of a run', () => {
  const six = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => variant(name));

  test('is the same for the same seed, and another for another', () => {
    expect(order(six, 4, 7)).toEqual(order(six, 4, 7));
    expect(order(six, 4, 7)).not.toEqual(order(six, 4, 8));
  });

  test('has every variant once in each round, in an order that differs between rounds', () => {
    const all = order(six, 3, 1);
    const rounds = [all.slice(0, 6), all.slice(6, 12), all.slice(12)];
    for (const [index, round] of rounds.entries()) {
      expect(round.toSorted()).toEqual(six.map(({ name }) => `${name}${index + 1}`));
    }
    const names = rounds.map((round) => round.map(([name]) => name).join(''));
    expect(new Set(names).size).toBeGreaterThan(1);
  });

  test('puts every variant first about as often as any other', () => {
    const firsts = Array.from({ length: 600 }, (_, seed) => order(six, 1, seed)[0]);
    for (const { name } of six) {
      const count = firsts.filter((first) => first === `${name}1`).length;
      expect(count).toBeGreaterThan(60);
      expect(count).toBeLessThan(140);
    }
  });

  test('keeps the steps of a ladder together and in their order', () => {
    const steps = [1, 2, 3].map((step) => variant(`s${step}-`, { ladder: 's' }));
    for (let seed = 0; seed < 20; seed += 1) {
      const names = order([variant('x'), ...steps, variant('y')], 1, seed);
      const from = names.indexOf('s1-1');
      expect(names.slice(from, from + 3)).toEqual(['s1-1', 's2-1', 's3-1']);
    }
  });

  test('keeps what stands beside another next to it, on either side', () => {
    const variants = [variant('a'), variant('b'), variant('floor', { beside: 'b' }), variant('c')];
    const distances = Array.from({ length: 40 }, (_, seed) => {
      const names = order(variants, 1, seed);
      return names.indexOf('floor1') - names.indexOf('b1');
    });
    expect(new Set(distances)).toEqual(new Set([1, -1]));
  });
});

describe('seeded randomness', () => {
  test('repeats with its seed, differs between seeds, and lies between 0 and 1', () => {
    const draw = (seed: number): number[] => Array.from({ length: 1000 }, seededRandom(seed));
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    expect(Math.min(...draw(3))).toBeGreaterThanOrEqual(0);
    expect(Math.max(...draw(3))).toBeLessThan(1);
    const mean = draw(4).reduce((sum, value) => sum + value, 0) / 1000;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.05);
  });

  test('has its own seed for each part', () => {
    const seeds = [
      derivedSeed(1, 'a', 1),
      derivedSeed(1, 'a', 2),
      derivedSeed(1, 'b', 1),
      derivedSeed(2, 'a', 1),
    ];
    expect(new Set(seeds).size).toBe(4);
    expect(derivedSeed(1, 'a', 1)).toBe(seeds[0]);
  });

  test('shuffles without losing, doubling or touching what it was given', () => {
    const items = [1, 2, 3, 4, 5];
    const out = shuffled(items, seededRandom(9));
    expect(out.toSorted()).toEqual([1, 2, 3, 4, 5]);
    expect(items).toEqual([1, 2, 3, 4, 5]);
  });
});
