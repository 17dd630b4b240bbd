/** A load whose clients speak `sluice.v1` by the client library: from Node, and from inside the Worker. */

import { type AckLevel, SluiceClient, type WebSocketLike } from '../../../src/client/index.ts';
import { SluiceError } from '../../../src/core/errors.ts';
import { ExponentialHistogram } from '../../../src/core/exponential-histogram.ts';
import { MAX_FRAME_BYTES } from '../../../src/core/limits.ts';
import { Making } from '../rates/making.ts';
import { benchPacket, type Packet } from '../rates/packet.ts';
import {
  type LoadSchedule,
  type MessageTaker,
  type OnSettled,
  runScheduledLoad,
} from '../rates/scheduled-load.ts';
import type { LoadJob, LoadReport } from './load.ts';
import { benchPayloads, benchProducer } from './payload.ts';

/** How long the last acks may take: a slow writer needs minutes for what it has taken. */
const CLOSE_TIME_LIMIT_MS = 600_000;
/** Messages that a client keeps in memory until they are acked, or frames of them: a full window and the next turn. */
const SEND_BUFFER_FRAMES = 4_000;
const SEND_BUFFER_MESSAGES = 30_000;
const SEND_BUFFER_BYTES = 64 * 1024 * 1024;
/** How long a message on a schedule waits for others to share its frame: what the client library does by itself. */
const SCHEDULED_LINGER_MS = 5;
/** Frames that a client makes before the next client has its turn. */
const TURN_FRAMES = 64;

export interface AckedLoadPorts {
  /** Where a client connects to; the address names its producer. */
  url: (client: number) => URL;
  openSocket: (url: string, protocol: string) => WebSocketLike;
  /** Milliseconds, with fractions where the platform has them. */
  now: () => number;
  /** Whether that clock moves while code runs, as it does outside of Workers. Default: no. */
  hasFineClock?: boolean;
  /** Resolves after that time; 0: once everybody else had a turn. */
  wait: (ms: number) => Promise<unknown>;
}

/**
 * Connects the clients of these numbers, sends all of their messages, and resolves once each is acked.
 *
 * @throws SluiceError `internal` where a connection ends before: made again, it would hide what the bench should show
 */
export async function runAckedLoad(
  order: LoadJob,
  ack: AckLevel,
  numbers: readonly number[],
  ports: AckedLoadPorts,
  onSent: (messages: number) => void = () => {},
): Promise<Omit<LoadReport, 'loopDelayP99Ms'>> {
  // Why the first connection ended that did not have to.
  const trouble: { reason?: string } = {};
  const clients = await Promise.all(numbers.map((number) => connect(order, ack, number, ports, trouble)));
  if (order.schedule !== undefined) {
    return runScheduledClients(clients, order, order.schedule, numbers, ports, trouble, onSent);
  }
  const latency = new ExponentialHistogram();
  const firstFrameAtMs = ports.now();
  let sent = 0;
  const countSent = (messages: number): void => {
    sent += messages;
    onSent(sent);
  };
  try {
    await Promise.all(
      clients.map((client, index) =>
        sendAll(client, order, numbers[index] as number, firstFrameAtMs, latency, ports, countSent),
      ),
    );
  } catch (error) {
    // The others would go on, and connect again and again to a Worker that is gone.
    await Promise.all(clients.map((client) => client.close({ timeLimitMs: 0 })));
    throw new SluiceError('internal', `A connection of the load was lost: ${trouble.reason ?? error}`, {
      cause: error,
    });
  }
  const reports = await Promise.all(
    clients.map((client) => client.close({ timeLimitMs: CLOSE_TIME_LIMIT_MS })),
  );
  const unacked = reports.reduce((sum, report) => sum + report.unacked, 0);
  if (unacked > 0) throw new SluiceError('internal', `${unacked} messages were never acknowledged`);
  return {
    firstFrameAtMs,
    refused: reports.reduce((sum, { refused }) => sum + refused, 0),
    ackLatency: ack === 'none' ? null : latency.snapshot(),
  };
}

/** The same with a time for each message. The messages are packets. */
async function runScheduledClients(
  clients: readonly SluiceClient[],
  order: LoadJob,
  schedule: LoadSchedule,
  numbers: readonly number[],
  ports: AckedLoadPorts,
  trouble: { reason?: string },
  onSent: (messages: number) => void,
): Promise<Omit<LoadReport, 'loopDelayP99Ms'>> {
  const firstFrameAtMs = ports.now();
  let sent = 0;
  const making = new Making(ports.hasFineClock === true ? ports.now : undefined);
  const takers = clients.map((client, index) =>
    clientTaker(client, schedule, order, numbers[index] as number, making),
  );
  const scheduled = await runScheduledLoad(schedule, order.clients, numbers, takers, ports, (messages) => {
    sent += messages;
    onSent(sent);
  });
  const reports = await Promise.all(
    clients.map((client) => client.close({ timeLimitMs: scheduled.unsettled > 0 ? 0 : CLOSE_TIME_LIMIT_MS })),
  );
  if (trouble.reason !== undefined) {
    throw new SluiceError('internal', `A connection of the load was lost: ${trouble.reason}`);
  }
  const refused = reports.reduce((sum, report) => sum + report.refused, 0);
  return { firstFrameAtMs, refused, ackLatency: null, scheduled, makingUs: making.usPerMessage };
}

