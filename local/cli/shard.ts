/** `npm run shard`: resumes a shard that has stopped, and drains one that is about to be restarted. */

import type { Command } from 'commander';
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
  const command = program.command('shard').description('Resume a shard that has stopped, or drain it');
  withShardFlags(command.command('resume').description('let it try again, at once')).action(resume);
  withShardFlags(command.command('drain').description('wait until all that it accepted is written'))
    .option('--close-sockets', 'close its sockets before, so that no more comes in')
    .action(drain);
}

async function resume(flags: ShardFlags): Promise<void> {
  const client = new AdminClient(flags);
  const state = await client.post<ShardState>('resume', {});
  tell(client, state, flags);
  if (state.isPaused) process.exitCode = EXIT.failed;
}

async function drain({ closeSockets, ...flags }: ShardFlags & { closeSockets?: true }): Promise<void> {
  const client = new AdminClient(flags);
  const state = await client.post<ShardState>('drain', { closeSockets: closeSockets === true });
  tell(client, state, flags);
  if (state.isPaused || state.buffered > 0) process.exitCode = EXIT.failed;
}

function tell(client: AdminClient, state: ShardState, { json }: ShardFlags): void {
  if (json) {
    printJson(state);
    return;
  }
  const { isPaused, code, message, buffered, sockets, deadLetters } = state;
  const lines = [
    `${client.name}: ${isPaused ? `stopped (${code}): ${message}` : 'writing'}`,
    `${counted(buffered, 'message')} not written yet, ${counted(sockets, 'socket')}, ${counted(deadLetters.count, 'dead letter')}${deadLetters.isFull ? ' (full)' : ''}`,
  ];
  process.stdout.write(`${lines.map(printable).join('\n')}\n`);
}
