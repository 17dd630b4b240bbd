/** `npm run sessions`: who is connected to a sink, whose sessions end, and who may not come back. */

import { type Command, Option } from 'commander';
import type { Revocable } from '../../src/access/revocations.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { onlySink } from '../only-sink.ts';
import { AdminClient, counted, printJson, printTable, withWorkerFlags } from './admin-client.ts';
import { EXIT } from './exit-codes.ts';

interface WorkerFlags {
  url: string;
  token?: string;
  json?: true;
}

/** Which token, producer or tenant is meant. `--token` is the operator's own, as everywhere. */
interface NameFlags {
  tokenId?: string;
  producer?: string;
  tenant?: string;
}

/** Adds the command and its subcommands. */
export function defineSessions(program: Command): void {
  const command = program
    .command('sessions')
    .description('List who is connected, end sessions, and revoke tokens, producers and tenants');
  withSink(withWorkerFlags(command.command('list').description('who is connected to a sink'))).action(list);
  withName(
    withSink(withWorkerFlags(command.command('end').description('close sessions; they may come back'))),
  ).action(end);
  withName(
    withWorkerFlags(
      command.command('revoke').description('close sessions of all sinks; they may not come back'),
    ),
  )
    .option('--seconds <n>', 'how long it holds (default: until it is reinstated)')
    .action(revoke);
  withName(withWorkerFlags(command.command('reinstate').description('let in again what was revoked'))).action(
    reinstate,
  );
  withWorkerFlags(command.command('revoked').description('what is revoked')).action(revoked);
}

function withSink(command: Command): Command {
  return command.option('--sink <name>', 'the sink (default: the only one there is)');
}

function withName(command: Command): Command {
  return command
    .addOption(new Option('--producer <name>', 'a producer, with its tenant if it has one: acme/device-7'))
    .addOption(new Option('--tenant <name>', 'all of a tenant').conflicts('producer'))
    .addOption(
      new Option('--token-id <id>', 'a token, by the id that `list` shows').conflicts(['producer', 'tenant']),
    );
}

interface Session {
  shard: number;
  producer: string;
  token: string | null;
  protocol: string;
  openedAt: string;
  expiresAt: string | null;
}

async function list(flags: WorkerFlags & { sink?: string }): Promise<void> {
  const client = await clientFor(flags);
  const answer = await client.get<{ count: number; sessions: Session[] }>('sessions');
  if (flags.json) return printJson(answer);
  const { count, sessions } = answer;
  if (sessions.length > 0) {
    printTable(
      ['shard', 'opened', 'expires', 'speaks', 'token', 'producer'],
      sessions.map(({ shard, openedAt, expiresAt, protocol, token, producer }) => [
        String(shard),
        openedAt,
        expiresAt ?? '-',
        protocol,
        token ?? '-',
        producer,
      ]),
    );
  }
  process.stdout.write(
    `${counted(count, 'session')}${sessions.length < count ? `, of which ${sessions.length} are shown` : ''}\n`,
  );
}

async function end({ json, ...flags }: WorkerFlags & NameFlags & { sink?: string }): Promise<void> {
  const name = nameOf(flags);
  const client = await clientFor(flags);
  tell(await client.post<Told>('sessions/end', name), json, 'closed');
}

async function revoke({
  json,
  seconds,
  ...flags
}: WorkerFlags & NameFlags & { seconds?: string }): Promise<void> {
  const name = nameOf(flags);
  const body = seconds === undefined ? name : { ...name, seconds: Number(seconds) };
  tell(await new AdminClient(flags).post<Told>('revoke', body), json, 'revoked, and closed');
}

async function reinstate({ json, ...flags }: WorkerFlags & NameFlags): Promise<void> {
  const name = nameOf(flags);
  tell(await new AdminClient(flags).post<Told>('reinstate', name), json, 'reinstated');
}

async function revoked(flags: WorkerFlags): Promise<void> {
  const answer = await new AdminClient(flags).get<{
    revocations: { kind: string; name: string; at: string; until: string | null }[];
  }>('revocations');
  if (flags.json) return printJson(answer);
  const { revocations } = answer;
  if (revocations.length > 0) {
    printTable(
      ['revoked', 'until', 'what', 'name'],
      revocations.map(({ kind, name, at, until }) => [at, until ?? '-', kind, name]),
    );
  }
  process.stdout.write(`${counted(revocations.length, 'revocation')}\n`);
}

interface Told {
  closed?: number;
  untold: { sink: string; shard: number }[];
}

function tell(answer: Told, json: true | undefined, what: string): void {
  const { closed, untold } = answer;
  if (json) printJson(answer);
  else process.stdout.write(`${what}${closed === undefined ? '' : ` ${counted(closed, 'session')}`}\n`);
  if (untold.length === 0) return;
  const names = untold.slice(0, 10).map(({ sink, shard }) => `${sink}/${shard}`);
  process.stderr.write(
    `${counted(untold.length, 'shard')} did not answer (${names.join(', ')}): run the command again\n`,
  );
  process.exitCode = EXIT.failed;
}

function nameOf({ tokenId, producer, tenant }: NameFlags): Partial<Record<Revocable, string>> {
  if (tokenId !== undefined) return { token: tokenId };
  if (producer !== undefined) return { producer };
  if (tenant !== undefined) return { tenant };
  throw new SluiceError(
    'invalid_options',
    'Say who is meant: --producer, --tenant or --token-id. `sessions list` shows them',
  );
}

async function clientFor({ sink, ...flags }: WorkerFlags & { sink?: string }): Promise<AdminClient> {
  if (sink !== undefined) return new AdminClient({ ...flags, sink });
  return new AdminClient({ ...flags, sink: onlySink(await new AdminClient(flags).sinks()) });
}
