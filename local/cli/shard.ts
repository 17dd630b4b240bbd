/** `npm run shard`: pauses and resumes a shard, flushes it, and drains one that is about to be restarted. */

import { type Command, Option } from 'commander';
import type { MissingChoice, MissingMessages } from '../../src/outbox/missing-messages.ts';
import type { ShardState } from '../../src/outbox/shard-admin.ts';
import {
  AdminClient,
  counted,
  printable,
  printJson,
  type ShardFlags,
  withShardFlags,
} from './admin-client.ts';
import { EXIT } from './exit-codes.ts';

/** Adds the command and its subcommands. */
export function defineShard(program: Command): void {
  const command = program.command('shard').description('Pause, resume, flush or drain a shard');
  withShardFlags(command.command('resume').description('let it try again, at once'))
    .addOption(
      new Option(
        '--write-again',
        'messages that the database has lost: write those again that the shard still has',
      ).conflicts('giveUp'),
    )
    .option('--give-up', 'messages that the database has lost: leave them missing')
    .action(resume);
  withShardFlags(
    command
      .command('pause')
      .description('write nothing to Postgres until it is resumed; what is accepted waits'),
  ).action((flags: ShardFlags) => act('pause', flags));
  withShardFlags(command.command('flush').description('try at once to write what waits')).action(
    (flags: ShardFlags) => act('flush', flags),
  );
  withShardFlags(command.command('drain').description('wait until all that it accepted is written'))
    .option('--close-sockets', 'close its sockets before, so that no more comes in')
    .action(drain);
}

async function resume({
  writeAgain,
  giveUp,
  ...flags
}: ShardFlags & { writeAgain?: true; giveUp?: true }): Promise<void> {
  const client = await AdminClient.forShard(flags);
  const missing: MissingChoice | undefined = writeAgain ? 'write-again' : giveUp ? 'give-up' : undefined;
  const state = await client.post<ShardState>('resume', missing === undefined ? {} : { missing });
  tell(client, state, flags);
  if (state.isPaused) process.exitCode = EXIT.failed;
}

/** It worked where what was asked for is so: after `pause` that it is paused, after `flush` that it writes. */
async function act(what: 'pause' | 'flush', flags: ShardFlags): Promise<void> {
  const client = await AdminClient.forShard(flags);
  const state = await client.post<ShardState>(what, {});
  tell(client, state, flags);
  if (state.isPaused !== (what === 'pause')) process.exitCode = EXIT.failed;
}

async function drain({ closeSockets, ...flags }: ShardFlags & { closeSockets?: true }): Promise<void> {
  const client = await AdminClient.forShard(flags);
  const state = await client.post<ShardState>('drain', { closeSockets: closeSockets === true });
  tell(client, state, flags);
  if (state.isPaused || state.buffered > 0) process.exitCode = EXIT.failed;
}

function tell(client: AdminClient, state: ShardState, { json }: ShardFlags): void {
  if (json) {
    printJson(state);
    return;
  }
  const { isPaused, code, message, missing, buffered, sockets, deadLetters } = state;
  const lines = [
    `${client.name}: ${isPaused ? `${code === 'paused_by_operator' ? 'paused' : 'stopped'} (${code}): ${message}` : 'writing'}`,
    `${counted(buffered, 'message')} not written yet, ${counted(sockets, 'socket')}, ${counted(deadLetters.count, 'dead letter')}${deadLetters.isFull ? ' (full)' : ''}`,
    // A Worker of before does not say.
    ...(isPaused && missing ? missingLines(missing) : []),
  ];
  process.stdout.write(`${lines.map(printable).join('\n')}\n`);
}

/** Ranges of missing messages that are printed; `--json` shows more of them. */
const PRINTED_RANGES = 20;

function missingLines({ messages, sinceMs, held, ranges, unlisted }: MissingMessages): string[] {
  const since = new Date(sinceMs).toISOString();
  const printed = ranges.slice(0, PRINTED_RANGES);
  const others = ranges.slice(PRINTED_RANGES).reduce((sum, range) => sum + range.messages, unlisted);
  return [
    `missing in the database since ${since}: ${counted(messages, 'message')}, of which the shard still has ${held.toLocaleString('en-US')}`,
    ...printed.map(
      ({ producer, epoch, firstSequence, lastSequence }) =>
        `  ${producer}, epoch ${epoch}: sequences ${firstSequence} to ${lastSequence}`,
    ),
    ...(others > 0 ? [`  and ${counted(others, 'message')} of others`] : []),
    ...(held > 0
      ? ['say --write-again to write what the shard still has, or --give-up to go on without']
      : []),
  ];
}