function clientTaker(
  client: SluiceClient,
  schedule: LoadSchedule,
  { target, clients }: LoadJob,
  number: number,
  making: Making,
): MessageTaker {
  const producer = benchProducer(target.run, number);
  const sendBuffer = scheduledBufferOf(schedule, clients);
  // Not what the client has unacked: a call settles with its last message, and until then all of them are pending.
  let pending = 0;
  return {
    room: () => sendBuffer - pending,
    take(from, to, settle) {
      pending += to - from;
      const onSettled: OnSettled = (first, end, isCommitted) => {
        pending -= end - first;
        settle(first, end, isCommitted);
      };
      const packets: Packet[] = [];
      for (let n = from; n < to; n += 1) packets.push(benchPacket(schedule.seed, number, n));
      const texts = making.texts(producer, from, packets);
      client.sendBatch(texts).then(
        ({ refused }) => {
          let next = from;
          for (const { index } of refused) {
            if (from + index > next) onSettled(next, from + index, true);
            onSettled(from + index, from + index + 1, false);
            next = from + index + 1;
          }
          if (to > next) onSettled(next, to, true);
        },
        () => onSettled(from, to, false),
      );
    },
  };
}

/** All clients together keep what may be on its way, so that the limit is met by waiting and not by growing. */
function scheduledBufferOf({ pendingLimit }: LoadSchedule, clients: number): number {
  return Math.min(SEND_BUFFER_MESSAGES, Math.max(1, Math.floor((pendingLimit - 1) / clients)));
}

function connect(
  { messagesPerFrame, target, schedule, clients }: LoadJob,
  ack: AckLevel,
  number: number,
  { url, openSocket }: AckedLoadPorts,
  trouble: { reason?: string },
): Promise<SluiceClient> {
  const address = url(number);
  return new Promise((resolve, reject) => {
    const client: SluiceClient = new SluiceClient({
      url: address,
      producer: benchProducer(target.run, number),
      ack,
      batchMessages: messagesPerFrame,
      batchBytes: MAX_FRAME_BYTES,
      lingerMs: schedule !== undefined && messagesPerFrame > 1 ? SCHEDULED_LINGER_MS : 0,
      sendBufferMessages:
        schedule === undefined
          ? sendBufferMessagesOf(messagesPerFrame)
          : scheduledBufferOf(schedule, clients),
      sendBufferBytes: SEND_BUFFER_BYTES,
      openSocket,
      onEvent: (event) => {
        if (event.type === 'connected') resolve(client);
        const reason = endOf(event);
        if (reason === undefined) return;
        trouble.reason ??= reason;
        reject(new SluiceError('internal', `Could not open a WebSocket to ${address.origin}: ${reason}`));
        // After the welcome nobody waits for the promise any more: what was sent is given up, which ends the load.
        void client.close({ timeLimitMs: 0 });
      },
    });
  });
}

function sendBufferMessagesOf(messagesPerFrame: number): number {
  return Math.max(
    messagesPerFrame * 4,
    Math.min(SEND_BUFFER_MESSAGES, SEND_BUFFER_FRAMES * messagesPerFrame),
  );
}

function endOf(event: Parameters<NonNullable<ConstructorParameters<typeof SluiceClient>[0]['onEvent']>>[0]) {
  if (event.type === 'disconnected') return `${event.reason} (${event.code})`;
  if (event.type === 'failed' || event.type === 'fenced' || event.type === 'replaced') return event.message;
  return undefined;
}

async function sendAll(
  client: SluiceClient,
  { target, messagesPerClient, messagesPerFrame, ratePerSecond, clients }: LoadJob,
  number: number,
  startMs: number,
  latency: ExponentialHistogram,
  { now, wait }: AckedLoadPorts,
  onSent: (messages: number) => void,
): Promise<void> {
  const producer = benchProducer(target.run, number);
  const perMs = ratePerSecond / clients / 1000;
  const turnMessages = Math.max(
    messagesPerFrame,
    Math.min(TURN_FRAMES * messagesPerFrame, sendBufferMessagesOf(messagesPerFrame) / 4),
  );
  let failure: unknown;
  for (let next = 0; next < messagesPerClient && failure === undefined; ) {
    let to = Math.min(messagesPerClient, next + turnMessages);
    if (ratePerSecond > 0) {
      const due = Math.floor((now() - startMs) * perMs) + 1;
      to = Math.min(to, Math.max(next, Math.ceil(due / messagesPerFrame) * messagesPerFrame));
    }
    if (to > next) {
      const sentAtMs = now();
      client.sendBatch(benchPayloads(producer, next, to)).then(
        () => latency.record((now() - sentAtMs) / 1_000),
        (error: unknown) => {
          failure = error;
        },
      );
      onSent(to - next);
      next = to;
    }
    await client.ready();
    await wait(ratePerSecond > 0 ? 1 : 0);
  }
  await client.flush();
  if (failure !== undefined) {
    throw new SluiceError('internal', 'Messages of the load were refused or given up', { cause: failure });
  }
}
