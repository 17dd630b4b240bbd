/** The tables of sinks, as Postgres' own view is asked about them. */

import { getTableName } from 'drizzle-orm';
import { quoteName } from '../core/sql-text.ts';
import { deadLetters } from '../schema/dead-letters.ts';
import { STAGE } from '../sinks/on-conflict.ts';
import type { Sink } from '../sinks/sink.ts';
import { schemaOfNamespace } from '../store/namespaces.ts';

export interface WatchedTables {
  /** Quoted, with a schema where they have one: those of the sinks first, then Sluice's own. */
  tables: string[];
  /** One of these texts stands in each statement of a writer. */
  statementNames: string[];
}

/** All tables that these sinks write to, each once. */
export function watchedTables(sinks: readonly Sink[]): WatchedTables {
  const tables = new Set<string>();
  const statementNames = new Set<string>();
  for (const sink of sinks) {
    if (sink.kind === 'stream') {
      const schema = quoteName(schemaOfNamespace(sink.namespace));
      tables.add(`${schema}.messages`);
      statementNames.add(`${schema}.`);
    } else {
      const targets = sink.kind === 'table' ? [sink] : sink.routes.map((route) => route.sink);
      for (const { quotedTable, onConflict } of targets) {
        tables.add(quotedTable);
        if (onConflict !== undefined) statementNames.add(STAGE);
      }
    }
  }
  for (const sink of sinks) {
    tables.add(quoteName(sink.checkpointTable));
    if (sink.options.deadLetters === 'table') tables.add(quoteName(getTableName(deadLetters)));
  }
  return { tables: [...tables], statementNames: [...tables, ...statementNames] };
}
