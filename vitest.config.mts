import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { companionFiles, fastFiles, IN_WORKERD, postgresFiles } from './test/support/fast-files.ts';
import { longestFirst } from './test/support/longest-first.ts';
import { ALIASES } from './test/support/package-sources.ts';
import { HANG_LIMIT_MS, TEST_LIMIT_MS } from './test/support/patience.ts';

const fast = fastFiles();
const postgres = postgresFiles();
const companions = companionFiles();

const COMMON = {
  testTimeout: TEST_LIMIT_MS,
  hookTimeout: TEST_LIMIT_MS,
  expect: { poll: { timeout: HANG_LIMIT_MS } },
  // Each worker, and each project, would transform the same modules again.
  fsModuleCache: true,
};

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return longestFirst(await super.sort(files));
  }
}

export default defineConfig({
  test: {
    reporters: ['default', './test/support/summary-reporter.ts'],
    // Three times the cores: most of a test's time it waits, for Postgres, workerd, a browser or a process. With as many workers
    // as cores, two cores were busy for half of the time, and with twice as many for two thirds.
    maxWorkers: 3 * availableParallelism(),
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        // Examples import the package as its users do.
        resolve: { alias: ALIASES },
        test: {
          // Without Postgres, workerd, a browser and other processes: `npm run test:fast`.
          name: 'fast',
          include: fast,
          setupFiles: ['test/support/no-connections.ts'],
          // Nearly all of their time was the loading of the same modules, file by file.
          isolate: false,
          globalSetup: ['test/support/built-pages.ts'],
          ...COMMON,
        },
      },
      {
        resolve: { alias: ALIASES },
        test: {
          // Of all that is started, only the Postgres of the run.
          name: 'postgres',
          include: postgres,
          // To load drizzle, pg and fast-check for each file took a second or more of CPU.
          isolate: false,
          globalSetup: ['test/support/postgres.ts'],
          ...COMMON,
        },
      },
      {
        resolve: { alias: ALIASES },
        test: {
          name: 'companions',
          include: companions,
          // The command line, wrangler and what else they load took each of them one to two seconds of CPU.
          isolate: false,
          globalSetup: [
            'test/support/postgres.ts',
            'test/support/built-pages.ts',
            'test/support/kept-bundles.ts',
          ],
          ...COMMON,
        },
      },
      {
        resolve: { alias: ALIASES },
        test: {
          name: 'node',
          include: ['test/**/*.test.ts'],
          exclude: [...IN_WORKERD, ...fast, ...postgres, ...companions],
          globalSetup: [
            'test/support/postgres.ts',
            'test/support/built-pages.ts',
            'test/support/kept-bundles.ts',
          ],
          ...COMMON,
        },
      },
      {
        plugins: [
          cloudflareTest(async ({ inject }) => ({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: {
              bindings: {
                DATABASE_URL: inject('databaseUrl'),
                AUTHORIZE: 'open',
                OPERATORS: 'open',
                BENCH: 'open',
              },
              cf: false,
            },
          })),
        ],
        // Vite would take the empty module that pg-cloudflare is everywhere but in workerd.
        resolve: {
          alias: [
            ...ALIASES,
            {
              find: 'pg-cloudflare',
              replacement: fileURLToPath(
                new URL('node_modules/pg-cloudflare/dist/index.js', import.meta.url),
              ),
            },
          ],
        },
        test: {
          name: 'workers',
          include: IN_WORKERD,
          globalSetup: ['test/support/postgres.ts', 'test/support/built-pages.ts'],
          ...COMMON,
        },
      },
    ],
  },
});
