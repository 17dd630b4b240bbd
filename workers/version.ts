/** Which version of a Worker runs, for operators: that of its deployment where the binding is there, else that of the package. */

import { VERSION } from '../src/core/version.ts';
import type { Env } from './env.ts';

/** The tag of the deployed version, or its id's first digits, or the package's version. At most 64 characters. */
export function deployedVersion({ CF_VERSION_METADATA: metadata }: Pick<Env, 'CF_VERSION_METADATA'>): string {
  if (metadata === undefined) return VERSION;
  const { id, tag } = metadata;
  return (tag === '' ? id.slice(0, 8) : tag).slice(0, 64);
}
