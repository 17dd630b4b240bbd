import { defineConfig } from 'drizzle-kit';

// `npm run generate` writes the SQL; `npm run migrate` applies it. Use a direct address, not a pooler's.
export default defineConfig({
  dialect: 'postgresql',
  schema: './src/schema/index.ts',
  out: './src/schema/migrations',
  dbCredentials: { url: process.env.DATABASE_URL ?? 'postgres://sluice:sluice@127.0.0.1:54320/sluice' },
});
