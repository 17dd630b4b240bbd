/** What a sink would make of a message, without taking or writing it: the checks and the mapping of a shard, and no database. */

import { errorText, isSluiceError } from '../core/errors.ts';
import { MAX_FRAME_BYTES } from '../core/limits.ts';
import { decodeFrame, refusalText } from '../protocol/frame.ts';
import { type MessageColumns, readMessageAt } from '../sinks/message-batch.ts';
import type { RouteSink, TableSink } from '../sinks/sink.ts';
import { isTakenBy, noRoute } from '../writers/routes.ts';
import { SchemaGate } from './schema-gate.ts';

/** A row by the names of columns in Postgres; null for NULL. Columns that Postgres fills are not among them. */
export type TriedRow = Record<string, string | null>;

export type TriedMessage =
  | { row: TriedRow }
  /** Of a sink with routes: the row of each route that takes the message. */
  | { routes: Record<string, TriedRow> }
  /** Why it would be refused, or become a dead letter. */
  | { refused: { code: string; message: string } };

export interface TriedEnvelope {
  producer: string;
  sequence: number;
  receivedAtMs: number;
}

/**
 * Tries one line of a frame.
 *
 * @returns undefined for a blank line
 */
export function tryMessage(
  sink: TableSink | RouteSink,
  line: string,
  envelope: TriedEnvelope,
): TriedMessage | undefined {
  const { maxMessageBytes, replacementCharacter } = sink.options;
  const limits = {
    maxMessageBytes,
    maxFrameBytes: MAX_FRAME_BYTES,
    takesReplacement: replacementCharacter === 'store',
  };
  const decoded = decodeFrame(line, limits);
  const [refusal] = decoded.refusals;
  if (refusal !== undefined)
    return { refused: { code: refusal.code, message: refusalText(refusal.code, limits) } };
  const [payload] = decoded.payloads;
  if (payload === undefined) return undefined;
  if (sink.askSchema === undefined) return mapped(sink, payload, envelope);
  const verdict = new SchemaGate(sink.askSchema, maxMessageBytes).judge(payload);
  return 'code' in verdict ? { refused: verdict } : mapped(sink, verdict.payload, envelope);
}

function mapped(sink: TableSink | RouteSink, payload: string, envelope: TriedEnvelope): TriedMessage {
  const columns: MessageColumns = {
    producers: [envelope.producer],
    sequences: [envelope.sequence],
    epochs: [0],
    payloads: [payload],
    plain: [false],
    receivedAtMs: [envelope.receivedAtMs],
  };
  try {
    return sink.kind === 'table' ? { row: rowOf(sink, columns) } : { routes: rowsOf(sink, columns) };
  } catch (error) {
    const code = isSluiceError(error) ? error.code : 'sink_failed';
    return { refused: { code, message: errorText(error) } };
  }
}

function rowOf(sink: TableSink, columns: MessageColumns): TriedRow {
  return Object.fromEntries(sink.columns.map((column) => [column.name, column.text(columns, 0)]));
}

function rowsOf({ name, routes, unrouted }: RouteSink, columns: MessageColumns): Record<string, TriedRow> {
  const message = readMessageAt(columns, 0);
  const taking = routes.filter((route) => isTakenBy(name, route, message));
  if (taking.length === 0 && unrouted === 'refuse') throw noRoute(name);
  return Object.fromEntries(taking.map((route) => [route.name, rowOf(route.sink, columns)]));
}
