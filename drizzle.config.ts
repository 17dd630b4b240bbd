import { defineConfig } from 'drizzle-kit';
import { parseAddress } from './src/database/address.ts';

const { user, password, host, port, database, tls } = parseAddress(
  process.env.DATABASE_URL ?? 'postgres://sluice:sluice@127.0.0.1:54320/sluice',
);

// `npm run generate` writes the SQL; `npm run migrate` applies it. Use a direct address, not a pooler's.
export default defineConfig({
  dialect: 'postgresql',
  schema: './src/schema/index.ts',
  out: './src/schema/migrations',
  // For drizzle-kit's other commands: by its parts, as everywhere (docs/database-addresses.md).
  dbCredentials: { user, ...(password === undefined ? {} : { password }), host, port, database, ssl: tls },
});
