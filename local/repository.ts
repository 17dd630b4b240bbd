import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's folder. */
export const REPOSITORY = dirname(dirname(fileURLToPath(import.meta.url)));
