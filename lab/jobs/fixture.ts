/** The data that steps work on, and who makes it. */

import type { FloorTable } from './floor-table.ts';
import type { Job } from './job.ts';
import type { Step } from './step.ts';

/** Makes namespaces of one engine. */
export interface Engine<Store, Row> {
  /** False once statements had to go without names, because of a pooler in between. Default: true. */
  hasNames?(): boolean;
  /** A new namespace with nothing in it. */
  create(): Promise<Namespace<Store, Row>>;
}

export interface Namespace<Store, Row> {
  /** Opens one more store on the namespace; on Postgres, with its own connections. */
  openStore(): Promise<Store>;
  /** Makes the table for bare statements. Without indexes, it has a primary key and nothing else. */
  openFloor(hasIndexes: boolean): Promise<FloorTable<Row>>;
  /** To be called once what is read is there: no statistics are made while the clock runs. */
  settle(): Promise<void>;
  /** Closes what is open, and deletes everything. */
  drop(): Promise<void>;
}

/** The data of one job or of several, which is prepared before the clock starts. */
export interface Fixture {
  /** Brings in some of what is missing, and returns how much still is. */
  fill(): Promise<number>;
  /** Whether a repetition has changed it so much that the next one needs a new one. */
  isWorn(): boolean;
  drop(): Promise<void>;
}

/** What differs between the stores that are measured: the fixtures of their jobs, and the steps on these. */
export interface Plan<J extends Job, F extends Fixture = Fixture> {
  /** Jobs of one engine with the same key share a fixture. */
  fixtureKey(job: J): string;
  makeFixture(job: J): Promise<F>;
  /** @param measuresHeap whether attempts are made after the clock, for the heap */
  makeStep(fixture: F, job: J, measuresHeap: boolean): Promise<Step>;
}
