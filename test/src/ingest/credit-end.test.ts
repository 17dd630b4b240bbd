import { expect, test } from 'vitest';
import { QUEUE_FULL_AT } from '../../../src/core/limits.ts';
import { creditOf, NO_CREDIT } from '../../../src/ingest/credit.ts';

const MIB = 1024 * 1024;

// Who counts a queue as full later than that never does while all clients keep to their credit.
test.each([0.25, 1, 1_024, 8_192])(
  'clients of a queue of %d MiB that keep to their credit fill it until it counts as full',
  (mebibytes) => {
    const limits = { rows: 0, maxRows: 1e9, maxBytes: mebibytes * MIB };
    let bytes = 0;
    for (let step = 0; step < 1e6; step += 1) {
      const credit = creditOf({ ...limits, bytes }, 1);
      if (credit === NO_CREDIT) break;
      bytes += credit.bytes;
    }
    expect(creditOf({ ...limits, bytes }, 1)).toBe(NO_CREDIT);
    expect(bytes / limits.maxBytes).toBeGreaterThanOrEqual(QUEUE_FULL_AT);
    expect(bytes / limits.maxBytes).toBeLessThan(0.95);
  },
);
