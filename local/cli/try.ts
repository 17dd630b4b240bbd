/** `sluice try`: shows what row each message of a file would become, or why it would be refused. Nothing is written. */

import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { errorText, SluiceError } from '../../src/core/errors.ts';
import { type TriedMessage, type TriedRow, tryMessage } from '../../src/ingest/try-message.ts';
import type { RouteSink, TableSink } from '../../src/sinks/sink.ts';
import { projectFolder, wranglerConfigIn } from '../project.ts';
import { loadWorkerSinks } from '../worker-sinks.ts';
import { counted, printable } from './admin-client.ts';
import { EXIT } from './exit-codes.ts';

interface TryOptions {
  sink?: string;
  json?: true;
}

/** Exit codes: 0 where every message becomes a row, 1 where some are refused. */
export async function tryMessages(file: string, { sink: name, json }: TryOptions): Promise<void> {
  const sink = await sinkOf(name);
  let messages = 0;
  let rows = 0;
  let refused = 0;
  let line = 0;
  const show = json === true ? showJson : showText;
  for await (const text of linesOf(file)) {
    line += 1;
    const tried = tryMessage(sink, text, { producer: 'try', sequence: line, receivedAtMs: Date.now() });
    if (tried === undefined) continue;
    if ('refused' in tried) refused += 1;
    else rows += 'row' in tried ? 1 : Object.keys(tried.routes).length;
    messages += 1;
    process.stdout.write(show(line, tried));
  }
  if (json !== true) {
    process.stdout.write(
      `${counted(messages, 'message')} for the sink ${sink.name}: ${counted(rows, 'row')}, ${refused.toLocaleString('en-US')} refused. Nothing was written\n`,
    );
  }
  if (refused > 0) process.exitCode = EXIT.failed;
}

async function sinkOf(name: string | undefined): Promise<TableSink | RouteSink> {
  const config = wranglerConfigIn(projectFolder());
  if (config === undefined)
    throw new SluiceError(
      'invalid_options',
      'No wrangler.toml here or above: npx sluice init writes a Worker',
    );
  const sinks = await loadWorkerSinks(config);
  const names = sinks.names();
  const chosen = name ?? (names.length === 1 ? names[0] : undefined);
  if (chosen === undefined)
    throw new SluiceError('invalid_options', `Name the sink with --sink: there are ${names.join(', ')}`);
  const sink = sinks.find(chosen);
  if (sink === undefined)
    throw new SluiceError(
      'invalid_options',
      `There is no sink ${JSON.stringify(chosen)}: there are ${names.join(', ')}`,
    );
  if (sink.kind !== 'stream') return sink;
  throw new SluiceError(
    'invalid_options',
    `The sink ${chosen} appends to streams: it maps nothing to columns`,
  );
}

/** The lines of a file; of stdin for `-`. */
async function* linesOf(file: string): AsyncGenerator<string> {
  const input = file === '-' ? process.stdin : createReadStream(file);
  try {
    yield* createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  } catch (error) {
    throw new SluiceError('invalid_options', `Cannot read ${file}: ${errorText(error)}`, { cause: error });
  }
}

function showJson(line: number, tried: TriedMessage): string {
  return `${printable(JSON.stringify({ line, ...tried }))}\n`;
}

function showText(line: number, tried: TriedMessage): string {
  if ('refused' in tried)
    return `line ${line}: refused (${tried.refused.code})\n  ${printable(tried.refused.message)}\n`;
  if ('row' in tried) return `line ${line}\n${rowText(tried.row, '  ')}`;
  const routes = Object.entries(tried.routes).map(
    ([route, row]) => `  route ${printable(route)}\n${rowText(row, '    ')}`,
  );
  return `line ${line}\n${routes.join('') || '  no route\n'}`;
}

function rowText(row: TriedRow, indent: string): string {
  const width = Math.max(0, ...Object.keys(row).map((column) => column.length));
  return Object.entries(row)
    .map(([column, text]) => `${indent}${printable(column.padEnd(width))}  ${shownText(text)}\n`)
    .join('');
}

// A text that could be taken for something else is shown in quotes.
function shownText(text: string | null): string {
  if (text === null) return 'NULL';
  return text === 'NULL' || text.trim() !== text || text === '' || /\p{Cc}/u.test(text)
    ? printable(JSON.stringify(text))
    : printable(text);
}
