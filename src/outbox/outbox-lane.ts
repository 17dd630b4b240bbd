/**
 * One lane of the outbox: messages in the order in which they will be written, durable in SQLite, with as many of them
 * in memory as its limit allows. To the flusher it is a buffer like the one in memory.
 *
 * Positions number the messages of a lane: `head` is the first that is not settled, `tail` the next to be given.
 *
 *     settled, kept │ in memory (waiting, or on their way to Postgres) │ in SQLite only │ being gathered
 *     held         head                                              loaded           tail
 *
 * Maintained invariants: a group is deleted only once all of its messages are settled, and the youngest of these not
 * before they were kept for a while; memory holds a contiguous part
 * that begins at `head`; `head`, the fence and the producers' watermarks are written in the step that deletes.
 */

import type { Failpoints } from '../core/failpoints.ts';
import { TRIM_BYTES, TRIM_INTERVAL_MS } from '../core/limits.ts';
import { hasTable, type Sqlite } from '../database/sqlite.ts';
import type { MessageBatch } from '../sinks/message-batch.ts';
import { MESSAGE_OVERHEAD_BYTES, rowsOf } from '../sinks/message-batch.ts';
import { decodeRuns, encodeGroup, RUN_CHARACTERS } from './group.ts';
import { addIncarnation, createIncarnations, forgetIncarnations, readIncarnations } from './incarnations.ts';
import { KeptGroups } from './kept-groups.ts';
import type { Lane } from './lane.ts';
import { createLaneFaults } from './lane-faults.ts';
import { MemoryBuffer, type TakeLimits } from './message-buffer.ts';
import { type MissingMessages, MissingRanges } from './missing-messages.ts';
import { type Chunk, type Producer, RAW_EPOCH, type Run, untrackedProducer } from './producer.ts';
import type { ProducerRegistry } from './producer-registry.ts';
import { RunLedger, type RunMark } from './run-ledger.ts';

/**
 * A group's key in SQLite joins lane and position, so that the table needs no second index, which would be billed as a
 * row of its own. 2^48 messages are three thousand years at 3,000 messages a millisecond.
 */
const LANE_SPAN = 2 ** 48;

/** Stands where a run's producer is of no interest. */
const NO_PRODUCER = untrackedProducer('', RAW_EPOCH, 1);

/** Groups looked at in one query when some are read back. */
const READ_BACK_GROUPS = 128;

interface LaneRow {
  incarnation: string;
  head: number;
  fence: number | null;
  cuts: string;
}

interface GroupRow {
  key: number;
  rows: number;
  bytes: number;
  runs: string;
  body: string;
}

export interface OutboxLaneOptions {
  sqlite: Sqlite;
  lane: number;
  producers: ProducerRegistry;
  failpoints: Failpoints;
  /** Text of messages, with their overhead, that memory may hold. */
  maxMemoryBytes: number;
  /** True where Postgres counts the batches by a checkpoint: their boundaries are then written before they are sent. */
  isFenced: boolean;
  /** How long settled groups are kept, and how much text of them. Default: they are not. */
  keep?: { keepMs: number; maxBytes: number };
  now: () => number;
  /** A random text that no other lane ever had. */
  randomId: () => string;
  /** Called when a producer's `committed` has moved. */
  onCommitted: (producer: Producer) => void;
  /** True while a socket of the producer is open. */
  hasSession: (producer: Producer) => boolean;
}

/** The tables of the outbox. Safe to call again. */
export function createOutboxTables(sqlite: Sqlite): void {
  sqlite.run(
    'create table if not exists outbox_lanes (lane integer primary key, incarnation text not null, head integer not null, fence integer, cuts text not null)',
  );
  // The texts come last: what only counts messages need not read them.
  sqlite.run(
    'create table if not exists outbox_groups (key integer primary key, rows integer not null, bytes integer not null, runs text not null, body text not null)',
  );
  // Positions that are settled by a dead letter, as long as their group is kept.
  sqlite.run('create table if not exists outbox_dead (key integer primary key)');
  createIncarnations(sqlite);
  createLaneFaults(sqlite);
}

/**
 * How many lanes the outbox has messages of that are not settled: a sink that was deployed with fewer connections still has
 * to drain them.
 */
