/** The table of all writers. */

import { buffered } from './buffered.ts';
import { bulk } from './bulk.ts';
import { copy } from './copy.ts';
import type { WriterMode } from './mode.ts';
import { naive } from './naive.ts';
import { unnest } from './unnest.ts';
import type { Writer } from './writer.ts';

export const WRITERS: Readonly<Record<WriterMode, Writer>> = { naive, buffered, bulk, unnest, copy };
