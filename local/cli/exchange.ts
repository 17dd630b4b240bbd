/** `npm run export` and `npm run import`: a namespace of the message store as lines of JSON, to a file and back. */

import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream as WebReadableStream } from 'node:stream/web';
import { createGzip } from 'node:zlib';
import type { Command } from 'commander';
import { errorText, isSluiceError, SluiceError } from '../../src/core/errors.ts';
import type { ImportEvent } from '../../src/messages/http/exchange.ts';
import { commandText } from '../command-text.ts';
import { routeOf } from '../worker-address.ts';
import { printable } from './admin-client.ts';
import { ImportInput } from './import-input.ts';

/** The variable that the token is taken from; a flag can be seen in the list of processes. */
const TOKEN_VARIABLE = 'SLUICE_STORE_TOKEN';

const NEWLINE = 0x0a;

interface StoreFlags {
  url: string;
  token?: string;
}

interface ExportFlags extends StoreFlags {
  category?: string;
  since?: string;
  until?: string;
  output?: string;
  gzip?: true;
}

interface ImportFlags extends StoreFlags {
  input?: string;
}

/** Adds both commands. */
export function defineExchange(program: Command): void {
  withStoreFlags(program.command('export').description('Write the messages of a namespace as lines of JSON'))
    .option('--category <names>', 'only these categories, as in a,b,c (default all)')
    .option('--since <time>', 'only messages of this time or later, as in 2025-01-31 or 2025-01-31T12:00:00Z')
    .option('--until <time>', 'only messages before this time')
    .option('--output <file>', 'where to (default stdout, as with -)')
    .option('--gzip', 'compress them')
    .action(exportStore);
  withStoreFlags(
    program.command('import').description('Store lines of JSON in a namespace, with their positions'),
  )
    .option('--input <file>', 'where from, compressed with gzip or not (default stdin, as with -)')
    .action(importStore);
}

function withStoreFlags(command: Command): Command {
  return command
    .option('--url <address>', 'address of the Worker', 'http://localhost:8787')
    .option('--token <text>', `token of the namespace (better: the variable ${TOKEN_VARIABLE})`);
}

async function exportStore({ category, since, until, gzip, ...flags }: ExportFlags): Promise<void> {
  const output = flags.output === '-' ? undefined : flags.output;
  const url = addressOf('/export', flags);
  for (const [name, value] of Object.entries({ category, since, until }))
    if (value !== undefined) url.searchParams.set(name, value);
  const response = await ask(url, flags, {});
  const body = Readable.fromWeb(response.body as WebReadableStream);
  // A file that has its name is whole.
  const partial = output === undefined ? undefined : `${output}.partial`;
  try {
    const target = partial === undefined ? process.stdout : createWriteStream(partial);
    const counted = countLines(body);
    if (gzip) await pipeline(counted, createGzip(), target, { end: partial !== undefined });
    else await pipeline(counted, target, { end: partial !== undefined });
    if (partial !== undefined && output !== undefined) await rename(partial, output);
  } catch (error) {
    if (partial !== undefined) await rm(partial, { force: true });
    throw new SluiceError('internal', `The export broke off: ${errorText(error)}`, { cause: error });
  }
}

/** Passes the lines on, and tells how many there are: meanwhile to a person, at the end to everybody. */
async function* countLines(body: Readable): AsyncGenerator<Buffer> {
  let messages = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) messages += 1;
    if (process.stderr.isTTY) process.stderr.write(`\r${messages.toLocaleString('en-US')} messages exported`);
    yield chunk;
  }
  process.stderr.write(
    `${process.stderr.isTTY ? '\r' : ''}${messages.toLocaleString('en-US')} messages exported\n`,
  );
}

async function importStore({ input: file, ...flags }: ImportFlags): Promise<void> {
  const url = addressOf('/import', flags);
  const input = new ImportInput(file);
  try {
    await input.open();
    // Who refuses a large body hangs up while it is sent, and the answer is lost: a token is tried out before.
    await ask(addressOf('/rpc', flags), flags, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '["ns.streams",{"limit":1}]',
    });
    await sendImport(url, flags, input);
  } finally {
    input.close();
  }
}

type ImportDone = Extract<ImportEvent, { done: true }>;

/** How far an import has come. */
interface ImportProgress {
  imported: number;
  /** Whether more may be stored than was told of. */
  isOpen: boolean;
}

