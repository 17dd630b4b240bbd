/** Sinks that are locked: tickets that are used again, tokens that are revoked, and everybody else, who goes on. */

import { tokenProtocol } from '../../../src/access/credentials.ts';
import { shardOf } from '../../../src/protocol/producer.ts';
import { SLUICE_V1 } from '../../../src/protocol/sluice-v1.ts';
import type { Load } from '../load.ts';
import { labTicket, labToken } from '../locks.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';
import { allGoOn } from './options.ts';

const SHARDS = 2;

/** A client that waits for its pauses as long as others do. */
const USUAL_SPEED = 1;

/** With what a socket is closed that says this of itself; `open` where it is let in. */
async function knock(
  run: Run,
  credentials: { ticket?: string; token?: string },
  producer: string,
): Promise<string> {
  const { ticket, token } = credentials;
  const protocol = token === undefined ? SLUICE_V1 : [SLUICE_V1, tokenProtocol(token)];
  let isLetIn = false;
  const socket = await run.openSocket({
    producer,
    protocol,
    ticket,
    onFrame: (frame) => {
      isLetIn ||= frame === 'pong';
    },
  });
  // The platform answers this by itself, on a socket that the shard has accepted.
  await socket.send('ping').catch(() => {});
  await run.until('the socket was answered or closed', () => isLetIn || !socket.isOpen);
  socket.kill();
  const { code, reason } = await socket.ended;
  return isLetIn ? 'open' : `${code} ${reason}`;
}

const ticketReplayed: Scenario = {
  name: 'ticket-replayed',
  title: 'Tickets used a second time: by two at once, after a lost connection, after a restart of the shard',
  options: { shards: SHARDS },
  hasSink: true,
  isLocked: true,
  async run(run) {
    const used: { producer: string; ticket: string }[] = [];
    const load = run.load({
      producers: 4,
      speed: USUAL_SPEED,
      credentials: (producer) => ({
        ticket: async () => {
          const ticket = await labTicket(run.sink.name, producer);
          used.push({ producer, ticket });
          return ticket;
        },
      }),
    });
    await allGoOn(run, load);
    for (let round = 0; round < run.times(8); round += 1) {
      // Each client needs a fresh ticket for its next connection.
      if (run.random.chance(0.5)) run.world.toWorker.reset();
      else await run.deploy({});
      const { producer, ticket } = run.random.pick(used.slice(-8));
      // It is used up as soon as its client has got on, which came first.
      await allGoOn(run, load);
      const again = await knock(run, { ticket }, producer);
      if (!again.startsWith('4401 unauthorized')) run.fail(`A ticket was used again: ${again}`);
      run.struck();
      // The control: a fresh one lets one in, and of two who have it, one.
      const shared = await labTicket(run.sink.name, 'twins');
      const twins = await Promise.all([
        knock(run, { ticket: shared }, 'twins'),
        knock(run, { ticket: shared }, 'twins'),
      ]);
      if (twins.filter((outcome) => outcome === 'open').length !== 1)
        run.fail(`Of two with the same ticket, these were let in: ${twins.join(', ')}`);
      run.struck();
    }
  },
};

/** What operators call the token of a producer. */
const tokenIdOf = (run: Run, producer: string): string => `${run.sink.name}-${producer}`;

/** Waits until the others get further acks. */
async function othersGoOn(run: Run, { producers }: Load, victim: string): Promise<void> {
  const others = producers.filter(({ name }) => name !== victim);
  await allGoOn(run, { producers: others });
}

const revoked: Scenario = {
  name: 'revoked',
  title:
    'Tokens and producers revoked under load, and reinstated: they are out at once, and stay out after a restart',
  options: { shards: SHARDS },
  hasSink: true,
  isLocked: true,
  async run(run) {
    const tokens = new Map<string, string>();
    const load = run.load({
      producers: 4,
      speed: USUAL_SPEED,
      hasDisk: true,
      credentials: (producer) => ({
        token: async () => {
          const token = await labToken(producer, tokenIdOf(run, producer));
          tokens.set(producer, token);
          return token;
        },
      }),
    });
    await allGoOn(run, load);
    // The Worker knows the lab's sinks by the directory alone, which shards are a moment late to reach.
    const shards = new Set(load.producers.map(({ name }) => shardOf(name, SHARDS)));
    await run.until('the directory lists all shards', async () => {
      const listed = await run.sink.listed();
      return [...shards].every((shard) => listed.includes(shard));
    });
    let sessionsClosed = 0;
    for (let round = 0; round < run.times(6); round += 1) {
      const victim = run.random.pick(load.producers);
      const { name, client } = victim;
      const byToken = run.random.chance(0.5);
      const meant = byToken ? { token: tokenIdOf(run, name) } : { producer: name };
      const { closed, untold } = await run.sink.operate<{ closed: number; untold: unknown[] }>(
        'revoke',
        meant,
      );
      // None where it is between two connections, and is refused at the door.
      if (closed > 1) run.fail(`${closed} sessions were closed where one was revoked`);
      sessionsClosed += closed;
      if (untold.length > 0) run.fail('A shard was not told');
      await run.until(`${name} was told that it is revoked`, () => client.isOver);
      if (client.code !== 'forbidden') run.fail(`A client that is revoked ended with ${client.code}`);
      if (run.random.chance(0.5)) await run.deploy({});
      const token = tokens.get(name) as string;
      const outcome = await knock(run, { token }, name);
      if (!outcome.startsWith('4403 forbidden')) run.fail(`One who is revoked was let in: ${outcome}`);
      await othersGoOn(run, load, name);
      run.struck();
      await run.sink.operate('reinstate', meant);
      // The control: the same token is good again. What was left on the disk is sent by the next client.
      victim.start();
      await allGoOn(run, load);
    }
    if (sessionsClosed === 0) run.fail('Nobody who was revoked had a session open');
  },
};

export const lockScenarios: readonly Scenario[] = [ticketReplayed, revoked];
