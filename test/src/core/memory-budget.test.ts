import { expect, test } from 'vitest';
import { MemoryBudget } from '../../../src/core/memory-budget.ts';

const KIB = 1024;

test('the budget holds what all accounts hold together, and forgets an account that is closed or opened again', () => {
  const budget = new MemoryBudget(100 * KIB);
  const first = budget.open('a', {});
  const second = budget.open('b', {});
  first.add(10);
  second.set(5);
  first.add(-3);
  expect([first.bytes, second.bytes, budget.heldBytes]).toEqual([7, 5, 12]);
  const again = budget.open('a', {});
  expect([first.bytes, budget.heldBytes]).toEqual([0, 5]);
  // What the object before it still says counts no more.
  first.add(1_000);
  again.add(1);
  expect(budget.heldBytes).toBe(6);
  second.close();
  again.close();
  expect(budget.heldBytes).toBe(0);
});

test('what would be too much is refused, and so is all that follows until a quarter is free', () => {
  const budget = new MemoryBudget(1_000);
  const account = budget.open('a', {});
  account.set(990);
  expect(budget.admits(10, 'passing')).toBe(true);
  expect(budget.admits(11, 'passing')).toBe(false);
  account.set(800);
  expect(budget.admits(1, 'passing')).toBe(false);
  account.set(750);
  expect(budget.admits(250, 'passing')).toBe(true);
  expect(budget.admits(251, 'passing')).toBe(false);
});

test('messages that stay in memory leave a quarter to those that only pass through', () => {
  const budget = new MemoryBudget(1_000);
  budget.open('a', {}).set(750);
  expect(budget.admits(1, 'lasting')).toBe(false);
  expect(budget.admits(1, 'passing')).toBe(true);
});

test('it is tight from nine tenths on, or once something was refused, and eases at three quarters', () => {
  const budget = new MemoryBudget(1_000);
  const account = budget.open('a', {});
  const tightAt = (bytes: number): boolean => {
    account.set(bytes);
    return budget.isTight('passing');
  };
  expect([tightAt(899), tightAt(900), tightAt(751), tightAt(750), tightAt(899)]).toEqual([
    false,
    true,
    true,
    false,
    false,
  ]);
  expect(budget.admits(102, 'passing')).toBe(false);
  expect(budget.isTight('passing')).toBe(true);
  expect([tightAt(760), tightAt(700)]).toEqual([true, false]);
});

test('up to half of it may be kept that is in a storage too; beyond, a little of each holder', () => {
  const budget = new MemoryBudget(16 * KIB * KIB);
  budget.open('a', {}).set(8 * KIB * KIB - 1);
  expect(budget.mayKeep(1, 4 * KIB * KIB)).toBe(true);
  expect(budget.mayKeep(2, 4 * KIB * KIB)).toBe(false);
  expect(budget.mayKeep(KIB, KIB)).toBe(true);
  budget.open('b', {}).set(4 * KIB * KIB + 1);
  expect(budget.mayKeep(KIB, KIB)).toBe(false);
});
