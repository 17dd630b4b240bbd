/** Bindings that a Worker may lack. */

import { SluiceError } from '../src/core/errors.ts';

/**
 * The Durable Objects of a binding.
 *
 * @param binding such as `SHARD` or `BENCH_OBJECT`; the class has the same name, `Shard` or `BenchObject`
 * @throws SluiceError `invalid_configuration` where the Worker has no such binding
 */
export function bound<Bindings extends object, Name extends keyof Bindings & string>(
  env: Bindings,
  binding: Name,
): Exclude<Bindings[Name], undefined> {
  const objects = env[binding];
  if (objects !== undefined) return objects as Exclude<Bindings[Name], undefined>;
  const className = binding
    .toLowerCase()
    .replaceAll(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase());
  throw new SluiceError(
    'invalid_configuration',
    `The Worker has no binding ${binding}: bind the Durable Object class ${className} under this name in wrangler.toml`,
  );
}
