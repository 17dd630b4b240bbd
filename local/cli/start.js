#!/usr/bin/env node
/**
 * Where the command `sluice` and the scripts of package.json begin. This file is JavaScript that any Node reads, because an
 * old Node, or one without the packages, fails at the first line of main.ts with a stack that says nothing of what to do.
 */

/**
 * The least version that runs TypeScript by itself (a checkout's code, a project's drizzle.config.ts), and has what is used
 * here; package.json's `engines` says the same.
 */
const LEAST_MAJOR = 22;
const LEAST_MINOR = 18;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < LEAST_MAJOR || (major === LEAST_MAJOR && minor < LEAST_MINOR)) {
  const isInstalled = import.meta.url.endsWith('/dist/local/cli/start.js');
  process.stderr.write(
    `sluice: This needs Node ${LEAST_MAJOR}.${LEAST_MINOR} or later, and runs in Node ${process.versions.node}. ` +
      (isInstalled
        ? 'Install a newer Node\n'
        : '`npm ci` brings its own Node for the npm scripts, unless NODE_ENV=production or --omit=dev keep it away: ' +
          'run npm ci --include=dev, or install a newer Node\n'),
  );
  process.exitCode = 1;
} else {
  import('./main.ts').catch((error) =>
    import('./missing-package.ts').then(({ missingPackageText }) => {
      const text = missingPackageText(error);
      if (text === undefined) console.error(error);
      else process.stderr.write(`sluice: ${text}\n`);
      process.exitCode = 1;
    }),
  );
}
