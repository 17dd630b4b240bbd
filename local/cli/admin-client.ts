/** Asks the routes under `/admin` of a running Worker; what the commands `dead-letters` and `shard` share. */

import { type Command, Option } from 'commander';
import { type ErrorCode, errorText, SluiceError } from '../../src/core/errors.ts';
import { DRAIN_TIME_LIMIT_MS, MAX_SHARDS } from '../../src/core/limits.ts';
import { optionTable, resolveOptions } from '../../src/core/option-table.ts';
import type { MonitorView } from '../../src/monitor/view.ts';
import { commandText } from '../command-text.ts';
import { onlySink } from '../only-sink.ts';
import { operatorHeaders, TOKEN_VARIABLE } from '../operator-token.ts';
import { routeOf } from '../worker-address.ts';

const SHARD_PARAMETER = optionTable({
  shard: { kind: 'integer', min: 0, max: MAX_SHARDS - 1, default: 0, description: 'Number of the shard' },
});

/** Longer than the longest that the Worker waits for a shard, so that it is the Worker who says what took too long. */
const ANSWER_TIME_LIMIT_MS = DRAIN_TIME_LIMIT_MS + 30_000;

/** The flags that say which shard is meant. */
export interface ShardFlags {
  url: string;
  /** Default: the only one there is. */
  sink?: string;
  shard: string;
  token?: string;
  json?: true;
}

/** Adds the flags that say which shard is meant. */
export function withShardFlags(command: Command): Command {
  return withSinkFlags(command).addOption(new Option('--shard <n>', 'number of the shard').default('0'));
}

/** Adds the flags that say which sink is meant. */
function withSinkFlags(command: Command): Command {
  return withWorkerFlags(command).option(
    '--sink <name>',
    'sink that the shard belongs to (default: the only one there is)',
  );
}

/** Adds the flags that say which Worker is meant. */
export function withWorkerFlags(command: Command): Command {
  return command
    .option('--url <address>', 'address of the Worker', 'http://localhost:8787')
    .option('--token <text>', `token of an operator (better: the variable ${TOKEN_VARIABLE})`)
    .option('--json', 'print the answer as JSON');
}

/** The routes of a Worker, of one sink, or of one shard of it. */
export class AdminClient {
  readonly #worker: URL;
  readonly #base: URL;
  readonly #authorization: Record<string, string>;
  /** What it talks to, for people: `messages, shard 0`; empty for a whole Worker. */
  readonly name: string;

  /** @throws SluiceError `invalid_options` for an address or a shard number that cannot be */
  constructor({ url, token, ...flags }: Pick<ShardFlags, 'url' | 'token'> & Partial<ShardFlags>) {
    const base = URL.canParse(url) ? new URL(url) : undefined;
    if (base === undefined || !/^https?:$/.test(base.protocol)) {
      throw new SluiceError(
        'invalid_options',
        `Cannot use ${JSON.stringify(url)} as --url: an address such as http://localhost:8787 is allowed`,
      );
    }
    // fetch would refuse such an address with an error that repeats it.
    if (base.username !== '' || base.password !== '')
      throw new SluiceError(
        'invalid_options',
        '--url takes no user and password: a token is given by --token',
      );
    this.#authorization = operatorHeaders(token);
    const { sink } = flags;
    if (sink === '') throw new SluiceError('invalid_options', 'Cannot use an empty --sink: name a sink');
    let path = sink === undefined ? '/admin/' : `/admin/${encodeURIComponent(sink)}/`;
    this.name = sink ?? '';
    if (flags.shard !== undefined) {
      const { shard } = resolveOptions(SHARD_PARAMETER, { shard: flags.shard });
      path += `${shard}/`;
      this.name += `, shard ${shard}`;
    }
    this.#worker = base;
    this.#base = routeOf(base, path);
  }

  /** For the shard that the flags name, of the only sink there is where they name none. @throws SluiceError `invalid_options` */
  static async forShard(flags: ShardFlags): Promise<AdminClient> {
    const client = new AdminClient(flags);
    if (flags.sink !== undefined) return client;
    return new AdminClient({ ...flags, sink: onlySink(await client.sinks()) });
  }

