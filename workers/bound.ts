/** Bindings that a Worker may lack. */

import { SluiceError } from '../src/core/errors.ts';
import type { Env } from './env.ts';

/** The classes of the objects, by the bindings through which they are reached. */
const CLASSES = { SHARD: 'Shard', NAMESPACE: 'Namespace', REGISTRY: 'Registry' } as const;

/**
 * The objects of a binding.
 *
 * @throws SluiceError `invalid_configuration` where the Worker has no such binding
 */
export function bound<Binding extends keyof typeof CLASSES>(
  env: Partial<Env>,
  binding: Binding,
): Env[Binding] {
  const objects = env[binding];
  if (objects !== undefined) return objects as Env[Binding];
  throw new SluiceError(
    'invalid_configuration',
    `The Worker has no binding ${binding}: bind the Durable Object class ${CLASSES[binding]} under this name in wrangler.toml`,
  );
}
