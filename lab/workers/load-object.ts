/**
 * The load generator inside the Worker: a Durable Object that opens WebSockets to one shard and sends numbered
 * messages, so that the bench runs on the edge as it does locally.
 */

import { DurableObject } from 'cloudflare:workers';
import type { AckLevel } from '../../src/client/index.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { bound } from '../../workers/bound.ts';
import { PRODUCER_HEADER, type ShardStats } from '../../workers/objects.ts';
import { runAckedLoad } from '../suites/ingest/acked-load.ts';
import type { LoadJob, LoadReport } from '../suites/ingest/load.ts';
import { benchFrame, benchHeader, benchProducer } from '../suites/ingest/payload.ts';
import type { LabEnv, ShardObject } from './env.ts';
import { StubSocket } from './stub-socket.ts';
import { benchShardName } from './target.ts';

/** Messages on their way at the most. Sockets within the Worker give no backpressure: unsent frames would pile up. */
const WINDOW_MESSAGES = 20_000;
/** Frames that a client sends before the next one has its turn. */
const TURN_FRAMES = 64;
const POLL_MS = 5;
/** How long the shard may take nothing before the run is given up. */
const STALL_LIMIT_MS = 60_000;

export class LoadObject extends DurableObject<LabEnv> {
  /** RPC: sends the messages of `clients` (their numbers) to one shard; resolves once it has received them all. */
  async run(order: LoadJob, shard: number, clients: number[]): Promise<LoadReport> {
    const stub = bound(this.env, 'BENCH_SHARD').getByName(benchShardName(order.target, shard));
    if (order.ack !== 'raw') return this.#runAcked(order, order.ack, stub, clients);
    const sockets = await Promise.all(
      clients.map((client) => openSocket(stub, benchProducer(order.target.run, client))),
    );
    const firstFrameAtMs = Date.now();
    const sent = new Array<number>(clients.length).fill(0);
    let total = 0;
    let lastProgressAtMs = firstFrameAtMs;
    let taken = 0;
    for (;;) {
      let turnMessages = 0;
      for (const [index, socket] of sockets.entries()) {
        const producer = benchProducer(order.target.run, clients[index] as number);
        const due = messagesDue(order, Date.now() - firstFrameAtMs);
        for (let frame = 0; frame < TURN_FRAMES; frame += 1) {
          const from = sent[index] as number;
          const to = Math.min(due, from + order.messagesPerFrame, order.messagesPerClient);
          if (to <= from || total - taken > WINDOW_MESSAGES) break;
          const header = order.withHeaders ? benchHeader(from, to) : '';
          socket.send(header + benchFrame(producer, from, to));
          sent[index] = to;
          total += to - from;
          turnMessages += to - from;
        }
      }
      if (total === clients.length * order.messagesPerClient && taken >= total) break;
      const before = taken;
      taken = messagesTaken(await stub.stats(), order);
      if (taken > before) lastProgressAtMs = Date.now();
      else if (Date.now() - lastProgressAtMs > STALL_LIMIT_MS) throw stalled(taken, total);
      if (turnMessages === 0) await scheduler.wait(POLL_MS);
    }
    for (const socket of sockets) socket.close(1000);
    const refused = refusedBy(await stub.stats());
    return { firstFrameAtMs, refused, loopDelayP99Ms: null, ackLatency: null };
  }

  /** RPC: ends this object, and its load with it. The call fails for that alone. */
  async end(): Promise<void> {
    this.ctx.abort('The run that this load belonged to was ended');
  }

  async #runAcked(order: LoadJob, ack: AckLevel, stub: ShardObject, clients: number[]): Promise<LoadReport> {
    const report = await runAckedLoad(order, ack, clients, {
      // Only the producer in it is read: the socket comes from the stub.
      url: (client) => new URL(`ws://shard/?producer=${benchProducer(order.target.run, client)}`),
      openSocket: (url, protocol) => new StubSocket(stub, url, protocol),
      now: Date.now,
      wait: (ms) => scheduler.wait(ms),
    });
    return { ...report, loopDelayP99Ms: null };
  }
}

/** How many messages of a client the schedule allows by now; all of them where there is no schedule. */
function messagesDue({ ratePerSecond, clients, messagesPerClient }: LoadJob, elapsedMs: number): number {
  if (ratePerSecond === 0) return messagesPerClient;
  return Math.floor((elapsedMs / 1000) * (ratePerSecond / clients)) + 1;
}

/** What the shard has taken, in messages; a shard that only counts counts frames. */
function messagesTaken(stats: ShardStats, { target, messagesPerFrame }: LoadJob): number {
  return target.spec === null ? stats.received * messagesPerFrame : stats.received + refusedBy(stats);
}

function refusedBy({ refused }: ShardStats): number {
  return Object.values(refused).reduce((sum, count) => sum + count, 0);
}

function stalled(taken: number, sent: number): SluiceError {
  return new SluiceError(
    'time_limit',
    `The shard took nothing for ${STALL_LIMIT_MS / 1000} s: ${taken} of ${sent} messages arrived`,
  );
}

async function openSocket(stub: ShardObject, producer: string): Promise<WebSocket> {
  const response = await stub.fetch('http://shard/', {
    headers: { upgrade: 'websocket', [PRODUCER_HEADER]: producer },
  });
  const socket = response.webSocket;
  if (socket === null) throw new SluiceError('internal', `A shard refused a WebSocket: ${response.status}`);
  socket.accept();
  return socket;
}
