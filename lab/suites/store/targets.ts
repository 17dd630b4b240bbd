/** What the figures of the suite `store` have to reach. */

import type { Target } from '../../targets.ts';
import { STORE_OPERATIONS } from './job.ts';
import type { StoreParameters } from './parameters.ts';
import { referenceUs, storeVariantName } from './variants.ts';

/** SQLite within two of its bare statements; EventoDB's figures and targets; and what is demanded of Postgres. */
export function storeTargets({ engines, writers }: StoreParameters): Target[] {
  const targets: Target[] = [];
  for (const engine of engines) {
    for (const operation of STORE_OPERATIONS) {
      const variant = storeVariantName(engine, operation);
      const reference = referenceUs(engine, operation);
      const isPostgres = engine === 'postgres';
      if (operation === 'category-big') {
        targets.push({
          title: `${variant}, against ${storeVariantName(engine, 'category-100')}`,
          variant,
          metric: 'usPerOperation',
          per: storeVariantName(engine, 'category-100'),
          bound: { atMost: 1.2 },
          unit: '×',
        });
      } else if (!isPostgres || operation === 'write-1') {
        targets.push({
          title: `${variant}, against ${isPostgres ? 'one prepared INSERT' : 'its floor'}`,
          variant,
          metric: 'usPerOperation',
          per: storeVariantName(engine, operation, 'floor'),
          bound: { atMost: isPostgres ? 1.3 : 2 },
          unit: '×',
        });
      }
      if (reference !== undefined) {
        targets.push({
          title: `${variant}, against EventoDB`,
          variant,
          metric: 'usPerOperation',
          bound: { atMost: reference },
          unit: ' µs',
        });
      }
    }
  }
  const single = storeVariantName('postgres', 'write-1');
  targets.push(
    {
      title: `postgres: ${writers} writers through one store, against one writer`,
      variant: storeVariantName('postgres', 'write-1', 'store', writers),
      metric: 'perSecond',
      per: single,
      bound: { atLeast: 3 },
      unit: '×',
    },
    {
      title: `postgres: ${writers} writers through ${writers} stores, against one writer`,
      variant: storeVariantName('postgres', 'write-1', 'stores', writers),
      metric: 'perSecond',
      per: single,
      bound: { atLeast: 1 },
      unit: '×',
    },
    {
      title: 'postgres: batches of 1,000',
      variant: storeVariantName('postgres', 'write-1000'),
      metric: 'perSecond',
      bound: { atLeast: 60_000 },
      unit: ' messages/s',
    },
  );
  // A single writer has nobody to be compared with.
  return targets.filter(({ variant, per }) => variant !== per);
}
