/** Writes each message of a batch to the tables whose routes take it: one write for each table, all in one transaction. */

import { SluiceError } from '../core/errors.ts';
import { emptyColumns, type MessageBatch, readMessageAt, rowsOf } from '../sinks/message-batch.ts';
import { faultOfBatch, RefusedRows, rowFault } from '../sinks/refused-rows.ts';
import type { RouteSink, SinkRoute } from '../sinks/sink.ts';
import { dropStage } from './merging.ts';
import type { PrepareWrite, Write, Writer } from './writer.ts';

type Faults = Map<number, SluiceError>;

/** @param writer one of those that write a batch as a whole */
export function prepareRoutes(sink: RouteSink, writer: Writer): PrepareWrite {
  const prepares = sink.routes.map((route) => writer.create(route.sink));
  return function prepareRouted(batch) {
    const faults: Faults = new Map();
    const taken = takenRows(sink, batch, faults);
    const writes: { write: Write; isMerged: boolean }[] = [];
    sink.routes.forEach((route, index) => {
      const rows = taken[index] as number[];
      const write = prepareRoute(route, prepares[index] as PrepareWrite, batch, rows, faults);
      if (write !== undefined) writes.push({ write, isMerged: route.sink.onConflict !== undefined });
    });
    if (faults.size > 0) throw thrownFor(batch, faults);
    return async function writeRouted(connection, transaction = 'own') {
      const writeAll = async (): Promise<void> => {
        for (const [index, { write, isMerged }] of writes.entries()) {
          await write(connection, 'callers');
          // The temporary table of a batch has one name, whatever the sink.
          if (isMerged && index < writes.length - 1) await dropStage(connection);
        }
      };
      await (transaction === 'callers' ? writeAll() : connection.db.transaction(writeAll));
    };
  };
}

/** The rows of a batch that each route takes. What is wrong with a message is noted in `faults`. */
function takenRows({ name, routes, unrouted }: RouteSink, batch: MessageBatch, faults: Faults): number[][] {
  const taken = routes.map((): number[] => []);
  for (let row = batch.from; row < batch.to; row += 1) {
    // Parsed at most once, by the first route that looks into it.
    const message = readMessageAt(batch.columns, row);
    let isTaken = false;
    try {
      routes.forEach((route, index) => {
        if (!isTakenBy(name, route, message)) return;
        isTaken = true;
        (taken[index] as number[]).push(row);
      });
      if (!isTaken && unrouted === 'refuse') throw noRoute(name);
    } catch (error) {
      faults.set(row, rowFault(error));
    }
  }
  return taken;
}

/** The error for a message that no route takes. */
export function noRoute(sink: string): SluiceError {
  return new SluiceError('invalid_message', `No route of the sink ${sink} takes the message`);
}

/** Whether a route takes a message. @throws SluiceError `sink_failed` where its function does not say so */
export function isTakenBy(
  sink: string,
  { name, takes }: SinkRoute,
  message: ReturnType<typeof readMessageAt>,
): boolean {
  if (takes === undefined) return true;
  const answer: unknown = takes(message);
  if (typeof answer === 'boolean') return answer;
  // A promise would count as true.
  throw new SluiceError(
    'sink_failed',
    `when of the route ${name} of the sink ${sink} returned a value of type ${typeof answer}: it has to return true or false`,
  );
}

function prepareRoute(
  { sink }: SinkRoute,
  prepare: PrepareWrite,
  batch: MessageBatch,
  rows: readonly number[],
  faults: Faults,
): Write | undefined {
  if (rows.length === 0) return undefined;
  const chosen = rows.length === rowsOf(batch) ? batch : chosenRows(batch, rows);
  try {
    return prepare(chosen);
  } catch (error) {
    const fault = faultOfBatch(sink, chosen, error);
    if (fault instanceof RefusedRows) {
      for (const [row, why] of fault.rows) faults.set(rows[row - chosen.from] as number, why);
      return undefined;
    }
    const isOfMessage =
      rows.length === 1 &&
      fault instanceof SluiceError &&
      (fault.code === 'invalid_message' || fault.code === 'sink_failed');
    // Not about a message: all have to wait.
    if (!isOfMessage) throw fault;
    faults.set(rows[0] as number, fault);
    return undefined;
  }
}

/** Some messages of a batch as a batch. */
function chosenRows({ columns, position }: MessageBatch, rows: readonly number[]): MessageBatch {
  const chosen = emptyColumns();
  for (const row of rows) {
    chosen.producers.push(columns.producers[row] as string);
    chosen.sequences.push(columns.sequences[row] as number);
    chosen.epochs.push(columns.epochs[row] as number);
    chosen.payloads.push(columns.payloads[row] as string);
    chosen.plain.push(columns.plain[row] as boolean);
    chosen.receivedAtMs.push(columns.receivedAtMs[row] as number);
  }
  return { columns: chosen, from: 0, to: rows.length, position, bytes: 0 };
}

function thrownFor(batch: MessageBatch, faults: Faults): SluiceError {
  if (rowsOf(batch) === 1) return faults.get(batch.from) as SluiceError;
  return new RefusedRows(new Map([...faults].sort(([left], [right]) => left - right)), batch);
}
