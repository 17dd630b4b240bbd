/** Node's SQLite, in memory or in a file, as the tests of the outbox use it. */

export { NodeSqlite } from '../../local/sqlite.ts';
