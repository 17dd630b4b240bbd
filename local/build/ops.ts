/** Writes what is made from the table of metrics and from the rules of alerts: `node local/build/ops.ts` (npm run build:ops). */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from '../repository.ts';
import { opsFiles } from './ops/ops-files.ts';

for (const [path, text] of Object.entries(opsFiles())) writeFileSync(join(REPOSITORY, path), text);
