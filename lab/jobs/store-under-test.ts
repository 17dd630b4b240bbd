/** What the engines have to know of a store that is measured: how it is opened, and how its bare statements look. */

import type { ConnectionPool } from '../../src/database/connection-pool.ts';
import type { Sqlite } from '../../src/database/sqlite.ts';
import type { Engine, Fixture, Plan } from './fixture.ts';
import type { FloorSpec } from './floor.ts';
import type { Job } from './job.ts';

export interface PostgresPlace {
  connections: ConnectionPool;
  schema: string;
  /** Told where a pooler in between does not know the names of statements. */
  onNamesLost: () => void;
}

export interface StoreUnderTest<Store, Row> {
  onSqlite(sqlite: Sqlite): Store;
  onPostgres(place: PostgresPlace): Store;
  /** Connections of one store on Postgres. */
  connections: number;
  /** The statements that make a namespace in a schema. */
  schemaStatements(schema: string): string[];
  /** Tables of a schema whose statistics are made once what is read is there. */
  settledTables: readonly string[];
  floor: FloorSpec<Row>;
}

/** A store with the jobs of its suite. */
export interface BenchedStore<J extends Job, Store, Row> extends StoreUnderTest<Store, Row> {
  /** Of the suite; part of the Worker's addresses. */
  name: string;
  /** The fixtures and steps of its jobs on an engine. */
  plan(engine: Engine<Store, Row>): Plan<J, Fixture>;
  /** Names the object of a Worker that does a job, after the run: letters and digits. */
  targetOf(job: J): string;
}
