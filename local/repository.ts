import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of Sluice's own code: a checkout, or `dist` of the installed package, which has the same rooms. */
export const REPOSITORY = dirname(dirname(fileURLToPath(import.meta.url)));

/** Whether this is a checkout. The installed package holds JavaScript only. */
export const IS_CHECKOUT = import.meta.url.endsWith('.ts');

/** The folder of Sluice's package.json. */
export const PACKAGE = IS_CHECKOUT ? REPOSITORY : dirname(REPOSITORY);

/** What Sluice's own source files end with here. */
export const SOURCE_ENDING = IS_CHECKOUT ? '.ts' : '.js';
