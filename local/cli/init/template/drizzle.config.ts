import type { Config } from 'drizzle-kit';

// `npx drizzle-kit generate` writes migrations for what changed in the schema; `npx sluice migrate` applies them.
export default {
  dialect: 'postgresql',
  schema: './src/schema.ts',
  out: './drizzle',
} satisfies Config;
