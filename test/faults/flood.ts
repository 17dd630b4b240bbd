/** A tenant that sends more than it may, in every way there is: by its credit, without regard to it, by raw sockets, and by too many. */

import { setTimeout as delay } from 'node:timers/promises';
import { ownedName } from '../../src/access/producer-name.ts';
import { shardOf } from '../../src/protocol/producer.ts';
import { SLUICE_V1 } from '../../src/protocol/sluice-v1.ts';
import { BareSender } from './bare-sender.ts';
import { BareSocket } from './bare-socket.ts';
import type { Entry } from './ledger.ts';
import type { Run } from './run.ts';

/** Shards of the sink. */
export const SHARDS = 2;

/** Messages a second of a tenant in a shard. */
export const QUOTA = 50;

/** What the flood did. */
export interface Flooded {
  /** Messages that it tried to send, each time. */
  sent: number;
  /** Frames that raw sockets were refused for the rate. */
  rawRefused: number;
  /** Sockets that were closed with 4429 or 1008. */
  closed: number;
  /** Sockets that were refused at the door. */
  turnedAway: number;
}

/** A raw socket of the flood: of its messages nobody knows which were taken. */
class RawFlood extends BareSender {
  readonly socket: BareSocket;

  private constructor(run: Run, name: string, client: number, socket: BareSocket) {
    super(run, { name, client });
    this.socket = socket;
  }

  static async open(run: Run, name: string, client: number, flooded: Flooded): Promise<RawFlood> {
    const socket = await run.openSocket({
      producer: name,
      onFrame: (frame) => {
        if (frame.includes('"rate_limited"')) flooded.rawRefused += 1;
      },
    });
    return new RawFlood(run, name, client, socket);
  }

  async flood(lines: number): Promise<void> {
    const entries = this.messages(lines);
    for (const entry of entries) this.run.ledger.unacked(entry, 'raw');
    await this.socket.send(entries.map(({ text }) => text).join('\n'));
  }
}

/** A client of the flood that speaks `sluice.v1`, and may be turned away at the door. */
class V1Flood extends BareSender {
  #socket: BareSocket | undefined;
  #epoch = 0;
  #next = 1;
  readonly #open = new Map<number, Entry>();
  credit = 0;
  isSentBack = false;

