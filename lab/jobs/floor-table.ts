/** A bare table, as the floor of a comparison sees it. */

/** Synchronous engines answer at once; waiting for a promise would be time that a bare statement does not take. */
export interface FloorTable<Row> {
  /** Inserts one row by one statement, or several in one transaction (Postgres: by one COPY). */
  insert(rows: readonly Row[]): Promise<unknown> | undefined;
  /** The rows of one of the selects of the table's spec. */
  select(name: string, ...values: (string | number)[]): Promise<readonly unknown[]> | readonly unknown[];
  /** How many rows there are, and how many different keys they have. */
  count(): Promise<{ rows: number; keys: number }>;
  /** To be called once what is read is there: its statistics are made. */
  settle(): Promise<void>;
}
