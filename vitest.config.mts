import { fileURLToPath } from 'node:url';
import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';
import { ALIASES } from './test/support/package-sources.ts';

export default defineConfig({
  test: {
    reporters: ['default', './test/support/summary-reporter.ts'],
    projects: [
      {
        // Examples import the package as its users do.
        resolve: { alias: ALIASES },
        test: {
          name: 'node',
          include: [
            'test/src/**/*.test.ts',
            'test/local/**/*.test.ts',
            'test/lab/!(workers)/**/*.test.ts',
            'test/lab/*.test.ts',
            'test/faults/**/*.test.ts',
            'test/clients/**/*.test.ts',
            'test/examples/**/*.test.ts',
            'test/*.test.ts',
          ],
          globalSetup: ['test/support/postgres.ts', 'test/support/lab-page.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        plugins: [
          cloudflareTest(async ({ inject }) => ({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: { bindings: { DATABASE_URL: inject('databaseUrl'), BENCH: 'on' }, cf: false },
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
          include: ['test/workers/**/*.test.ts', 'test/lab/workers/**/*.test.ts'],
          globalSetup: ['test/support/postgres.ts', 'test/support/lab-page.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