  get<Answer>(path: string, query: Record<string, string> = {}): Promise<Answer> {
    return this.#get(new URL(path, this.#base), query);
  }

  /** The names of all sinks that the Worker tells of. */
  async sinks(): Promise<string[]> {
    const { sinks } = await this.#get<{ sinks?: Record<string, unknown> }>(routeOf(this.#worker, '/stats'));
    return Object.keys(sinks ?? {});
  }

  /** What the monitor shows. */
  view(): Promise<MonitorView> {
    return this.#get(routeOf(this.#worker, '/monitor/view'));
  }

  post<Answer>(path: string, body: unknown): Promise<Answer> {
    return this.#ask(new URL(path, this.#base), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  #get<Answer>(url: URL, query: Record<string, string> = {}): Promise<Answer> {
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return this.#ask(url, { method: 'GET' });
  }

  async #ask<Answer>(url: URL, { headers, ...request }: RequestInit): Promise<Answer> {
    const init = {
      ...request,
      headers: {
        ...(headers as Record<string, string> | undefined),
        ...this.#authorization,
      },
      signal: AbortSignal.timeout(ANSWER_TIME_LIMIT_MS),
    };
    const response = await fetch(url, init).catch((error: unknown) => {
      throw answerError(url, error);
    });
    const text = await response.text().catch((error: unknown) => {
      throw answerError(url, error);
    });
    const answer = parsed(text);
    if (response.ok && answer !== undefined) return answer as Answer;
    const { code, detail } = (answer ?? {}) as { code?: unknown; detail?: unknown };
    if (typeof code !== 'string' || typeof detail !== 'string') {
      throw new SluiceError(
        'internal',
        `What answers at ${url.origin} is not a Sluice Worker (status ${response.status}): is --url right?`,
      );
    }
    const remedy = REMEDIES[code];
    // An answer's code decides the exit code, as it does for errors that arise here.
    throw new SluiceError(
      code as ErrorCode,
      printable(remedy === undefined ? detail : `${detail} (${remedy})`),
    );
  }
}

/** What to do here about a refusal, where its text only says what to do with HTTP. */
const REMEDIES: Readonly<Record<string, string>> = {
  unauthorized: `set ${TOKEN_VARIABLE}, or give --token`,
  forbidden: `set ${TOKEN_VARIABLE}, or give --token, to one that may do this`,
  operators_closed: `${commandText('dev')} does so for a local Worker`,
  unknown_dead_letter: `${commandText('dead-letters', 'list')} shows those there are`,
};

function answerError(url: URL, error: unknown): SluiceError {
  if (error instanceof Error && error.name === 'TimeoutError') {
    return new SluiceError(
      'time_limit',
      `${url.origin} has not answered within ${ANSWER_TIME_LIMIT_MS / 1000} s; GET /stats shows how its shards are`,
      { cause: error },
    );
  }
  return new SluiceError(
    'internal',
    `Nothing answers at ${url.origin} (${errorText(error)}): is the Worker running? (${commandText('dev')})`,
    { cause: error },
  );
}

function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is for
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * A text for a terminal: what would steer it is written as JSON escapes it. Payloads and reasons come from anybody who
 * may send a message.
 */
export function printable(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Prints an answer as JSON, in one line. */
export function printJson(answer: unknown): void {
  process.stdout.write(`${printable(JSON.stringify(answer))}\n`);
}

/** Prints columns below their names; the last one is as wide as its text. */
export function printTable(names: readonly string[], rows: readonly (readonly string[])[]): void {
  const lines = [names, ...rows.map((row) => row.map(printable))];
  const widths = names.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  for (const line of lines) {
    const cells = line.map((cell, column) =>
      column === line.length - 1 ? cell : cell.padEnd(widths[column] ?? 0),
    );
    process.stdout.write(`${cells.join('  ').trimEnd()}\n`);
  }
}

/** A number of things: `1 dead letter`, `2,000 dead letters`. */
export function counted(number: number, thing: string): string {
  return `${number.toLocaleString('en-US')} ${thing}${number === 1 ? '' : 's'}`;
}