export function lanesInOutbox(sqlite: Sqlite): number {
  if (!hasTable(sqlite, 'outbox_groups')) return 0;
  const last = sqlite.run<{ key: number | null }>('select max(key) as key from outbox_groups')[0]?.key ?? -1;
  for (let lane = Math.floor(last / LANE_SPAN); lane >= 0; lane -= 1) {
    const [group] = sqlite.run<{ key: number; rows: number }>(
      'select key, rows from outbox_groups where key >= ? and key < ? order by key desc limit 1',
      lane * LANE_SPAN,
      (lane + 1) * LANE_SPAN,
    );
    const [row] = sqlite.run<{ head: number }>('select head from outbox_lanes where lane = ?', lane);
    if (group !== undefined && group.key - lane * LANE_SPAN + group.rows > (row?.head ?? 0)) return lane + 1;
  }
  return 0;
}

/** Deletes the groups of lanes that are not opened any more and have nothing left to write. */
export function forgetSettledLanes(sqlite: Sqlite, openLanes: number): void {
  if (!hasTable(sqlite, 'outbox_groups')) return;
  const from = openLanes * LANE_SPAN;
  if (sqlite.run('select 1 from outbox_groups where key >= ? limit 1', from).length === 0) return;
  sqlite.run('delete from outbox_groups where key >= ?', from);
  if (hasTable(sqlite, 'outbox_dead')) sqlite.run('delete from outbox_dead where key >= ?', from);
}

/** Messages that are not settled, and the text of their groups: for who only counts. */
export function outboxTotals(sqlite: Sqlite): { rows: number; bytes: number } {
  let rows = 0;
  let bytes = 0;
  for (const { lane, head } of sqlite.run<{ lane: number; head: number }>(
    'select lane, head from outbox_lanes',
  )) {
    const base = lane * LANE_SPAN;
    const [sum] = sqlite.run<{ bytes: number | null; tail: number | null }>(
      'select sum(bytes) as bytes, max(key + rows) as tail from outbox_groups where key >= ? and key < ? and key + rows > ?',
      base,
      base + LANE_SPAN,
      base + head,
    );
    if (sum?.tail === null || sum?.tail === undefined) continue;
    rows += sum.tail - base - head;
    bytes += sum.bytes ?? 0;
  }
  return { rows, bytes };
}

export class OutboxLane implements Lane {
  readonly #options: OutboxLaneOptions;
  #incarnation: string;
  #memory: MemoryBuffer;
  readonly #ledger: RunLedger;
  /** Behind the last message that memory holds, or held. */
  #loaded: bigint;
  #tail: bigint;
  /**
   * From head to tail, without those that are settled ahead of others. Every frame asks for it, and arithmetic of `bigint`
   * would be felt.
   */
  #unsettledRows = 0;
  /** The last known position of the checkpoint in Postgres; null before the first batch. */
  #fence: bigint | null;
  /** How far the checkpoint may be: what was found in the outbox may be settled, and the batches that were sent since. */
  #maxSentPosition: bigint;
  /** Ends of the batches that were cut and are not settled. */
  #cuts: bigint[];
  /** Ends at which batches were cut before the shard restarted, and are cut again. */
  #recuts: bigint[];
  /** The question to Postgres that ends a doubt, while it is under way. */
  doubt: Promise<number> | undefined;
  #generation = 0;
  #spilledRows = 0;
  #spilledBytes = 0;
  /** Text in SQLite, settled groups that the next trim deletes or keeps included. */
  #storedBytes = 0;
  readonly #changed = new Set<Producer>();
  #untrimmedBytes = 0;
  #trimEnd: bigint | undefined;
  readonly #kept: KeptGroups;
  /** The first message whose group is in SQLite. */
  #held: bigint;
  /** Positions of dead letters whose group is in SQLite, oldest first. */
  #dead: bigint[];
  /** How many of these are not settled, since the lane went back to before them. They are passed over. */
  #deadAhead = 0;
  #lastTrimAtMs: number;
  #gathered: Run[] = [];
  #gatheredRows = 0;
  #gatheredCharacters = 0;

