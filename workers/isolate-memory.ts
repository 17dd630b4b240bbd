/** The memory of the isolate that this module was loaded in: one budget for all Durable Objects in it. */

import { SluiceError } from '../src/core/errors.ts';
import {
  DEFAULT_MEMORY_BUDGET_BYTES,
  MAX_MEMORY_BUDGET_BYTES,
  type MemoryAccount,
  MemoryBudget,
  MIN_MEMORY_BUDGET_BYTES,
} from '../src/core/memory-budget.ts';
import type { Env } from './env.ts';
import { logFailure } from './log.ts';

const budget = new MemoryBudget();
/** The value of the variable that the budget was made from. */
let read: { variable: string | undefined } | undefined;

/**
 * Opens the account of an object.
 *
 * @param name names the object among all
 */
export function openIsolateMemory(env: Env, name: string, holder: object): MemoryAccount {
  if (read === undefined || read.variable !== env.MEMORY_BUDGET_BYTES) {
    read = { variable: env.MEMORY_BUDGET_BYTES };
    budget.limitTo(budgetOrDefault(read.variable));
  }
  return budget.open(name, holder);
}

// A shard that could not start would lose its alarm, so it goes on with the default and says what is wrong.
function budgetOrDefault(variable: string | undefined): number {
  try {
    return memoryBudgetOf(variable);
  } catch (error) {
    logFailure('The default holds for MEMORY_BUDGET_BYTES', error);
    return DEFAULT_MEMORY_BUDGET_BYTES;
  }
}

/**
 * Reads the variable `MEMORY_BUDGET_BYTES`.
 *
 * @throws SluiceError `invalid_configuration` for what is no whole number within the bounds
 */
export function memoryBudgetOf(variable: string | undefined): number {
  const text = String(variable ?? '').trim();
  if (text === '') return DEFAULT_MEMORY_BUDGET_BYTES;
  const bytes = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
  if (bytes >= MIN_MEMORY_BUDGET_BYTES && bytes <= MAX_MEMORY_BUDGET_BYTES) return bytes;
  throw new SluiceError(
    'invalid_configuration',
    `MEMORY_BUDGET_BYTES is a whole number of bytes from ${MIN_MEMORY_BUDGET_BYTES} to ${MAX_MEMORY_BUDGET_BYTES}, and not ${JSON.stringify(text.slice(0, 40))}`,
  );
}
