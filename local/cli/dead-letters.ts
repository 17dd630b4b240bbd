/** `npm run dead-letters`: lists, shows, retries and drops the messages that Postgres refused. */

import type { Command } from 'commander';
import { SluiceError } from '../../src/core/errors.ts';
import { MAX_TAKEN_DEAD_LETTERS } from '../../src/core/limits.ts';
import type {
  DeadLetter,
  DeadLetterExcerpt,
  DeadLetterTotals,
  DroppedDeadLetters,
} from '../../src/outbox/dead-letter.ts';
import type { RetriedDeadLetters, ShardSummary } from '../../src/outbox/shard-admin.ts';
import { commandText } from '../command-text.ts';
import { unexpectedText } from '../input-kind.ts';
import {
  AdminClient,
  counted,
  printable,
  printJson,
  printTable,
  type ShardFlags,
  withShardFlags,
  withWorkerFlags,
} from './admin-client.ts';
import { EXIT } from './exit-codes.ts';

/** A letter as the routes show it. */
type Shown<Letter> = Omit<Letter, 'receivedAtMs' | 'failedAtMs'> & { receivedAt: string; failedAt: string };

interface Page {
  letters: Shown<DeadLetterExcerpt>[];
  next: number | null;
  totals: DeadLetterTotals;
}

interface Summary {
  sink: string;
  count: number;
  isFull: boolean;
  shards: (ShardSummary & { shard: number })[];
}

interface FilterFlags {
  reason?: string;
  column?: string;
  since?: string;
  until?: string;
}

interface ChoiceFlags extends ShardFlags, FilterFlags {
  all?: true;
}

/** Adds the flags that name letters by why and when they were refused. */
function withFilterFlags(command: Command): Command {
  return command
    .option(
      '--reason <text>',
      'those with this SQLSTATE, refused by it (postgres, mapping, schema, sink), or with it in the reason',
    )
    .option('--column <name>', 'those that did not fit this column')
    .option('--since <time>', 'those refused at this time or later, as 2026-11-21T13:10:00Z')
    .option('--until <time>', 'those refused before this time');
}

/** The flags that were given; undefined where none was. */
function filterOf({ reason, column, since, until }: FilterFlags): FilterFlags | undefined {
  const given = Object.entries({ reason, column, since, until }).filter(([, value]) => value !== undefined);
  return given.length === 0 ? undefined : (Object.fromEntries(given) as FilterFlags);
}

/** Adds the command and its subcommands. */
export function defineDeadLetters(program: Command): void {
  const command = program
    .command('dead-letters')
    .description('List, show, retry and drop the messages that Postgres refused');
  withWorkerFlags(command.command('summary').description('how many each shard has'))
    .option('--sink <name>', 'only this sink (default all)')
    .action(summary);
  withFilterFlags(withShardFlags(command.command('list').description('those of one shard, oldest first')))
    .option('--after <id>', 'begin after this one')
    .option('--limit <n>', 'how many at most (1 to 100; default 50)')
    .action(list);
  withShardFlags(command.command('show').description('one, with all of its payload').argument('<id>')).action(
    show,
  );
  withFilterFlags(
    withShardFlags(command.command('retry').description('write them again').argument('[ids...]')),
  )
    .option('--all', 'every one that is there now')
    .option('--payload <json>', 'what to write instead of the payload; with one id only')
    .action(retry);
  withFilterFlags(
    withShardFlags(command.command('drop').description('remove them for good').argument('[ids...]')),
  )
    .option('--all', 'every one there is')
    .action(drop);
}

async function summary(flags: Omit<ShardFlags, 'shard' | 'sink'> & { sink?: string }): Promise<void> {
  const sinks = flags.sink === undefined ? await new AdminClient(flags).sinks() : [flags.sink];
  const summaries: Summary[] = [];
  for (const sink of sinks) summaries.push(await new AdminClient({ ...flags, sink }).get('dead-letters'));
  if (flags.json) {
    printJson(flags.sink === undefined ? { sinks: summaries } : summaries[0]);
    return;
  }
  printTable(
    ['sink', 'shard', 'letters', 'of', 'bytes', 'of', ''],
    summaries.flatMap(({ sink, shards }) =>
      shards.map(({ shard, count, maxRows, bytes, maxBytes, isFull, state, code }) => [
        sink,
        String(shard),
        String(count),
        String(maxRows),
        String(bytes),
        String(maxBytes),
        isFull ? FULL : state === 'stopped' || state === 'paused' ? `${state} (${code})` : '',
      ]),
    ),
  );
}

const FULL = 'FULL: the shard has stopped writing until letters are retried or dropped';

async function list({
  after,
  limit,
  ...flags
}: ShardFlags & FilterFlags & { after?: string; limit?: string }): Promise<void> {
  const client = await AdminClient.forShard(flags);
  const page = await client.get<Page>('dead-letters', {
    ...(after === undefined ? {} : { after }),
    ...(limit === undefined ? {} : { limit }),
    ...filterOf(flags),
  });
  if (flags.json) {
    printJson(page);
    return;
  }
  const { count, bytes, isFull } = page.totals;
  process.stdout.write(
    `${printable(client.name)}: ${counted(count, 'dead letter')}, ${counted(bytes, 'byte')}${isFull ? `. ${FULL}` : ''}\n`,
  );
  if (page.letters.length > 0) {
    printTable(
      ['id', 'failed at', 'producer', 'epoch', 'sequence', 'bytes', 'by', 'state', 'where', 'reason'],
      page.letters.map((letter) => [
        String(letter.id),
        letter.failedAt,
        letter.producer,
        String(letter.epoch),
        String(letter.sequence),
        String(letter.payloadBytes),
        letter.by ?? '-',
        letter.sqlState ?? '-',
        letter.column ?? letter.constraint ?? '-',
        letter.reason,
      ]),
    );
  }
  if (page.next !== null) process.stdout.write(`There are more: --after ${page.next}\n`);
}