  constructor(options: OutboxLaneOptions) {
    this.#options = options;
    const { sqlite, lane, randomId, now } = options;
    let row = sqlite.run<LaneRow>(
      'select incarnation, head, fence, cuts from outbox_lanes where lane = ?',
      lane,
    )[0];
    if (row === undefined) {
      row = { incarnation: randomId(), head: 0, fence: null, cuts: '[]' };
      sqlite.run(
        'insert into outbox_lanes (lane, incarnation, head, fence, cuts) values (?, ?, 0, null, ?)',
        lane,
        row.incarnation,
        row.cuts,
      );
    }
    this.#incarnation = row.incarnation;
    this.#ledger = new RunLedger(BigInt(row.head), (mark) => this.#pass(mark));
    this.#fence = row.fence === null ? null : BigInt(row.fence);
    this.#recuts = (JSON.parse(row.cuts) as number[]).map(BigInt).filter((cut) => cut > this.#ledger.head);
    this.#cuts = [...this.#recuts];
    this.#lastTrimAtMs = now();
    this.#memory = new MemoryBuffer(this.#ledger.head);
    this.#loaded = this.#ledger.head;
    this.#tail = this.#ledger.head;
    this.#kept = new KeptGroups(options.isFenced ? (options.keep ?? KEEP_NOTHING) : KEEP_NOTHING);
    this.#held = this.#ledger.head;
    this.#dead = sqlite
      .run<{ key: number }>(
        'select key from outbox_dead where key >= ? and key < ? order by key',
        lane * LANE_SPAN,
        (lane + 1) * LANE_SPAN,
      )
      .map(({ key }) => BigInt(key - lane * LANE_SPAN));
    this.#recover();
    this.#maxSentPosition = this.#tail;
  }

