/** Sinks of routes: one message goes to the tables whose routes take it, all of them in the transaction of its batch. */

import type { StandardSchemaV1 } from '@standard-schema/spec';
import { getTableName } from 'drizzle-orm';
import type { PgTable } from 'drizzle-orm/pg-core';
import { checkpoints } from '../schema/checkpoints.ts';
import { wrongDefinition } from './definition-checks.ts';
import { originOf } from './mapping-origin.ts';
import type { ReadMessage } from './message-batch.ts';
import { schemaAsker } from './message-schema.ts';
import type { RouteSink, SinkRoute } from './sink.ts';
import { resolveSinkOptions, type SinkOptions } from './sink-options.ts';
import { defineSink, type TableSinkDefinition } from './table-sink.ts';

/** One way that messages take: a table with its mapping, as in a sink of one table, and which messages go there. */
export interface RouteDefinition<Table extends PgTable = PgTable>
  extends Omit<TableSinkDefinition<Table>, 'options' | 'checkpointTable' | 'schema'> {
  /**
   * True for the messages that go to this table. It runs once for each message, and must not throw. Missing: all go there. A
   * message goes to every table whose route takes it.
   */
  when?: (message: ReadMessage) => boolean;
}

export interface RouteSinkDefinition {
  /** The routes by their names, which errors mention. They are written in this order. From 1 to 16. */
  routes: Readonly<Record<string, RouteDefinition>>;
  /** What becomes of a message that no route takes: it is refused (default), or it counts as written without a row. */
  unrouted?: 'refuse' | 'ignore';
  /** Asked of each message before it is stored; what it makes of the message is what the routes get. Default: none. */
  schema?: StandardSchemaV1;
  /** `naive` and `buffered` cannot be chosen: with them, a message could be in one table and not in the other. */
  options?: Partial<SinkOptions>;
  /** The table that counts its batches, in the form of `checkpoints`. Default: `sluice_checkpoints`. */
  checkpointTable?: string;
}

/** Each route is at least one more statement of a batch. */
const MAX_ROUTES = 16;

/**
 * Makes a sink that writes to several tables.
 *
 * @param name part of addresses, of errors, and of the checkpoint
 * @throws SluiceError `invalid_options` for what cannot work: no route, too many of them, a writer that writes message by
 *   message, or what `defineSink` refuses of a table
 */
export function defineRouteSink(name: string, definition: RouteSinkDefinition): RouteSink {
  const { unrouted = 'refuse', options: given = {}, checkpointTable } = definition;
  const definitions = Object.entries(definition.routes);
  if (definitions.length === 0 || definitions.length > MAX_ROUTES)
    throw wrongDefinition(name, `it has ${definitions.length} routes, and needs 1 to ${MAX_ROUTES}`);
  if (unrouted !== 'refuse' && unrouted !== 'ignore')
    throw wrongDefinition(name, `unrouted is 'refuse' or 'ignore', not ${JSON.stringify(unrouted)}`);
  const options = resolveSinkOptions(given, name);
  if (options.writer === 'naive' || options.writer === 'buffered')
    throw wrongDefinition(
      name,
      `the writer ${options.writer} writes message by message, and so cannot write to several tables in one transaction: set options: { writer: 'copy' }, 'unnest' or 'bulk'`,
    );
  const routes = definitions.map(([route, { when, ...table }]): SinkRoute => {
    if (when !== undefined && typeof when !== 'function')
      throw wrongDefinition(name, `when of the route ${route} is a function of a message`);
    // A table with row security needs a writer that somebody has named.
    const writer = given.writer === undefined ? {} : { writer: given.writer };
    return { name: route, takes: when, sink: defineSink(`${name}.${route}`, { ...table, options: writer }) };
  });
  return {
    kind: 'routes',
    name,
    routes,
    unrouted,
    mapping: mappingOf(routes, unrouted),
    askSchema: definition.schema === undefined ? undefined : schemaAsker(name, definition.schema),
    options,
    checkpointTable: checkpointTable ?? getTableName(checkpoints),
  };
}

function mappingOf(routes: readonly SinkRoute[], unrouted: string): Record<string, string> {
  const mapping: Record<string, string> = { unrouted };
  for (const { name, takes, sink } of routes) {
    mapping[`route ${name}`] =
      `${sink.quotedTable}, ${takes === undefined ? 'all messages' : originOf(takes)}`;
    for (const [column, origin] of Object.entries(sink.mapping)) mapping[`${name}.${column}`] = origin;
  }
  return mapping;
}