  /** @returns undefined where it was not let in */
  static async open(run: Run, name: string, client: number): Promise<V1Flood | undefined> {
    const flood = new V1Flood(run, { name, client });
    const socket = await run.openSocket({
      producer: name,
      protocol: SLUICE_V1,
      onFrame: (frame) => flood.#take(frame),
    });
    flood.#socket = socket;
    void socket.ended.then(() => {
      for (const entry of flood.#open.values()) run.ledger.unacked(entry, 'socket ended');
    });
    await socket.send('{"t":"hello","ack":"stored"}');
    await run.until(`${name} was welcomed or turned away`, () => flood.#epoch > 0 || !socket.isOpen);
    return socket.isOpen ? flood : undefined;
  }

  get socket(): BareSocket {
    return this.#socket as BareSocket;
  }

  get unsettled(): number {
    return this.#open.size;
  }

  #take(text: string): void {
    const frame = JSON.parse(text) as Record<string, number> & { credit?: { messages: number } };
    const { t } = frame as unknown as { t: string };
    if (t === 'welcome') this.#epoch = frame.epoch as number;
    if (t === 'ping') void this.socket.send(JSON.stringify({ t: 'pong', id: frame.id }));
    if (t === 'nack' || t === 'gap') this.isSentBack = true;
    this.credit = frame.credit?.messages ?? this.credit;
    if (t !== 'ack') return;
    for (const [sequence, entry] of this.#open) {
      if (sequence > (frame.stored as number)) break;
      this.#open.delete(sequence);
      this.run.ledger.acked(entry, 'stored', { epoch: this.#epoch, sequence });
    }
  }

  async flood(count: number): Promise<void> {
    const seq = this.#next;
    const entries = this.messages(count);
    for (const [index, entry] of entries.entries()) this.#open.set(seq + index, entry);
    this.#next += count;
    await this.#send(seq, entries);
  }

  /** Goes back to what is not acked, as it was told to. */
  async goBack(): Promise<void> {
    this.isSentBack = false;
    const entries = [...this.#open].slice(0, 100);
    const [first] = entries;
    if (first !== undefined)
      await this.#send(
        first[0],
        entries.map(([, entry]) => entry),
      );
  }

  #send(seq: number, entries: readonly Entry[]): Promise<void> {
    return this.socket.send(
      `{"t":"batch","seq":${seq},"n":${entries.length}}\n${entries.map(({ text }) => text).join('\n')}`,
    );
  }
}

/** Messages a second of each of the four clients that keep to nothing: a little more than ten times the quota together. */
const FLOOD_RATE = (QUOTA * 11) / 4;

let clients = 0;

/** Tells the clients of a name apart. */
export function nextClient(): number {
  clients += 1;
  return clients;
}

/** A producer's name that leads to a shard. */
export function nameOn(shard: number, tenant: string, name: string): string {
  for (let number = 0; ; number += 1) {
    const found = `${tenant}..${name}.${number}`;
    if (shardOf(ownedName(tenant, found), SHARDS) === shard) return found;
  }
}

export class Flood {
  readonly #run: Run;
  readonly flooded: Flooded = { sent: 0, rawRefused: 0, closed: 0, turnedAway: 0 };
  #isOn = false;
  #loops: Promise<void>[] = [];

  constructor(run: Run) {
    this.#run = run;
  }

  start(shard: number): void {
    this.#isOn = true;
    const named = (name: string): string => nameOn(shard, 'flood', name);
    this.#loops = [
      ...[0, 1].map((index) => this.#keeping(named(`keeps${index}`))),
      ...[0, 1].map((index) => this.#ignoring(named(`ignores${index}`))),
      ...[0, 1].map((index) => this.#raw(named(`raw${index}`))),
      this.#reconnecting(shard),
    ];
  }

  async stop(): Promise<void> {
    this.#isOn = false;
    await Promise.all(this.#loops);
  }

  #end(socket: BareSocket): void {
    if (socket.end?.code === 4429 || socket.end?.code === 1008) this.flooded.closed += 1;
    socket.kill();
  }

  /** Comes in as soon as there is room for it. */
  async #open(name: string): Promise<V1Flood | undefined> {
    while (this.#isOn) {
      const client = await V1Flood.open(this.#run, name, nextClient());
      if (client !== undefined) return client;
      this.flooded.turnedAway += 1;
      await delay(50);
    }
    return undefined;
  }

  /** How many messages are due since it was last asked. A busy machine catches up, at most a second's worth. */
  #dueBy(rate: number): () => number {
    let sinceMs = performance.now();
    return () => {
      const nowMs = performance.now();
      const due = Math.min(Math.floor(rate), Math.floor(((nowMs - sinceMs) * rate) / 1_000));
      sinceMs += (due * 1_000) / rate;
      return due;
    };
  }

  /** Sends as much as its credit says, as soon as it says so. */
  async #keeping(name: string): Promise<void> {
    const client = await this.#open(name);
    while (this.#isOn && client?.socket.isOpen === true) {
      const free = Math.min(50, client.credit - client.unsettled);
      if (client.isSentBack) await client.goBack();
      else if (free > 0) {
        await client.flood(free);
        this.flooded.sent += free;
      }
      await delay(20);
    }
    if (client !== undefined) this.#end(client.socket);
  }

  /** Sends whatever its credit says, goes back where it is told to, and comes back where it is closed. */
  async #ignoring(name: string): Promise<void> {
    const dueNow = this.#dueBy(FLOOD_RATE);
    while (this.#isOn) {
      const client = await this.#open(name);
      while (this.#isOn && client?.socket.isOpen === true) {
        if (client.isSentBack) await client.goBack();
        const due = dueNow();
        if (due > 0) await client.flood(due);
        this.flooded.sent += due;
        await delay(20);
      }
      if (client !== undefined) this.#end(client.socket);
    }
  }

  async #raw(name: string): Promise<void> {
    const dueNow = this.#dueBy(FLOOD_RATE);
    while (this.#isOn) {
      const raw = await RawFlood.open(this.#run, name, nextClient(), this.flooded);
      while (this.#isOn && raw.socket.isOpen) {
        for (let due = dueNow(); due > 0; due -= 1) {
          await raw.flood(1);
          this.flooded.sent += 1;
        }
        await delay(20);
      }
      this.#end(raw.socket);
      if (this.#isOn) await delay(20);
    }
  }

  /** Opens sockets as fast as a few at a time go, more of them than the tenant may have. */
  async #reconnecting(shard: number): Promise<void> {
    const url = this.#run.shard.socketUrl(this.#run.world.toWorker.port);
    const open: BareSocket[] = [];
    while (this.#isOn) {
      const producer = nameOn(shard, 'flood', `again${open.length}`);
      const socket = await BareSocket.open({ url, producer, protocol: SLUICE_V1 }).catch(() => undefined);
      if (socket !== undefined) open.push(socket);
      await delay(80);
      if (open.length < 20) continue;
      for (const one of open.splice(0)) {
        if (one.end?.code === 4429) this.flooded.turnedAway += 1;
        one.kill();
      }
    }
    for (const one of open) one.kill();
  }
}