  // What was stored before the shard restarted: only its headers are read, the messages follow when they are needed.
  #recover(): void {
    const { producers, lane, now } = this.#options;
    for (const { start, group } of this.#groups(0n)) {
      if (start < this.#held) this.#held = start;
      let end = start;
      for (const run of decodeRuns(group.runs)) {
        end += BigInt(run.rows);
        if (!run.isTracked) continue;
        // All of it is settled, and the producer has moved to another shard.
        if (end <= this.#ledger.head && producers.find(run.producer) === undefined) continue;
        const lastSequence = run.firstSequence + run.rows - 1;
        const producer = producers.recover(
          run.producer,
          run.epoch,
          run.firstSequence,
          lastSequence,
          run.receivedAtMs,
        );
        producer.lane = lane;
        if (end <= this.#ledger.head) this.#passRun(producer, run.epoch, lastSequence);
      }
      if (end <= this.#ledger.head) this.#kept.add(end, group.bytes, now());
      else this.#storedBytes += group.bytes;
      if (start < this.#ledger.head && end > this.#ledger.head) this.#loaded = start;
      if (end > this.#tail) this.#tail = end;
    }
    this.#countSpilled();
    this.#countUnsettled();
  }

  #countUnsettled(): void {
    const { head } = this.#ledger;
    this.#deadAhead = this.#dead.filter((position) => position >= head).length;
    this.#unsettledRows = Number(this.#tail - head) - this.#deadAhead;
  }

  // The headers of all groups from a position on, in lots: an outbox may hold hundreds of thousands.
  *#groups(from: bigint): Generator<{ start: bigint; group: Omit<GroupRow, 'body'> }> {
    const { sqlite, lane } = this.#options;
    let next = this.#keyOf(from);
    for (;;) {
      const groups = sqlite.run<Omit<GroupRow, 'body'>>(
        'select key, rows, bytes, runs from outbox_groups where key >= ? and key < ? order by key limit ?',
        next,
        (lane + 1) * LANE_SPAN,
        READ_BACK_GROUPS,
      );
      for (const group of groups) {
        yield { start: BigInt(group.key - lane * LANE_SPAN), group };
        next = group.key + 1;
      }
      if (groups.length < READ_BACK_GROUPS) return;
    }
  }

  #countSpilled(): void {
    const { sqlite, lane } = this.#options;
    const [row] = sqlite.run<{ rows: number | null; bytes: number | null }>(
      'select sum(rows) as rows, sum(bytes) as bytes from outbox_groups where key >= ? and key < ?',
      this.#keyOf(this.#loaded),
      (lane + 1) * LANE_SPAN,
    );
    const settled = this.#loaded < this.#ledger.head ? Number(this.#ledger.head - this.#loaded) : 0;
    this.#spilledRows = Math.max(0, (row?.rows ?? 0) - settled);
    this.#spilledBytes = this.#spilledRows === 0 ? 0 : memoryBytesOf(row?.bytes ?? 0, this.#spilledRows);
    if (this.#spilledRows === 0) this.#loaded = this.#tail;
  }

  #keyOf(position: bigint): number {
    return this.#options.lane * LANE_SPAN + Number(position);
  }

  /** Names this lane's life in Postgres: a wiped shard never takes an old checkpoint for its own. */
  get incarnation(): string {
    return this.#incarnation;
  }

  /** The first position that is not settled. */
  get head(): bigint {
    return this.#ledger.head;
  }

  /** The first message that is still in SQLite; `head` where none is that is settled. */
  get held(): bigint {
    const { head } = this.#ledger;
    if (this.#held < head) return this.#held;
    return head;
  }

  get tail(): bigint {
    return this.#tail;
  }

  get fence(): bigint | null {
    return this.#fence;
  }

  get rows(): number {
    return this.#unsettledRows + this.#gatheredRows;
  }

  /** What memory holds: messages, and the marks of their runs. */
  get bytes(): number {
    return this.#memory.bytes + this.#ledger.bytes;
  }

  /** Text in SQLite and on its way there, without what is settled and kept. */
  get storedBytes(): number {
    return this.#storedBytes + this.#gatheredCharacters;
  }

  /** Text of settled groups that are kept. */
  get keptBytes(): number {
    return this.#kept.bytes;
  }

  /** Messages that are in SQLite only. */
  get spilledRows(): number {
    return this.#spilledRows;
  }

  get waitingRows(): number {
    return this.#memory.waitingRows + this.#spilledRows - this.#deadAhead;
  }

  get waitingBytes(): number {
    return this.#memory.waitingBytes + this.#spilledBytes;
  }

  get oldestWaitingAtMs(): number | undefined {
    return this.#memory.oldestWaitingAtMs ?? (this.#spilledRows > 0 ? 0 : undefined);
  }

  /** Rows and characters of the group that is being gathered. */
  get gatheredRows(): number {
    return this.#gatheredRows;
  }

  get gatheredCharacters(): number {
    return this.#gatheredCharacters;
  }

  /** Adds messages to the group that is being gathered. They are not durable before `store`. */
  gather(producer: Producer, firstSequence: number, chunk: Chunk, receivedAtMs: number): void {
    const { payloads, text } = chunk;
    const rows = payloads.length;
    const run = this.#runOf(producer, firstSequence, receivedAtMs);
    run.singles = undefined;
    run.chunks.push(chunk);
    run.rows += rows;
    this.#gatheredRows += rows;
    this.#gatheredCharacters += text === undefined ? charactersOf(payloads) : text.length + 1;
  }

  /** The same for one message, without an object and two arrays for each. */
  gatherOne(
    producer: Producer,
    sequence: number,
    payload: string,
    isPlain: boolean,
    receivedAtMs: number,
  ): void {
    const run = this.#runOf(producer, sequence, receivedAtMs);
    if (run.singles === undefined) {
      run.singles = { payloads: [payload], plain: [isPlain], text: undefined };
      run.chunks.push(run.singles);
    } else {
      run.singles.payloads.push(payload);
      run.singles.plain.push(isPlain);
    }
    run.rows += 1;
    this.#gatheredRows += 1;
    this.#gatheredCharacters += payload.length + 1;
  }

  // The run that a message continues, or a new one.
  #runOf(producer: Producer, firstSequence: number, receivedAtMs: number): Run {
    const { epoch, run } = producer;
    if (run !== undefined && run.epoch === epoch && run.firstSequence + run.rows === firstSequence)
      return run;
    const begun: Run = {
      producer,
      epoch,
      firstSequence,
      receivedAtMs,
      chunks: [],
      singles: undefined,
      rows: 0,
    };
    producer.run = begun;
    this.#gathered.push(begun);
    this.#gatheredCharacters += RUN_CHARACTERS + producer.name.length;
    return begun;
  }

  /** Writes what was gathered as one row. It is durable once the turn's writes are; acks sent in the same turn wait for that. */
  store(): void {
    if (this.#gatheredRows === 0) return;
    const { sqlite, maxMemoryBytes } = this.#options;
    const runs = this.#gathered;
    const { rows, runs: runsText, body } = encodeGroup(runs);
    const bytes = runsText.length + body.length;
    sqlite.run(
      'insert into outbox_groups (key, rows, bytes, runs, body) values (?, ?, ?, ?, ?)',
      this.#keyOf(this.#tail),
      rows,
      bytes,
      runsText,
      body,
    );
    const memoryBytes = memoryBytesOf(bytes, rows);
    this.#gathered = [];
    this.#gatheredRows = 0;
    this.#gatheredCharacters = 0;
    this.#storedBytes += bytes;
    // Memory holds the oldest part: what comes behind messages that are in SQLite only has to wait there too.
    const fits = this.#spilledRows === 0 && this.bytes + memoryBytes <= maxMemoryBytes;
    let end = this.#tail;
    for (const run of runs) {
      const { producer, epoch, firstSequence, receivedAtMs, chunks, rows: runRows } = run;
      producer.run = undefined;
      if (producer.isTracked) producer.pendingRuns += 1;
      end += BigInt(runRows);
      if (!fits) continue;
      let sequence = firstSequence;
      for (const { payloads, plain } of chunks) {
        this.#memory.append({
          producer: producer.name,
          epoch,
          firstSequence: sequence,
          payloads,
          plain,
          receivedAtMs,
        });
        sequence += payloads.length;
      }
      this.#ledger.push({
        producer,
        epoch,
        lastSequence: sequence - 1,
        end,
        groupBytes: 0,
      });
    }
    this.#tail = end;
    this.#unsettledRows += rows;
    if (fits) {
      (this.#ledger.last as RunMark).groupBytes = bytes;
      this.#loaded = end;
    } else {
      this.#spilledRows += rows;
      this.#spilledBytes += memoryBytes;
    }
  }

