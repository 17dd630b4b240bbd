/** One run of a fault: its own table, shard and producers, and all the evidence about them. */

import { setTimeout as delay } from 'node:timers/promises';
import { copyOf } from '../../lab/suites/ingest/bench-form.ts';
import { type BenchSinkSpec, createBenchTable, dropBenchTable } from '../../lab/suites/ingest/bench-sink.ts';
import type { BenchTarget } from '../../lab/suites/ingest/load.ts';
import { Cleanup } from '../../local/cli/cleanup.ts';
import type { LimitsOf } from '../../src/access/limits.ts';
import { clientName } from '../../src/access/producer-name.ts';
import { MAX_FRAME_BYTES } from '../../src/core/limits.ts';
import { resolveSinkOptions, type SinkOptions } from '../../src/sinks/sink-options.ts';
import { HANG_LIMIT_MS } from '../support/patience.ts';
import { BareSocket, type BareSocketOptions } from './bare-socket.ts';
import type { Bounds, Evidence, Scrape } from './judge.ts';
import { type Entry, Ledger } from './ledger.ts';
import { Load, type LoadOptions } from './load.ts';
import { LAB_SECRET } from './locks.ts';
import { POISON, type StoredMessage } from './message.ts';
import { Random } from './random.ts';
import type { Scenario } from './scenario.ts';
import { ShardRemote } from './shard-remote.ts';
import { SinkRemote } from './sink-remote.ts';
import { type UpsertAction, upsertKeyOf, upsertSpec } from './upserts.ts';
import type { World } from './world.ts';

/** Options of every run: small batches, so that there are many, and an alarm that comes soon. */
const QUICK: Partial<SinkOptions> = { lingerMs: 10, batchRows: 200, alarmMs: 250 };

/** How often the shard's figures are looked at while a fault lasts. */
const SCRAPE_EVERY_MS = 40;

const LOOK_EVERY_MS = 10;

let runs = 0;

/** How long a run waits for what may never come. */
export interface Patience {
  /** No ack came, or no row, for so long: none will. */
  standstillMs: number;
  /** No row came for so long: the shard is asked, and where that wakes it, it has slept with something to do. */
  asleepMs: number;
}

export interface RunOptions {
  world: World;
  scenario: Pick<
    Scenario,
    'options' | 'check' | 'epochsInterleave' | 'hasSink' | 'isLocked' | 'upsert' | 'copies'
  >;
  seed: number;
  /** The size of the run: 1 is the usual one. */
  scale?: number;
}

export class Run {
  readonly world: World;
  readonly random: Random;
  readonly scale: number;
  readonly ledger = new Ledger();
  readonly shard: ShardRemote;
  readonly options: SinkOptions;
  /** The run's table, with the prefix of the bench. */
  readonly table: string;
  /** The second table, where messages go to two. */
  readonly copyTable: string | undefined;
  /** The run's name: the part of its shard's name, and of its checkpoints', that no other run has. */
  readonly name: string;
  readonly #spec: BenchSinkSpec;
  readonly #sink: SinkRemote | undefined;
  readonly #check: string | undefined;
  readonly #epochsInterleave: boolean;
  readonly #upsert: UpsertAction | undefined;
  readonly #loads: Load[] = [];
  readonly #sockets: BareSocket[] = [];
  readonly #kept: (() => Promise<Iterable<string>>)[] = [];
  readonly #scrapes: Scrape[] = [];
  readonly #notes: string[] = [];
  /** Figures of the run, in words, for the report. */
  measured: string | undefined;
  readonly #cleanup = new Cleanup();
  #struck = 0;
  #isScraping = true;
  #scraping: Promise<void> = Promise.resolve();

