/** The commands of the pages: which test types each, and which are not run, with the reason. */

import { allBlocks, commandsOf } from './pages.ts';

export interface ShownCommand {
  page: string;
  command: string;
}

export const COMMANDS: readonly ShownCommand[] = allBlocks()
  .filter(({ language }) => ['sh', 'bash', 'console', 'sql'].includes(language))
  .flatMap((block) => commandsOf(block.text).map((command) => ({ page: block.page, command })));

/** Commands that no test runs, by how they begin, with the reason. */
export const NOT_RUN: readonly (readonly [RegExp, string])[] = [
  [/^npm publish$/, 'would publish'],
  [/^docker compose /, 'needs Docker'],
  [
    /^SELECT blob1 AS sink|^FROM sluice WHERE timestamp/,
    'is SQL of Cloudflare’s Analytics Engine, which only Cloudflare runs',
  ],
  [/^npm ci( && npm (run bench|test))?$/, 'is what CI itself does (.ci/run)'],
  [
    /^npm ci && npm pack$/,
    'npm ci is what CI itself begins with; what npm pack makes is used by test/package/pack.test.ts',
  ],
  [/^npm (test|run check|run test:fast|run check:package)$/, 'is what CI itself does, or a part of it'],
  [
    /^npx vitest run /,
    'would start the tests within the tests; what it names is looked for in test/pages.test.ts',
  ],
  [
    /^npm run faults\b/,
    'takes minutes; its faults are looked for in test/pages.test.ts, and CI runs the short form',
  ],
];

/**
 * Commands that are typed as they are shown, by how they begin, and the test that takes them from the pages. What differs from
 * a reader's terminal is written in test/support/terminal.ts.
 */
export const RUN: readonly (readonly [RegExp, string])[] = [
  [
    /^(curl |create extension |npx sluice (export|import|sessions|top$|shard resume|shard drain(?!.* --url )|migrate --sluice-only)\b)/,
    'test/examples/commands.test.ts',
  ],
  [/^npx sluice dead-letters (?!list --sink readings$)/, 'test/examples/commands.test.ts'],
  [/websocat -n /, 'test/examples/websocat.test.ts'],
  [/^npx sluice bench\b/, 'test/examples/lab-commands.test.ts'],
  [
    /^(mkdir |npm install\b|npm pack --dry-run |psql |websocat ws:|npx wrangler (secret put|deploy --env (staging|production)$)|node client\/send\.ts$|npx sluice token |npx sluice (init|dev|doctor|try --sink readings sample\.ndjson)$)/,
    'test/package/pack.test.ts',
  ],
  [/^select .* from sluice_dead_letters /, 'test/src/ingest/dead-letter-copy.test.ts'],
  [
    /^(cp |rm |npx drizzle-kit generate$|npx sluice dev --path |npx wrangler deploy --env=""$|npx sluice shard drain .* --url )/,
    'test/package/from-a-clone.test.ts',
  ],
  [/^npx sluice dead-letters list --sink readings$/, 'test/package/from-a-clone.test.ts'],
  [/^DATABASE_URL=\S+ npx sluice migrate$/, 'test/package/from-a-clone.test.ts'],
];

/** What a test has to type. */
export function commandsFor(test: string): string[] {
  const patterns = RUN.filter(([, file]) => file === test).map(([pattern]) => pattern);
  const commands = COMMANDS.map(({ command }) => command).filter((command) =>
    patterns.some((pattern) => pattern.test(command)),
  );
  return [...new Set(commands)];
}