  take(limits: TakeLimits): MessageBatch | undefined {
    for (;;) {
      const batch = this.#take(limits);
      if (batch === undefined || this.#deadAhead === 0 || !this.#dead.includes(batch.position)) return batch;
      // It is among the dead letters, or was: it has been dealt with.
      this.#memory.settle(batch);
      this.#ledger.settle(batch.position, batch.position + 1n);
      this.#deadAhead -= 1;
    }
  }

  #take({ maxRows: most, maxBytes }: TakeLimits): MessageBatch | undefined {
    let maxRows = most;
    if (this.#memory.waitingBytes < maxBytes && this.#spilledRows > 0) this.#readBack(maxBytes);
    // A batch whose outcome was never learned is sent again as it was.
    while (this.#recuts[0] !== undefined && this.#recuts[0] <= this.#takenTo()) this.#recuts.shift();
    const recut = this.#recuts[0];
    if (recut !== undefined) maxRows = Math.min(maxRows, Number(recut - this.#takenTo()));
    if (this.#deadAhead > 0) maxRows = Math.min(maxRows, this.#rowsUpToDead());
    const batch = this.#memory.take({ maxRows, maxBytes });
    if (batch === undefined) return undefined;
    const end = batch.position + BigInt(rowsOf(batch));
    if (this.#options.isFenced && !this.#cuts.includes(end)) {
      this.#cuts.push(end);
      // Smaller batches than before may end in front of ends that are there.
      this.#cuts.sort((left, right) => Number(left - right));
      this.#saveLane();
    }
    return batch;
  }

  // Up to the next message that is passed over; that one alone where it is next.
  #rowsUpToDead(): number {
    const from = this.#takenTo();
    const next = this.#dead.find((position) => position >= from);
    if (next === undefined) return Number.POSITIVE_INFINITY;
    return Math.max(1, Number(next - from));
  }

  // Where the next batch begins.
  #takenTo(): bigint {
    return this.#loaded - BigInt(this.#memory.waitingRows);
  }

  /** The batch is in Postgres. */
  settle(batch: MessageBatch): void {
    if (this.#options.isFenced) this.#fence = batch.position + BigInt(rowsOf(batch));
    this.#settle(batch);
    this.#trimIfDue();
  }

  /** The batch is settled without being in Postgres: it is among the dead letters, by the same step of storage. */
  settleAsDead(batch: MessageBatch): void {
    if (this.#kept.isKeeping) {
      this.#dead.push(batch.position);
      this.#options.sqlite.run(
        'insert or ignore into outbox_dead (key) values (?)',
        this.#keyOf(batch.position),
      );
    }
    this.#settle(batch);
    this.#trim();
  }

  #settle(batch: MessageBatch): void {
    this.#memory.settle(batch);
    this.#unsettledRows -= rowsOf(batch);
    this.#ledger.settle(batch.position, batch.position + BigInt(rowsOf(batch)));
    // Nothing is left but messages that are passed over.
    if (this.#deadAhead > 0 && this.#unsettledRows === 0) this.take({ maxRows: 1, maxBytes: 1 });
    this.#cuts = this.#cuts.filter((cut) => cut > this.#ledger.head);
  }

  putBack(batch: MessageBatch): void {
    this.#memory.putBack(batch);
  }

  #pass({ producer, epoch, lastSequence, end, groupBytes }: RunMark): void {
    this.#passRun(producer, epoch, lastSequence);
    if (groupBytes === 0) return;
    this.#untrimmedBytes += groupBytes;
    this.#trimEnd = end;
  }

  #passRun(producer: Producer, epoch: number, lastSequence: number): void {
    if (!producer.isTracked) return;
    producer.pendingRuns -= 1;
    if (epoch !== producer.epoch || lastSequence <= producer.committed) {
      if (!this.#options.hasSession(producer)) this.#options.producers.release(producer);
      return;
    }
    producer.committed = lastSequence;
    producer.isChanged = true;
    this.#changed.add(producer);
    this.#options.onCommitted(producer);
  }

  // A trim writes a row for each producer, so it is done once in a while; and when all is settled, so that a shard that
  // falls asleep leaves nothing behind.
  #trimIfDue(): void {
    if (this.#trimEnd === undefined) return;
    const isEmpty = this.#ledger.head === this.#tail;
    const now = this.#options.now();
    if (isEmpty || this.#untrimmedBytes >= TRIM_BYTES || now - this.#lastTrimAtMs >= TRIM_INTERVAL_MS)
      this.#trim();
  }

  #trim(): void {
    const { sqlite, lane, producers, failpoints, now } = this.#options;
    failpoints.hit('before_outbox_trim');
    if (this.#trimEnd !== undefined) this.#kept.add(this.#trimEnd, this.#untrimmedBytes, now());
    const end = this.#kept.release(now());
    if (end !== undefined) {
      sqlite.run('delete from outbox_groups where key >= ? and key < ?', lane * LANE_SPAN, this.#keyOf(end));
      this.#held = end;
      if (this.#dead[0] !== undefined && this.#dead[0] < end) this.#forgetDead(end);
    }
    const changed = [...this.#changed];
    // One that has begun a new epoch since was written then, and may be another object by now.
    producers.save(
      changed.filter(({ isChanged }) => isChanged),
      now(),
    );
    this.#saveLane();
    for (const producer of changed) if (!this.#options.hasSession(producer)) producers.release(producer);
    this.#storedBytes -= this.#untrimmedBytes;
    this.#untrimmedBytes = 0;
    this.#trimEnd = undefined;
    this.#changed.clear();
    this.#lastTrimAtMs = now();
  }

  #forgetDead(end: bigint): void {
    const { sqlite, lane } = this.#options;
    sqlite.run('delete from outbox_dead where key >= ? and key < ?', lane * LANE_SPAN, this.#keyOf(end));
    this.#dead = this.#dead.filter((position) => position >= end);
  }

  #saveLane(): void {
    this.#options.sqlite.run(
      'update outbox_lanes set incarnation = ?, head = ?, fence = ?, cuts = ? where lane = ?',
      this.#incarnation,
      Number(this.#ledger.head),
      this.#fence === null ? null : Number(this.#fence),
      `[${this.#cuts.join(',')}]`,
      this.#options.lane,
    );
  }

  // Brings the oldest messages that are in SQLite only into memory, about `maxBytes` of what they take there, and
  // no more than there is room for. Where nothing waits, at least one group, however large.
  #readBack(maxBytes: number): void {
    const { sqlite, lane, maxMemoryBytes } = this.#options;
    const heads = sqlite.run<{ key: number; rows: number; bytes: number }>(
      'select key, rows, bytes from outbox_groups where key >= ? and key < ? order by key limit ?',
      this.#keyOf(this.#loaded),
      (lane + 1) * LANE_SPAN,
      READ_BACK_GROUPS,
    );
    const room = Math.min(maxBytes, maxMemoryBytes - this.bytes);
    let bytes = 0;
    let last: number | undefined;
    for (const head of heads) {
      bytes += memoryBytesOf(head.bytes, head.rows);
      if (bytes > room && (last !== undefined || this.#memory.waitingRows > 0)) break;
      last = head.key;
    }
    if (last === undefined) return;
    const groups = sqlite.run<GroupRow>(
      'select key, rows, bytes, runs, body from outbox_groups where key >= ? and key <= ? order by key',
      this.#keyOf(this.#loaded),
      last,
    );
    for (const group of groups) this.#load(group);
    if (this.#loaded === this.#tail) {
      this.#spilledRows = 0;
      this.#spilledBytes = 0;
    }
  }

  #load({ rows, bytes, runs, body }: GroupRow): void {
    const { producers } = this.#options;
    const start = this.#loaded;
    const settledRows = start < this.#ledger.head ? Number(this.#ledger.head - start) : 0;
    const payloads = body.split('\n');
    let from = 0;
    let end = start;
    for (const run of decodeRuns(runs)) {
      const to = from + run.rows;
      end += BigInt(run.rows);
      const skip = Math.max(0, Math.min(run.rows, settledRows - from));
      if (skip < run.rows) {
        const texts = payloads.slice(from + skip, to);
        const { plain } = run;
        this.#memory.append({
          producer: run.producer,
          epoch: run.epoch,
          firstSequence: run.firstSequence + skip,
          payloads: texts,
          plain: texts.map((_, index) => plain === '' || plain[index + skip] === '1'),
          receivedAtMs: run.receivedAtMs,
        });
        const producer = !run.isTracked
          ? NO_PRODUCER
          : (producers.findEpoch(run.producer, run.epoch) ?? NO_PRODUCER);
        const lastSequence = run.firstSequence + run.rows - 1;
        this.#ledger.push({ producer, epoch: run.epoch, lastSequence, end, groupBytes: 0 });
      }
      from = to;
    }
    const mark = this.#ledger.last;
    if (mark !== undefined) mark.groupBytes = bytes;
    this.#loaded = end;
    const loadedRows = rows - settledRows;
    this.#spilledRows -= loadedRows;
    this.#spilledBytes -= memoryBytesOf(bytes, loadedRows);
  }

  /**
   * The checkpoint in Postgres turned out to be further than this lane knew: another instance of the shard wrote what
   * lies between. All below `position` is settled; what is behind it is read anew. To be called while no batch is on
   * its way.
   *
   * @returns how many messages are settled by that
   */
  advanceTo(position: bigint): number {
    const { producers } = this.#options;
    const head = this.#ledger.head;
    this.#generation += 1;
    const passedOver = this.#deadAhead;
    this.#fence = position;
    this.#cuts = [];
    this.#recuts = [];
    this.#ledger.restart(position);
    this.#countUnsettled();
    this.#memory = new MemoryBuffer(position);
    this.#loaded = this.#startOfGroupAt(position);
    this.#countSpilled();
    // From here on the lane is at the position, so that whoever hears of a commit finds it sound.
    for (const { start, group } of this.#groups(0n)) {
      if (start >= position) break;
      let end = start;
      for (const run of decodeRuns(group.runs)) {
        end += BigInt(run.rows);
        const producer = run.isTracked ? producers.findEpoch(run.producer, run.epoch) : undefined;
        if (end > head && end <= position && producer !== undefined) {
          this.#passRun(producer, run.epoch, run.firstSequence + run.rows - 1);
        }
      }
      if (end <= position) this.#trimEnd = end;
    }
    this.#untrimmedBytes = 0;
    this.#recount();
    this.#trimEnd = undefined;
    this.#trim();
    return Number(position - head) - (passedOver - this.#deadAhead);
  }

  // What is settled and kept, and what is stored beside it, by what is there.
  #recount(): void {
    const { now } = this.#options;
    this.#kept.clear();
    this.#storedBytes = 0;
    for (const { start, group } of this.#groups(0n)) {
      const end = start + BigInt(group.rows);
      if (end <= this.#ledger.head) this.#kept.add(end, group.bytes, now());
      else this.#storedBytes += group.bytes;
    }
  }

  /**
   * The database is in the past: what lies from `position` on is written again. To be called while no batch is on its way.
   *
   * @param position at least `held`
   * @returns how many messages were settled and are not any more
   */
  rewindTo(position: bigint): number {
    const { producers, lane } = this.#options;
    const head = this.#ledger.head;
    const rowsBefore = this.#unsettledRows;
    this.#generation += 1;
    this.#fence = position;
    this.#cuts = [];
    this.#recuts = [];
    this.#ledger.restart(position);
    this.#memory = new MemoryBuffer(position);
    this.#loaded = this.#startOfGroupAt(position);
    this.#countUnsettled();
    this.#countSpilled();
    for (const { start, group } of this.#groups(this.#loaded)) {
      if (start >= head) break;
      let end = start;
      for (const run of decodeRuns(group.runs)) {
        end += BigInt(run.rows);
        if (!run.isTracked || end <= position || end > head) continue;
        const lastSequence = run.firstSequence + run.rows - 1;
        producers.recover(run.producer, run.epoch, run.firstSequence, lastSequence).lane = lane;
      }
    }
    this.#untrimmedBytes = 0;
    this.#trimEnd = undefined;
    this.#recount();
    this.#saveLane();
    return this.#unsettledRows - rowsBefore;
  }

  /** What a database lacks whose checkpoint is at `position`, and what of it is still here. */
  missingFrom(position: bigint): Omit<MissingMessages, 'sinceMs'> {
    const { head } = this.#ledger;
    const from = this.held > position ? this.held : position;
    const ranges = new MissingRanges();
    for (const { start, group } of this.#groups(this.#startOfGroupAt(from))) {
      if (start >= head) break;
      let begin = start;
      for (const run of decodeRuns(group.runs)) {
        const end = begin + BigInt(run.rows);
        const skipped = begin < from ? Math.min(run.rows, Number(from - begin)) : 0;
        const rows = Math.min(run.rows, Number(head - begin)) - skipped;
        if (rows > 0) ranges.add(run.producer, run.epoch, run.firstSequence + skipped, rows);
        begin = end;
      }
    }
    const dead = this.#dead.filter((one) => one >= from && one < head).length;
    const held = Number(head - from) - dead;
    return { messages: Number(from - position) + held, held, ...ranges.list };
  }

  // Where the group begins that a position lies in; the position itself where it is a border.
  #startOfGroupAt(position: bigint): bigint {
    const { sqlite, lane } = this.#options;
    const [group] = sqlite.run<{ key: number; rows: number }>(
      'select key, rows from outbox_groups where key >= ? and key < ? order by key desc limit 1',
      lane * LANE_SPAN,
      this.#keyOf(position),
    );
    if (group === undefined) return position;
    const start = BigInt(group.key - lane * LANE_SPAN);
    return start + BigInt(group.rows) > position ? start : position;
  }

  /** The names under which a database may have this lane's checkpoint: its own, and those that it had before. */
  get incarnations(): string[] {
    const { sqlite, lane } = this.#options;
    return [this.#incarnation, ...readIncarnations(sqlite, lane)];
  }

  /**
   * A name for another life in Postgres. It is kept from now on, so that a checkpoint that gets it is found again even
   * where the shard ends before it hears so.
   */
  proposeIncarnation(): string {
    const { sqlite, lane, randomId } = this.#options;
    const proposed = randomId();
    addIncarnation(sqlite, lane, this.#incarnation);
    addIncarnation(sqlite, lane, proposed);
    return proposed;
  }

  /**
   * Begins a life in Postgres whose checkpoint is at `fence`: an operator's way out of a stop.
   *
   * @param isNewCount true where older checkpoints count other messages than this lane, since its storage is from the past
   */
  startIncarnation(incarnation: string, fence: bigint | null, isNewCount = false): void {
    const { sqlite, lane } = this.#options;
    if (isNewCount) forgetIncarnations(sqlite, lane);
    this.#incarnation = incarnation;
    this.#fence = fence;
    this.#saveLane();
  }

  /**
   * How far the checkpoint may be. Where it is further, it counts messages that this outbox does not know: storage that
   * was restored from the past gives their positions to others.
   */
  get maxSentPosition(): bigint {
    return this.#maxSentPosition;
  }

  /** Only COMMIT is left to be sent for a batch that ends there. */
  noteSent(end: bigint): void {
    if (end > this.#maxSentPosition) this.#maxSentPosition = end;
  }

  /**
   * True where batches may be in Postgres that were sent when each was counted by the checkpoint, and that are now to be
   * written without it.
   */
  get isInDoubt(): boolean {
    return !this.#options.isFenced && this.#cuts.length > 0;
  }

  /** Another number where the lane has moved on to a checkpoint: batches that were taken before are void. */
  get generation(): number {
    return this.#generation;
  }

  /** None of the batches that were in doubt is in Postgres. */
  endDoubt(): void {
    this.#cuts = [];
    this.#recuts = [];
    this.#saveLane();
  }

  /** The checkpoint was found, or created, at this position. */
  setFence(position: bigint): void {
    this.#fence = position;
    this.#saveLane();
  }
}

const KEEP_NOTHING = { keepMs: 0, maxBytes: 0 };

/** What messages count for in memory, by the text of their row, which holds their runs' as well. */
function memoryBytesOf(bytes: number, rows: number): number {
  return bytes + rows * MESSAGE_OVERHEAD_BYTES;
}

// As in a text: each with a newline.
function charactersOf(payloads: readonly string[]): number {
  let characters = payloads.length;
  for (const payload of payloads) characters += payload.length;
  return characters;
}