async function show(id: string, flags: ShardFlags): Promise<void> {
  const [only] = readIds([id]);
  const letter = await (await AdminClient.forShard(flags)).get<Shown<DeadLetter>>(`dead-letters/${only}`);
  if (flags.json) {
    printJson(letter);
    return;
  }
  const lines: [string, string | number | null | undefined][] = [
    ['id', letter.id],
    ['producer', letter.producer],
    ['epoch', letter.epoch],
    ['sequence', letter.sequence],
    ['received', letter.receivedAt],
    ['failed', letter.failedAt],
    ['by', letter.by],
    ['state', letter.sqlState ?? '-'],
    ['reason', letter.reason],
    ['detail', letter.detail],
    ['hint', letter.hint],
    ['table', letter.table],
    ['column', letter.column],
    ['constraint', letter.constraint],
    ['payload', letter.payload],
  ];
  // What nobody said is left out. A Worker of an older version says none of it.
  for (const [name, value] of lines)
    if (value !== null && value !== undefined)
      process.stdout.write(`${name.padEnd(10)}  ${printable(String(value))}\n`);
}

async function retry(
  given: string[],
  { all, payload, ...flags }: ChoiceFlags & { payload?: string },
): Promise<void> {
  const choice = readChoice(given, all, flags);
  if (payload !== undefined && (!Array.isArray(choice.ids) || choice.ids.length !== 1))
    throw new SluiceError('invalid_options', '--payload replaces one message: name one id');
  // The Worker refuses it too, but sees less of what it is.
  const unexpected = payload === undefined ? undefined : unexpectedText(payload);
  if (unexpected !== undefined)
    throw new SluiceError(
      'invalid_options',
      `Cannot use --payload: it is ${unexpected.seen}; ${unexpected.remedy}`,
    );
  const client = await AdminClient.forShard(flags);
  const answer = await retryAll(client, payload === undefined ? choice : { ...choice, payload });
  if (flags.json) printJson(answer);
  else {
    process.stdout.write(
      `${printable(client.name)}: ${counted(answer.retried, 'dead letter')} to be written again\n`,
    );
    if (answer.refused > 0)
      process.stdout.write(
        `The sink's schema refuses ${answer.refused.toLocaleString('en-US')} of them: these are dead letters again, with the reason\n`,
      );
    tellMissing(answer.missing);
    if (answer.remaining > 0) {
      const why = answer.isFull
        ? 'the outbox has no room for more: try again when it has written'
        : 'try again';
      process.stdout.write(`${counted(answer.remaining, 'dead letter')} left, ${why}\n`);
    }
  }
  if (answer.missing.length > 0 || answer.remaining > 0) process.exitCode = EXIT.failed;
}

/** Retries in as many calls as it takes: one call has a bound. */
async function retryAll(client: AdminClient, body: unknown): Promise<RetriedDeadLetters> {
  let last = await client.post<RetriedDeadLetters>('dead-letters/retry', body);
  const { missing } = last;
  const asked = last.retried + last.remaining;
  let { retried, refused } = last;
  // A letter that fails again comes back after all others, so those that were there at first are through when as many
  // have been retried: this ends even where all of them fail for ever. What was retried is missing from the second call on.
  while (retried < asked && last.retried > 0 && !last.isFull) {
    last = await client.post<RetriedDeadLetters>('dead-letters/retry', body);
    retried += last.retried;
    refused += last.refused;
  }
  return { retried, refused, missing, remaining: Math.max(0, asked - retried), isFull: last.isFull };
}

async function drop(given: string[], { all, ...flags }: ChoiceFlags): Promise<void> {
  const choice = readChoice(given, all, flags);
  const client = await AdminClient.forShard(flags);
  const answer = await client.post<DroppedDeadLetters>('dead-letters/drop', choice);
  if (flags.json) printJson(answer);
  else {
    process.stdout.write(`${printable(client.name)}: ${counted(answer.dropped, 'dead letter')} dropped\n`);
    tellMissing(answer.missing);
  }
  if (answer.missing.length > 0) process.exitCode = EXIT.failed;
}

function tellMissing(missing: readonly number[]): void {
  if (missing.length === 0) return;
  process.stdout.write(
    `Not there: ${missing.join(', ')} (${commandText('dead-letters', 'list')} shows those there are)\n`,
  );
}

function readChoice(
  given: readonly string[],
  all: true | undefined,
  flags: FilterFlags,
): { ids?: number[] | 'all'; where?: FilterFlags } {
  const where = filterOf(flags);
  const ways = [given.length > 0, all === true, where !== undefined].filter(Boolean);
  if (ways.length !== 1)
    throw new SluiceError(
      'invalid_options',
      'Name the ids of dead letters, or give --all, or say which with --reason, --column, --since and --until',
    );
  if (where !== undefined) return { where };
  return { ids: all === true ? 'all' : readIds(given) };
}

function readIds(given: readonly string[]): number[] {
  if (given.length > MAX_TAKEN_DEAD_LETTERS) {
    throw new SluiceError(
      'invalid_options',
      `Cannot use ${given.length} ids: at most ${MAX_TAKEN_DEAD_LETTERS} at a time`,
    );
  }
  return given.map((text) => {
    const id = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(id) && id > 0) return id;
    throw new SluiceError(
      'invalid_options',
      `Cannot use ${JSON.stringify(text)} as the id of a dead letter: a whole number from 1 is allowed`,
    );
  });
}
