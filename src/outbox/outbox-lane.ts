/**
 * One lane of the outbox: messages in the order in which they will be written, durable in SQLite, with as many of them
 * in memory as its limit allows. To the flusher it is a buffer like the one in memory.
 *
 * Positions number the messages of a lane: `head` is the first that is not settled, `tail` the next to be given.
 *
 *     settled │ in memory (waiting, or on their way to Postgres) │ in SQLite only │ being gathered
 *            head                                              loaded           tail
 *
 * Maintained invariants: a group is deleted only once all of its messages are settled; memory holds a contiguous part
 * that begins at `head`; `head`, the fence and the producers' watermarks are written in the step that deletes.
 */

import { hasTable, type Sqlite } from '../database/sqlite.ts';
import type { Failpoints } from '../failpoints.ts';
import type { Lane } from '../ingest/lane.ts';
import type { MessageBatch } from '../ingest/message-batch.ts';
import { MESSAGE_OVERHEAD_BYTES, rowsOf } from '../ingest/message-batch.ts';
import { MemoryBuffer, type TakeLimits } from '../ingest/message-buffer.ts';
import { type Producer, RAW_EPOCH, untrackedProducer } from '../ingest/producer.ts';
import { RunLedger, type RunMark } from '../ingest/run-ledger.ts';
import { TRIM_BYTES, TRIM_INTERVAL_MS } from '../limits.ts';
import { type Chunk, decodeRuns, encodeGroup, RUN_CHARACTERS, type Run } from './group.ts';
import type { ProducerRegistry } from './producer-registry.ts';

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
}

/** How many lanes the outbox has messages of: a sink that was deployed with fewer connections still has to drain them. */
export function lanesInOutbox(sqlite: Sqlite): number {
  if (!hasTable(sqlite, 'outbox_groups')) return 0;
  const last = sqlite.run<{ key: number | null }>('select max(key) as key from outbox_groups')[0]?.key;
  return last === null || last === undefined ? 0 : Math.floor(last / LANE_SPAN) + 1;
}

/** Messages that are not settled, and the text of all groups: for who only counts. */
export function outboxTotals(sqlite: Sqlite): { rows: number; bytes: number } {
  const [sum] = sqlite.run<{ bytes: number | null }>('select sum(bytes) as bytes from outbox_groups');
  let rows = 0;
  for (const { lane, head } of sqlite.run<{ lane: number; head: number }>(
    'select lane, head from outbox_lanes',
  )) {
    const [last] = sqlite.run<{ key: number; rows: number }>(
      'select key, rows from outbox_groups where key >= ? and key < ? order by key desc limit 1',
      lane * LANE_SPAN,
      (lane + 1) * LANE_SPAN,
    );
    if (last !== undefined) rows += Math.max(0, last.key - lane * LANE_SPAN + last.rows - head);
  }
  return { rows, bytes: sum?.bytes ?? 0 };
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
  #reach: bigint;
  /** Ends of the batches that were cut and are not settled. */
  #cuts: bigint[];
  /** Ends at which batches were cut before the shard restarted, and are cut again. */
  #recuts: bigint[];
  /** The question to Postgres that ends a doubt, while it is under way. */
  doubt: Promise<number> | undefined;
  #generation = 0;
  #spilledRows = 0;
  #spilledBytes = 0;
  /** Text in SQLite, settled groups that are not deleted yet included. */
  #storedBytes = 0;
  readonly #changed = new Set<Producer>();
  #untrimmedBytes = 0;
  #trimEnd: bigint | undefined;
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
    this.#recover();
    this.#reach = this.#tail;
  }

  // What was stored before the shard restarted: only its headers are read, the messages follow when they are needed.
  #recover(): void {
    const { producers, lane } = this.#options;
    for (const { start, group } of this.#groups(0n)) {
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
      this.#storedBytes += group.bytes;
      if (end <= this.#ledger.head) {
        // Settled, and not deleted before the shard restarted.
        this.#untrimmedBytes += group.bytes;
        this.#trimEnd = end;
      } else if (start < this.#ledger.head) this.#loaded = start;
      if (end > this.#tail) this.#tail = end;
    }
    this.#countSpilled();
    this.#countUnsettled();
  }

  #countUnsettled(): void {
    this.#unsettledRows = Number(this.#tail - this.#ledger.head);
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

  /** Text in SQLite and on its way there. */
  get storedBytes(): number {
    return this.#storedBytes + this.#gatheredCharacters;
  }

  /** Messages that are in SQLite only. */
  get spilledRows(): number {
    return this.#spilledRows;
  }

  get waitingRows(): number {
    return this.#memory.waitingRows + this.#spilledRows;
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
    const { maxBytes } = limits;
    let { maxRows } = limits;
    if (this.#memory.waitingBytes < maxBytes && this.#spilledRows > 0) this.#readBack(maxBytes);
    // A batch whose outcome was never learned is sent again as it was.
    while (this.#recuts[0] !== undefined && this.#recuts[0] <= this.#takenTo()) this.#recuts.shift();
    const recut = this.#recuts[0];
    if (recut !== undefined) maxRows = Math.min(maxRows, Number(recut - this.#takenTo()));
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
  bury(batch: MessageBatch): void {
    this.#settle(batch);
    this.#trim();
  }

  #settle(batch: MessageBatch): void {
    this.#memory.settle(batch);
    this.#unsettledRows -= rowsOf(batch);
    this.#ledger.settle(batch.position, batch.position + BigInt(rowsOf(batch)));
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
    if (this.#trimEnd !== undefined) {
      sqlite.run(
        'delete from outbox_groups where key >= ? and key < ?',
        lane * LANE_SPAN,
        this.#keyOf(this.#trimEnd),
      );
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
    const { sqlite, lane, producers } = this.#options;
    const head = this.#ledger.head;
    this.#generation += 1;
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
    this.#trim();
    const [stored] = sqlite.run<{ bytes: number | null }>(
      'select sum(bytes) as bytes from outbox_groups where key >= ? and key < ?',
      lane * LANE_SPAN,
      (lane + 1) * LANE_SPAN,
    );
    this.#storedBytes = stored?.bytes ?? 0;
    return Number(position - head);
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

  /** Gives the lane a new life in Postgres, whose checkpoint begins at its head: an operator's way out of a stop. */
  startIncarnation(): void {
    this.#incarnation = this.#options.randomId();
    this.#fence = null;
    this.#saveLane();
  }

  /**
   * How far the checkpoint may be. Where it is further, it counts messages that this outbox does not know: storage that
   * was restored from the past gives their positions to others.
   */
  get reach(): bigint {
    return this.#reach;
  }

  /** Only COMMIT is left to be sent for a batch that ends there. */
  reachOut(end: bigint): void {
    if (end > this.#reach) this.#reach = end;
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
  fenceAt(position: bigint): void {
    this.#fence = position;
    this.#saveLane();
  }
}

// As in a text: each with a newline.
/** What messages count for in memory, by the text of their row, which holds their runs' as well. */
function memoryBytesOf(bytes: number, rows: number): number {
  return bytes + rows * MESSAGE_OVERHEAD_BYTES;
}

function charactersOf(payloads: readonly string[]): number {
  let characters = payloads.length;
  for (const payload of payloads) characters += payload.length;
  return characters;
}
