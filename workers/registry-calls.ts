/** The registry as those see it who ask it. */

import type { Namespaces } from '../src/store/namespaces.ts';
import { bound } from './bound.ts';
import type { Env } from './env.ts';
import { unwrap } from './outcome.ts';

/** The registry of a deployment. `ensure` creates a namespace that no token opens, unless it exists. */
export function registryOf(env: Env): Namespaces & { ensure(namespace: string): Promise<void> } {
  const registry = bound(env, 'REGISTRY').getByName('registry');
  return {
    create: (namespace) => unwrap(registry.create(namespace)),
    ensure: (namespace) => unwrap(registry.ensure(namespace)),
    delete: (namespace) => unwrap(registry.delete(namespace)),
    list: (list) => registry.list(list),
    info: (namespace) => unwrap(registry.info(namespace)),
  };
}
