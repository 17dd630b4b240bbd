/** The options of the suite `dcb`. */

import { type OptionsOf, optionTable } from '../../../src/core/option-table.ts';
import { DRIVER_OPTION } from '../../suite.ts';
import { SET_NAMES } from './data-set.ts';
import { DCB_ENGINES, DCB_OPERATIONS, DCB_THROUGH } from './job.ts';

export const DCB_PARAMETERS = optionTable({
  engines: {
    kind: 'choices',
    choices: DCB_ENGINES,
    default: DCB_ENGINES,
    description:
      'Where the events are: SQLite in memory, in a file; Postgres; Postgres through a Durable Object that holds the store; a Durable Object',
  },
  sets: {
    kind: 'choices',
    choices: SET_NAMES,
    default: ['small'],
    description: 'The events that are there before: courses, students and enrolments, drawn by the seed',
  },
  operations: {
    kind: 'choices',
    choices: DCB_OPERATIONS,
    default: DCB_OPERATIONS,
    description: 'What is measured',
  },
  appenders: {
    kind: 'integers',
    min: 1,
    max: 100,
    default: [1, 10, 20, 100],
    description: 'Clients at the same time that append under a condition',
  },
  through: {
    kind: 'choice',
    choices: DCB_THROUGH,
    default: 'rpc',
    description:
      'How the clients reach the object: by RPC, or by the HTTP interface of a namespace, as the Worker does',
  },
  rounds: {
    kind: 'integer',
    min: 1,
    max: 100_000,
    default: 2_000,
    description: 'Conditional appends of one repetition; of all else a part or a multiple, by what it takes',
  },
  driver: DRIVER_OPTION,
});

export type DcbParameters = OptionsOf<typeof DCB_PARAMETERS>;
