import { fileURLToPath } from 'node:url';
import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    reporters: ['default', './test/support/summary-reporter.ts'],
    projects: [
      {
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
          alias: {
            'pg-cloudflare': fileURLToPath(
              new URL('node_modules/pg-cloudflare/dist/index.js', import.meta.url),
            ),
          },
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
