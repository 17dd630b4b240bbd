/** Looks at the database server while a repetition runs. */

import type { ServerFigures } from '../result.ts';

export interface ServerWatch {
  /** Called right before the load begins. */
  begin(): Promise<void>;
  /**
   * Called right after the last row is committed, before the audit reads and the table is dropped.
   *
   * @param tables names as the database knows them, quoted and with their schema; their bytes are divided by `rows`. None: bytes
   *   of tables are not told
   */
  end(rows: number, tables: readonly string[]): Promise<ServerFigures>;
}
