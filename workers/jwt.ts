/** `jwt` in a Worker: a fetch of keys goes on when the client is gone whose request began it, since others wait for it. */

import { waitUntil } from 'cloudflare:workers';
import type { Authorize } from '../src/access/authorize.ts';
import type { FromEnv } from '../src/access/from-env.ts';
import { type JwtOptions, jwt as jwtAnywhere } from '../src/access/jwt.ts';

/**
 * Knows JSON Web Tokens that are signed with a key of an issuer, or with a secret.
 *
 * ```ts
 * createSluice({ sinks, authorize: jwt({ jwks: 'https://id.example.com/jwks.json', audience: 'sluice' }) });
 * createSluice({ sinks, authorize: jwt((env) => ({ secret: env.JWT_SECRET })) });
 * ```
 *
 * @param options or a function of the Worker's bindings that gives them
 * @throws SluiceError `invalid_configuration` where options are wrong; at each request where they are missing, or a function gives them
 */
export function jwt(options: FromEnv<JwtOptions>): Authorize {
  return jwtAnywhere(options, {
    fetch: (...request) => fetch(...request),
    now: Date.now,
    keepAlive: waitUntil,
  });
}
