/** The options of the suite `store`. */

import { type OptionsOf, optionTable } from '../../../src/core/option-table.ts';
import { DRIVER_OPTION } from '../../suite.ts';
import { STORE_ENGINES, STORE_OPERATIONS } from './job.ts';

export const STORE_PARAMETERS = optionTable({
  engines: {
    kind: 'choices',
    choices: STORE_ENGINES,
    default: STORE_ENGINES,
    description:
      'Where the messages are: SQLite in memory, in a file, in a file with synchronous FULL; Postgres; a Durable Object',
  },
  operations: {
    kind: 'choices',
    choices: STORE_OPERATIONS,
    default: STORE_OPERATIONS,
    description: 'What is measured',
  },
  writers: {
    kind: 'integer',
    min: 1,
    max: 100,
    default: 10,
    description: 'Writers at the same time, beside a single one; 1: only the single one',
  },
  rounds: {
    kind: 'integer',
    min: 1,
    max: 100_000,
    default: 2_000,
    description:
      'Single writes and reads of one repetition; engines without a round trip take several times as many',
  },
  others: {
    kind: 'integer',
    min: 0,
    max: 10_000_000,
    default: 1_000_000,
    description: 'Messages of other categories beside the category that category-big reads',
  },
  driver: DRIVER_OPTION,
});

export type StoreParameters = OptionsOf<typeof STORE_PARAMETERS>;
