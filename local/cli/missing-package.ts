/** What to say where a package is not installed. */

/** The sentence for an error that says so; undefined for any other error. */
export function missingPackageText(error: unknown): string | undefined {
  for (let reason = error; reason instanceof Error; reason = reason.cause) {
    const { code, message } = reason as NodeJS.ErrnoException;
    if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') continue;
    // `Cannot find package 'miniflare' imported from …`, `Cannot find module 'wrangler/package.json'`.
    const name = /^Cannot find (?:package|module) '((?:@[^/']+\/)?[^./'@][^/']*)/.exec(message)?.[1];
    if (name === undefined) continue;
    return (
      `The package ${name} is not installed. Run npm ci; where NODE_ENV is production or --omit=dev is set, ` +
      'npm ci --include=dev (only `migrate`, `load`, `dead-letters`, `shard`, `export` and `import` do without)'
    );
  }
  return undefined;
}
