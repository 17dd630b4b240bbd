/** `sluice/node`: what only Node can do. The stores in SQLite files, a client's storage in a file, and a Postgres for tests. */

export { fileStorage } from './client-file-storage.ts';
export { migrateDatabase } from './migrate.ts';
export type { MigrationReport } from './migrations.ts';
export {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from './postgres/embedded.ts';
export { NodeSqlite, type NodeSqliteOptions } from './sqlite.ts';
export { SqliteNamespaces, type SqliteNamespacesOptions } from './sqlite-namespaces.ts';