  private constructor({ world, scenario, seed, scale = 1 }: RunOptions) {
    this.world = world;
    this.random = new Random(seed);
    this.scale = scale;
    runs += 1;
    this.name = `f${process.pid}x${runs}`;
    this.table = `sluice_bench_${this.name}`;
    if (scenario.copies !== undefined) this.copyTable = copyOf(this.table);
    this.#check = scenario.check;
    this.#epochsInterleave = scenario.epochsInterleave ?? false;
    this.#upsert = scenario.upsert?.action;
    const options = {
      ...QUICK,
      writer: this.random.pick(['copy', 'copy', 'unnest', 'bulk'] as const),
      connections: this.random.pick([1, 1, 2]),
      groupMs: this.random.pick([0, 2, 2, 10]),
      sockets: this.random.pick(['hibernatable', 'hibernatable', 'resident'] as const),
      // With little memory, most of a backlog is in the outbox only, and has to be read back.
      maxBufferBytes: this.random.pick([64 * 1024, 32 * 1024 * 1024]),
      ...scenario.options,
    };
    this.options = resolveSinkOptions(options);
    const upsert = scenario.upsert === undefined ? {} : { upsert: upsertSpec(scenario.upsert) };
    const { copies } = scenario;
    const form = copies === undefined ? {} : ({ form: copies.isBroken ? 'half-copied' : 'copied' } as const);
    this.#spec = { table: this.name, column: 'text', options, ...upsert, ...form };
    const target: BenchTarget = { run: this.name, spec: this.#spec, driver: 'tcp', shards: 1 };
    this.#sink = scenario.hasSink ? new SinkRemote(() => world.workerUrl, this.name) : undefined;
    if (scenario.isLocked === true) this.#sink?.lock([LAB_SECRET]);
    this.shard = this.#sink ?? new ShardRemote(() => world.workerUrl, target);
  }

  static async open(options: RunOptions): Promise<Run> {
    const run = new Run(options);
    await run.world.postgres.query(createBenchTable(run.name, 'text', run.#spec.upsert));
    if (run.copyTable !== undefined)
      await run.world.postgres.query(createBenchTable(copyOf(run.name), 'text'));
    if (run.#check !== undefined)
      await run.world.postgres.query(`alter table ${run.table} add check (${run.#check})`);
    await run.#sink?.define(run.#spec);
    run.#scraping = run.#scrape();
    return run;
  }

  // For scenarios.

  /** The shards of a run that has several. */
  get sink(): SinkRemote {
    if (this.#sink === undefined) throw new Error('This run has one shard');
    return this.#sink;
  }

  /** Deploys the sink with these options over those of the run, and limits, or takes it away: all shards start again. */
  async deploy(options: Partial<SinkOptions> | 'no sink', limits?: LimitsOf): Promise<void> {
    const changed = options === 'no sink' ? {} : options;
    await this.sink.define(
      { ...this.#spec, options: { ...this.#spec.options, ...changed } },
      options !== 'no sink',
      limits,
    );
    await this.sink.crash();
  }

  /** Starts producers, which send until the run heals. */
  load(options: LoadOptions = {}): Load {
    const url = this.shard.socketUrl(this.world.toWorker.port);
    const load = new Load({ url, ledger: this.ledger, random: this.random.fork() }, options);
    this.#loads.push(load);
    for (const { disk } of load.producers) if (disk !== undefined) this.askAtEnd(() => disk.texts());
    return load;
  }

  /** Opens a socket with no client behind it, to the run's shard by default. It ends with the run at the latest. */
  async openSocket(options: Partial<BareSocketOptions>): Promise<BareSocket> {
    const url = this.shard.socketUrl(this.world.toWorker.port);
    const socket = await BareSocket.open({ url, ...options });
    this.#sockets.push(socket);
    return socket;
  }

  /** What was seen of the shard's figures so far. */
  get scrapes(): readonly Scrape[] {
    return this.#scrapes;
  }

  /** Waits for a random time. */
  async pause(leastMs: number, mostMs: number): Promise<void> {
    await delay(this.random.integer(leastMs, mostMs));
  }

  /** A count for a run of this size: `usual` at the scale 1, and 1 at least. */
  times(usual: number): number {
    return Math.max(1, Math.round(usual * this.scale));
  }

  /** The fault has really happened. A run in which it never did proves nothing, and fails. */
  struck(times = 1): void {
    this.#struck += times;
  }

  get strikes(): number {
    return this.#struck;
  }

  /** Something that makes the run fail, besides what the oracle finds. */
  fail(reason: string): void {
    if (!this.#notes.includes(reason)) this.#notes.push(reason);
  }

  get notes(): readonly string[] {
    return this.#notes;
  }

  /** Waits until something holds. */
  async until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const untilMs = performance.now() + HANG_LIMIT_MS;
    while (!(await holds())) {
      if (performance.now() > untilMs) throw new Error(`Waited in vain until ${what}`);
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Waits until there are `wanted` of something: as long as they become more. */
  async untilCount(what: string, wanted: number, count: () => number | Promise<number>): Promise<void> {
    let most = 0;
    let found = await count();
    while (found < wanted) {
      most = Math.max(most, found);
      await this.until(`there are more than ${most} ${what}, of ${wanted}`, async () => {
        found = await count();
        return found > most;
      });
    }
  }

  /** No more figures are read, since each look wakes the shard. */
  async stopScraping(): Promise<void> {
    this.#isScraping = false;
    await this.#scraping;
  }

  /** What is asked at the end for every message that a client's storage has then. */
  askAtEnd(read: () => Promise<Iterable<string>>): void {
    this.#kept.push(read);
  }

  async #keptTexts(): Promise<string[]> {
    const kept = await Promise.all(this.#kept.map((read) => read()));
    return kept.flatMap((texts) => [...texts]);
  }

  /** What a scenario has started ends with the run, last first. */
  atEnd(name: string, step: () => Promise<void>): void {
    this.#cleanup.add(name, step);
  }

  // For the lab.

  async #scrape(): Promise<void> {
    while (this.#isScraping) {
      // Where the shard or the Worker is away, there is nothing to see.
      await this.shard.stats().then(
        (scrape) => this.#scrapes.push(scrape),
        () => {},
      );
      await delay(SCRAPE_EVERY_MS);
    }
  }

  /** Ends the load once everything is acked. */
  async finishLoad({ standstillMs }: Patience): Promise<void> {
    const unacked = await Promise.all(this.#loads.map((load) => load.finish(standstillMs)));
    const sum = unacked.reduce((total, count) => total + count, 0);
    if (sum > 0) this.fail(`${sum} messages were not acked, and for ${standstillMs / 1_000} s no ack came`);
  }

  /**
   * Waits until every promise is kept: as long as the backlog becomes less, since a busy machine takes longer, and
   * `standstillMs` after it last did. Nothing is asked of the shard before, so that it has to do so by itself.
   */
  async drained({ standstillMs, asleepMs }: Patience): Promise<void> {
    const expected = this.#expectedRows;
    let found = -1;
    let movedMs = performance.now();
    for (;;) {
      const nowMs = performance.now();
      const rows = await this.#count();
      if (rows !== found) {
        found = rows;
        movedMs = nowMs;
      }
      if (rows >= expected || nowMs - movedMs > asleepMs) break;
      await delay(LOOK_EVERY_MS);
    }
    const askedAtMs = Date.now();
    let fewest = Number.POSITIVE_INFINITY;
    let lessMs = performance.now();
    for (;;) {
      const stats = await this.shard.stats();
      if (stats.buffered > 0 && stats.sinceMs >= askedAtMs)
        this.fail('The backlog slept until somebody asked for the shard');
      if (stats.buffered === 0) return;
      const nowMs = performance.now();
      if (stats.buffered < fewest) {
        fewest = stats.buffered;
        lessMs = nowMs;
      }
      if (nowMs - lessMs > standstillMs) {
        this.fail(
          `${stats.buffered} messages are buffered, and for ${standstillMs / 1_000} s none was written: ${stats.lastError}`,
        );
        return;
      }
      await delay(LOOK_EVERY_MS);
    }
  }

  // What was acked and has nothing in it that the table refuses. Poison may be among the rows too, once it was mended.
  get #expectedRows(): number {
    const isRefused = ({ text }: Entry): boolean => this.#check !== undefined && text.includes(POISON);
    const kept = this.ledger.entries.filter((entry) => entry.outcome.state === 'acked' && !isRefused(entry));
    return this.#upsert === undefined ? kept.length : new Set(kept.map(upsertKeyOf)).size;
  }

  async #count(): Promise<number> {
    const [row] = await this.world.postgres.query<{ n: string }>(`select count(*) as n from ${this.table}`);
    return Number(row?.n);
  }

  async evidence(): Promise<Evidence> {
    this.#scrapes.push(await this.shard.stats());
    return {
      entries: this.ledger.entries,
      rows: await this.#rowsOf(this.table),
      copies: this.copyTable === undefined ? undefined : await this.#rowsOf(this.copyTable),
      deadLetters: await this.shard.deadLetters(),
      scrapes: this.#scrapes,
      bounds: this.#bounds,
      epochsInterleave: this.#epochsInterleave,
      upsert: this.#upsert,
      keptByStorages: await this.#keptTexts(),
    };
  }

  async #rowsOf(table: string): Promise<StoredMessage[]> {
    const rows = await this.world.postgres.query<{
      producer: string;
      epoch: string;
      sequence: string;
      payload: string;
    }>(
      `select producer, epoch, sequence, payload from ${table} order by ${this.#upsert === undefined ? 'id' : 'producer, epoch, sequence'}`,
    );
    return rows.map((row) => ({
      ...row,
      producer: clientName(row.producer),
      epoch: Number(row.epoch),
      sequence: Number(row.sequence),
    }));
  }

  // A frame that was under way may come in on top.
  get #bounds(): Bounds {
    const { maxBufferBytes, maxOutboxBytes } = this.options;
    return {
      bufferedBytes: maxBufferBytes + 2 * MAX_FRAME_BYTES,
      outboxBytes: maxOutboxBytes + 2 * MAX_FRAME_BYTES,
    };
  }

  /** Leaves nothing behind. */
  async close(): Promise<void> {
    await this.stopScraping();
    for (const load of this.#loads)
      for (const producer of load.producers) for (const client of producer.clients) client.kill();
    for (const socket of this.#sockets) socket.kill();
    await this.shard.order({});
    await this.shard.wipe();
    await this.#cleanup.run();
    await this.world.postgres.query(dropBenchTable(this.name));
    if (this.copyTable !== undefined) await this.world.postgres.query(dropBenchTable(copyOf(this.name)));
  }
}