async function sendImport(url: URL, flags: StoreFlags, input: ImportInput): Promise<void> {
  const progress: ImportProgress = { imported: 0, isOpen: true };
  try {
    const response = await ask(url, flags, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: Readable.toWeb(Readable.from(input.text())) as unknown as ReadableStream<Uint8Array>,
      duplex: 'half',
    });
    for await (const event of eventsOf(response)) {
      progress.imported = event.imported;
      if ('error' in event) {
        progress.isOpen = false;
        throw new SluiceError('internal', printable(`Line ${event.line}: ${event.error}: ${event.message}`));
      }
      if ('done' in event) {
        progress.isOpen = false;
        if (input.failure !== undefined)
          throw new SluiceError('internal', `Cannot read the input: ${failureOf(input.failure)}`);
        process.stderr.write(`${doneText(event)}\n`);
        return;
      }
      if (process.stderr.isTTY) process.stderr.write(`\r${counted(event.imported)} imported`);
    }
    throw new SluiceError('internal', 'The Worker broke off the import');
  } catch (error) {
    if (isSluiceError(error) && error.code !== 'internal') throw error;
    const reason = isSluiceError(error) ? error.message : `The import broke off: ${errorText(error)}`;
    throw new SluiceError('internal', `${reason.replace(/\.$/, '')}; ${whatIsStored(progress)}`, {
      cause: error,
    });
  }
}

function failureOf(failure: Error): string {
  const text = errorText(failure);
  return text.includes('unexpected end of file') ? `its compressed data are cut off (${text})` : text;
}

function whatIsStored({ imported, isOpen }: ImportProgress): string {
  const least = isOpen ? 'at least ' : '';
  const stored =
    imported === 0 && !isOpen ? 'nothing of it is stored' : `${least}${counted(imported)} of it are stored`;
  return `${stored}. Run the import again with the whole input: what is stored counts as done`;
}

function doneText({ imported, repeated = 0, elapsed }: ImportDone): string {
  const before = repeated === 0 ? '' : ` (${counted(repeated)} were there already)`;
  return `${counted(imported)} imported in ${elapsed}${before}`;
}

function counted(messages: number): string {
  return `${messages.toLocaleString('en-US')} messages`;
}

async function* eventsOf(response: Response): AsyncGenerator<ImportEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    const events = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events)
      if (event.startsWith('data: ')) yield JSON.parse(event.slice('data: '.length)) as ImportEvent;
  }
}

function addressOf(path: string, { url }: StoreFlags): URL {
  const base = URL.canParse(url) ? new URL(url) : undefined;
  if (
    base === undefined ||
    !/^https?:$/.test(base.protocol) ||
    base.username !== '' ||
    base.password !== ''
  ) {
    throw new SluiceError(
      'invalid_options',
      'Cannot use this --url: an address such as http://localhost:8787 is allowed',
    );
  }
  return routeOf(base, path);
}

async function ask(
  url: URL,
  { token }: StoreFlags,
  init: RequestInit & { duplex?: 'half' },
): Promise<Response> {
  const given = token ?? process.env[TOKEN_VARIABLE] ?? '';
  // fetch would name the whole header in its error.
  if (!/^[\x21-\x7e]*$/.test(given)) {
    throw new SluiceError(
      'invalid_options',
      `The token holds characters that a header cannot carry: look at --token or ${TOKEN_VARIABLE}`,
    );
  }
  const headers = {
    ...(init.headers as Record<string, string> | undefined),
    ...(given === '' ? {} : { authorization: `Bearer ${given}` }),
  };
  const response = await fetch(url, { ...init, headers }).catch((error: unknown) => {
    // Somebody has answered before a body is sent in parts.
    const text =
      init.duplex === undefined
        ? `Nothing answers at ${url.origin} (${errorText(error)}): is the Worker running? (${commandText('dev')})`
        : `The connection to ${url.origin} broke off (${errorText(error)})`;
    throw new SluiceError('internal', text, { cause: error });
  });
  if (response.ok && response.body !== null) return response;
  const text = await response.text();
  let refusal: { error?: { code?: string; message?: string } } = {};
  try {
    refusal = JSON.parse(text);
  } catch {}
  const { code, message } = refusal.error ?? {};
  if (code === undefined || message === undefined)
    throw new SluiceError(
      'internal',
      `What answers at ${url.origin} is not a Sluice Worker (status ${response.status})`,
    );
  throw new SluiceError(
    code === 'INVALID_REQUEST' ? 'invalid_options' : code.startsWith('AUTH_') ? 'unauthorized' : 'internal',
    printable(code.startsWith('AUTH_') ? `${message} (set ${TOKEN_VARIABLE}, or give --token)` : message),
  );
}
