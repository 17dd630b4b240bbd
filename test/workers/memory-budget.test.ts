import { describe, expect, test } from 'vitest';
import { memoryBudgetOf } from '../../workers/isolate-memory.ts';

describe('the variable MEMORY_BUDGET_BYTES', () => {
  test.each([
    [undefined, 64 * 1024 * 1024],
    [' ', 64 * 1024 * 1024],
    ['4194304', 4_194_304],
    ['100663296', 100_663_296],
  ])('%j is %d bytes', (variable, bytes) => {
    expect(memoryBudgetOf(variable)).toBe(bytes);
  });

  test.each(['4194303', '100663297', '1e8', '64 MiB', '-1', 'x'.repeat(100)])(
    '%j is refused, with the bounds',
    (variable) => {
      expect(() => memoryBudgetOf(variable)).toThrow(
        expect.objectContaining({
          code: 'invalid_configuration',
          message: expect.stringMatching(
            /^MEMORY_BUDGET_BYTES is a whole number of bytes from 4194304 to 100663296, and not /,
          ),
        }),
      );
    },
  );
});
