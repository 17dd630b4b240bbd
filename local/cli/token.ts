/** `sluice token`: makes a random token for those who send, and shows what the Worker has to know of it. */

import { createHash, randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { SluiceError } from '../../src/core/errors.ts';
import { MAX_TOKEN_ID_LENGTH } from '../../src/core/limits.ts';

/** Random bytes of a token: nobody can guess it, so its hash needs no salt and no slowness. */
const TOKEN_BYTES = 32;

/** Adds the command. */
export function defineToken(program: Command): void {
  program
    .command('token')
    .description('Make a random token for a client, and its hash for the secret INGEST_TOKENS')
    .argument('[name]', 'what operators see of it', 'client')
    .option('--json', 'one JSON object')
    .action(token);
}

function token(name: string, { json }: { json?: true }): void {
  if (!/^[A-Za-z0-9._:@-]+$/.test(name) || name.length > MAX_TOKEN_ID_LENGTH) {
    throw new SluiceError(
      'invalid_options',
      `Cannot use ${JSON.stringify(name.slice(0, 40))} as a name: 1 to ${MAX_TOKEN_ID_LENGTH} characters of A-Z a-z 0-9 . _ : @ - are allowed`,
    );
  }
  const secret = randomBytes(TOKEN_BYTES).toString('base64url');
  const sha256 = createHash('sha256').update(secret).digest('hex');
  const entry = `${name}:sha256:${sha256}`;
  if (json) {
    process.stdout.write(`${JSON.stringify({ token: secret, name, sha256, entry })}\n`);
    return;
  }
  process.stdout.write(
    [
      'The token, for the client. It is shown only now:',
      `  ${secret}`,
      'For the secret INGEST_TOKENS of the Worker (npx wrangler secret put INGEST_TOKENS):',
      `  ${entry}`,
      '',
    ].join('\n'),
  );
}
