/** The suite `store`: writes and reads of the message store, on each of its engines, beside bare statements. */

import type { Suite } from '../../suite.ts';
import { messagesPerOperation } from './job.ts';
import { STORE_PARAMETERS } from './parameters.ts';
import { REFERENCE_SOURCE } from './references.ts';
import { storeTargets } from './targets.ts';
import { REFERENCE_TITLE, storeJobOf, storeVariants, variantOf } from './variants.ts';

export const storeSuite: Suite<typeof STORE_PARAMETERS> = {
  name: 'store',
  title: 'The message store, on each of its engines',
  unit: 'messages',
  parameters: STORE_PARAMETERS,
  presets: {
    // Ends within half a minute, the start of Postgres and the Worker included.
    quick: { rounds: 200, others: 10_000 },
    full: { rounds: 5_000, others: 1_000_000 },
  },
  variants: (parameters) => storeVariants(parameters).map((variant) => variantOf(variant, parameters)),
  unitsPerRep(variant, parameters) {
    const { operation, operations } = storeJobOf(variant, parameters);
    return operations * messagesPerOperation(operation);
  },
  keepsOrder: true,
  labels: [REFERENCE_TITLE],
  sharesOf: [],
  columns: [
    { title: 'µs/op', metric: 'usPerOperation', digits: 1 },
    { title: 'p99 µs', metric: 'p99Us', digits: 1 },
    { title: 'prepared in s', metric: 'preparedSeconds', digits: 1 },
  ],
  targets: storeTargets,
  notes: ({ writers, others, engines }) => [
    'µs/op: the time of a repetition divided by its operations, median over the repetitions; with several writers it is below what one of them waits. p99 µs: the wait for a single operation.',
    '× floor: µs/op against the repetition beside it of bare prepared statements on the same engine, one writer, without any checks, into a table of the same columns with a primary key and no index; for a batch they are one transaction, on Postgres one COPY. × indexed: the same into a table with indexes for streams, categories and ids. What is read has its index. On Postgres the store names its statements too (`preparesStatements`), as its own connections allow.',
    `×${writers}: so many writers at the same time through one store; "stores": each through its own, over its own connection.`,
    `category-big: among ${others} messages of 100 other categories, imported once and not part of the time.`,
    'Every message that was written is read back and compared; of reads, the ends of each and every field of the last are.',
    `EventoDB: ${REFERENCE_SOURCE}.`,
    ...(engines.includes('object')
      ? [
          "object: the loop runs inside the Durable Object and is timed from outside, one request for a repetition: a deployed Worker's clock stands still without I/O, so there is no p99. What it writes in one turn of its event loop it commits at once, so the loop shows what operations cost the processor; each of them alone would also wait for its commit.",
        ]
      : []),
  ],
};
