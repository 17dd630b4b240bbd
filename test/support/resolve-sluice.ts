/** For `node --import`: a program imports the package as its users do, and gets the sources of this repository. */

import { resolveFromSources } from './package-sources.ts';

resolveFromSources();
