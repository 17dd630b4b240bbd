/** To be imported before a program runs: Node trusts the test CA then, and what the program starts besides Node does not. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';

const ca = readFileSync(join(import.meta.dirname, 'certificates/ca.pem'), 'utf8');
tls.setDefaultCACertificates([...tls.getCACertificates('default'), ca]);
