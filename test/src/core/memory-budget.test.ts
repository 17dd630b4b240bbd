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

test('what would be too much is refused, and so is all that follows until an eighth is free', () => {
  const budget = new MemoryBudget(1_000);
  const account = budget.open('a', {});
  account.set(990);
  expect(budget.admits(10, 'passing')).toBe(true);
  expect(budget.admits(11, 'passing')).toBe(false);
  account.set(900);
  expect(budget.admits(1, 'passing')).toBe(false);
  account.set(875);
  expect(budget.admits(125, 'passing')).toBe(true);
  expect(budget.admits(126, 'passing')).toBe(false);
});

test('what passes through goes on once it was refused, though what lasts has all that it may have', () => {
  const budget = new MemoryBudget(1_000);
  const lasting = budget.open('a', {});
  const passing = budget.open('b', {});
  lasting.set(740);
  passing.set(260);
  expect(budget.admits(1, 'passing')).toBe(false);
  // Its messages are in storage; those in memory wait for a database that is away, and a little more may be kept beside them.
  passing.set(20);
  expect([budget.admits(1, 'passing'), budget.isTight('passing')]).toEqual([true, false]);
  expect(budget.admits(1, 'lasting'), 'the control').toBe(false);
});

test('messages that stay in memory leave a quarter to those that only pass through', () => {
  const budget = new MemoryBudget(1_000);
  budget.open('a', {}).set(750);
  expect(budget.admits(1, 'lasting')).toBe(false);
  expect(budget.admits(1, 'passing')).toBe(true);
});

test('it is tight from nine tenths of its share on, or once something was refused, and eases at three quarters', () => {
  const budget = new MemoryBudget(1_000);
  const account = budget.open('a', {});
  const tightAt = (bytes: number): boolean => {
    account.set(bytes);
    return budget.isTight('lasting');
  };
  expect([tightAt(674), tightAt(675), tightAt(563), tightAt(562), tightAt(674)]).toEqual([
    false,
    true,
    true,
    false,
    false,
  ]);
  expect(budget.admits(77, 'lasting')).toBe(false);
  expect(budget.isTight('lasting')).toBe(true);
  expect([tightAt(600), tightAt(500)]).toEqual([true, false]);
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
