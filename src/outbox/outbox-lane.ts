/**
 * One lane of the outbox: messages in the order in which they will be written, durable in SQLite, with as many of them
 * in memory as its limit allows. To the flusher it is a buffer like the one in memory.
 *
 * Positions number the messages of a lane: `head` is the first that is not settled, `tail` the next to be given.
 *
 *     settled, kept │ in memory (waiting, or on their way to Postgres) │ in SQLite only │ being gathered
 *     held         head                                                                tail
 *
 * Maintained invariant: memory holds a contiguous part that begins at `head`.
 */

import { type Message, type MessageBatch, rowsOf } from '../sinks/message-batch.ts';
import { DeadPositions } from './dead-positions.ts';
import { GatheredGroup } from './gathered-group.ts';
import { encodeGroup, runsFrom } from './group.ts';
import type { Lane } from './lane.ts';
import { LaneCheckpoint } from './lane-checkpoint.ts';
import { LaneStorage } from './lane-storage.ts';
import type { LaneSums } from './lane-totals.ts';
import { LaneWatermarks } from './lane-watermarks.ts';
import { lastMessagesBefore } from './last-messages.ts';
import { MemoryWindow } from './memory-window.ts';
import type { TakeLimits } from './message-buffer.ts';
import type { MissingMessages } from './missing-messages.ts';
import { rangesBetween } from './missing-ranges.ts';
import type { OutboxLaneOptions } from './outbox-lane-options.ts';
import { OutboxTrimmer } from './outbox-trimmer.ts';
import type { Chunk, Producer } from './producer.ts';
import { RunLedger, type RunMark } from './run-ledger.ts';
import { oldestUnsettledAtMs, type UnsettledRun, unsettledRuns } from './unsettled-runs.ts';

const KEEP_NOTHING = { keepMs: 0, maxBytes: 0 };

export class OutboxLane implements Lane {
  readonly #options: OutboxLaneOptions;
  readonly #storage: LaneStorage;
  readonly #ledger: RunLedger;
  readonly #checkpoint: LaneCheckpoint;
  readonly #dead: DeadPositions;
  readonly #trimmer: OutboxTrimmer;
  readonly #watermarks: LaneWatermarks;
  readonly #window: MemoryWindow;
  readonly #gathered = new GatheredGroup();
  #tail: bigint;
  /**
   * From head to tail, without those that are settled ahead of others. Every frame asks for it, and arithmetic of `bigint`
   * would be felt.
   */
  #unsettledRows = 0;
  #generation = 0;
  /** Where the totals begin. */
  readonly #start: bigint;
  #deadTotal: number;
  #rewrittenTotal: number;
  /** Text that was written to storage since this object was made. */
  writtenBytes = 0;

  /** Opens the lane on the tables that `createOutboxTables` makes. */
  constructor(options: OutboxLaneOptions) {
    this.#options = options;
    const { sqlite, lane, producers, failpoints, now, hasSession, isFenced } = options;
    const storage = new LaneStorage(sqlite, lane);
    const row = storage.open(options.randomId);
    this.#storage = storage;
    this.#ledger = new RunLedger(row.head, (mark) => this.#pass(mark));
    this.#dead = new DeadPositions(storage);
    const { start, dead, rewritten } = row.totals;
    this.#start = start;
    // Those that were settled ahead of others were not in front of the head when the row was written.
    this.#deadTotal = dead + this.#dead.countFrom(row.head);
    this.#rewrittenTotal = rewritten;
    this.#checkpoint = new LaneCheckpoint(storage, row, this.#ledger, {
      totals: () => ({
        start,
        dead: this.#deadTotal - this.#dead.countFrom(this.head),
        rewritten: this.#rewrittenTotal,
      }),
      counts: options.counts ?? (() => '{}'),
    });
    this.#trimmer = new OutboxTrimmer(
      {
        storage,
        checkpoint: this.#checkpoint,
        dead: this.#dead,
        producers,
        failpoints,
        keep: isFenced ? (options.keep ?? KEEP_NOTHING) : KEEP_NOTHING,
        now,
        hasSession,
      },
      row.head,
    );
    this.#watermarks = new LaneWatermarks({ ...options, storage, trimmer: this.#trimmer });
    this.#window = new MemoryWindow({
      storage,
      producers,
      ledger: this.#ledger,
      maxBytes: options.maxMemoryBytes,
      mayKeep: options.mayKeep ?? (() => true),
    });
    this.#tail = row.head;
    this.#recover();
    this.#checkpoint.noteSent(this.#tail);
  }

  // What was stored before the shard restarted: only its headers are read, the messages follow when they are needed.
  #recover(): void {
    const { head } = this.#ledger;
    for (const { start, rows, bytes, runs } of this.#storage.headers(0n)) {
      const end = start + BigInt(rows);
      for (const { run, end: runEnd } of runsFrom(start, runs)) this.#watermarks.recover(run, runEnd <= head);
      this.#trimmer.found(start, end, bytes, head);
      if (end > this.#tail) this.#tail = end;
    }
    this.#window.restart(this.#tail);
    this.#countUnsettled();
  }

  #countUnsettled(): void {
    const { head } = this.#ledger;
    this.#dead.countAhead(head);
    this.#unsettledRows = Number(this.#tail - head) - this.#dead.ahead;
  }

  // Positions.

  /** The first position that is not settled. */
  get head(): bigint {
    return this.#ledger.head;
  }

  /** The first message that is still in SQLite; `head` where none is that is settled. */
  get held(): bigint {
    const { head } = this.#ledger;
    const { held } = this.#trimmer;
    if (held < head) return held;
    return head;
  }

  get tail(): bigint {
    return this.#tail;
  }

  /** Another number where the lane has moved on to a checkpoint: batches that were taken before are void. */
  get generation(): number {
    return this.#generation;
  }

  // What it holds.

  get rows(): number {
    return this.#unsettledRows + this.#gathered.rows;
  }

  /** What memory holds: messages, and the marks of their runs. */
  get bytes(): number {
    return this.#window.bytes;
  }

  /** Text in SQLite and on its way there, without what is settled and kept. */
  get storedBytes(): number {
    return this.#trimmer.storedBytes + this.#gathered.characters;
  }

  /** Text of settled groups that are kept. */
  get keptBytes(): number {
    return this.#trimmer.keptBytes;
  }

  get inFlightBytes(): number {
    return this.#window.inFlightBytes;
  }

  /** Messages that are in SQLite only. */
  get spilledRows(): number {
    return this.#window.spilledRows;
  }

  get waitingRows(): number {
    return this.#window.waitingRows - this.#dead.ahead;
  }

  get waitingBytes(): number {
    return this.#window.waitingBytes;
  }

  get oldestWaitingAtMs(): number | undefined {
    return this.#window.oldestWaitingAtMs;
  }

  get gatheredRows(): number {
    return this.#gathered.rows;
  }

  get gatheredCharacters(): number {
    return this.#gathered.characters;
  }

  /** What it has dealt with in all its lives. */
  get totals(): LaneSums {
    const stored = Number(this.#tail - this.#start);
    return { stored, dead: this.#deadTotal, rewritten: this.#rewrittenTotal };
  }

  /** When the oldest message was received that is not settled; undefined where none is. */
  get oldestAtMs(): number | undefined {
    if (this.#unsettledRows === 0) return undefined;
    return oldestUnsettledAtMs(this.#ledger.head, this.#storage);
  }

  /** What is stored and not settled, by runs. The text of a run is its share of the text of its group. */
  unsettled(): Iterable<UnsettledRun> {
    return unsettledRuns(this.#ledger.head, this.#storage, this.#dead);
  }

  // Into the outbox.

  /** Adds messages to the group that is being gathered. They are not durable before `store`. */
  gather(producer: Producer, firstSequence: number, chunk: Chunk, receivedAtMs: number): void {
    this.#gathered.add(producer, firstSequence, chunk, receivedAtMs);
  }

  gatherOne(
    producer: Producer,
    sequence: number,
    payload: string,
    isPlain: boolean,
    receivedAtMs: number,
  ): void {
    this.#gathered.addOne(producer, sequence, payload, isPlain, receivedAtMs);
  }

  /** Writes what was gathered as one row. It is durable once the turn's writes are; acks sent in the same turn wait for that. */
  store(): void {
    const { runs, rows } = this.#gathered;
    if (rows === 0) return;
    const group = encodeGroup(runs);
    const bytes = group.runs.length + group.body.length;
    this.#storage.addGroup(this.#tail, group);
    this.#gathered.clear();
    this.#options.onHeld?.();
    this.#trimmer.stored(bytes);
    this.writtenBytes += bytes;
    for (const { producer } of runs) {
      producer.run = undefined;
      if (producer.isTracked) producer.pendingRuns += 1;
    }
    this.#window.add(runs, this.#tail, rows, bytes);
    this.#tail += BigInt(rows);
    this.#unsettledRows += rows;
    this.#options.onHeld?.();
  }

  // Out of the outbox.

  take(limits: TakeLimits): MessageBatch | undefined {
    for (;;) {
      const batch = this.#take(limits);
      if (batch === undefined || this.#dead.ahead === 0 || !this.#dead.has(batch.position)) return batch;
      // It is among the dead letters, or was: it has been dealt with.
      this.#window.settle(batch);
      this.#ledger.settle(batch.position, batch.position + 1n);
      this.#dead.passed();
    }
  }

  #take({ maxRows: most, maxBytes }: TakeLimits): MessageBatch | undefined {
    this.#window.fill(maxBytes, this.#tail);
    const from = this.#window.takenTo;
    // A batch whose outcome was never learned is sent again as it was.
    let maxRows = Math.min(most, this.#checkpoint.rowsToRecut(from));
    if (this.#dead.ahead > 0) maxRows = Math.min(maxRows, this.#dead.rowsUpToNext(from));
    const batch = this.#window.take({ maxRows, maxBytes });
    if (batch === undefined) return undefined;
    this.#options.onHeld?.();
    if (this.#options.isFenced) this.#checkpoint.cutAt(endOf(batch));
    return batch;
  }

  /** The batch is in Postgres, and the checkpoint at `end`. */
  settle(batch: MessageBatch, end = endOf(batch)): void {
    if (this.#options.isFenced) this.#checkpoint.passed(end);
    this.#settle(batch);
    this.#trimmer.trimIfDue(this.#ledger.head === this.#tail);
  }

  /** The batch is settled without being in Postgres: it is among the dead letters, by the same step of storage. */
  settleAsDead(batch: MessageBatch): void {
    this.#deadTotal += rowsOf(batch);
    const isNext = batch.position === this.#ledger.head;
    this.#settle(batch);
    if (isNext) this.#trimmer.trim();
    // Ahead of others it is passed over in the next life, which begins at the head. And a lane that goes back to before it, in a
    // group that is still there, must not make a second dead letter of it.
    if (batch.position >= this.held) this.#dead.add(batch.position);
  }

  /** Messages that Postgres has and that are still in storage: the last ones, one of each of some producers. */
  lastCommitted(): Message[] {
    const { head } = this.#ledger;
    return this.held >= head ? [] : lastMessagesBefore(head, this.#storage, this.#dead);
  }

  #settle(batch: MessageBatch): void {
    this.#options.onSettling?.(batch);
    this.#window.settle(batch);
    this.#unsettledRows -= rowsOf(batch);
    this.#ledger.settle(batch.position, endOf(batch));
    // Nothing is left but messages that are passed over.
    if (this.#dead.ahead > 0 && this.#unsettledRows === 0) this.take({ maxRows: 1, maxBytes: 1 });
    this.#checkpoint.forgetSettledCuts();
    this.#options.onHeld?.();
  }

  putBack(batch: MessageBatch): void {
    this.#window.putBack(batch);
    this.#options.onHeld?.();
  }

  #pass({ producer, epoch, lastSequence, end, groupBytes }: RunMark): void {
    this.#watermarks.pass(producer, epoch, lastSequence);
    if (groupBytes > 0) this.#trimmer.settled(end, groupBytes);
  }

  // To another position.

  /**
   * The checkpoint in Postgres turned out to be further than this lane knew: another instance of the shard wrote what
   * lies between. All below `position` is settled; what comes after it is read again. To be called while no batch is on
   * its way.
   *
   * @returns how many messages are settled by that
   */
  advanceTo(position: bigint): number {
    const { head } = this.#ledger;
    const rowsBefore = this.#unsettledRows;
    this.#moveTo(position);
    // From here on the lane is at the position, so that a session that hears of a commit finds it sound.
    this.#watermarks.passBetween(head, position);
    this.#trimmer.recount(position);
    this.#trimmer.trim();
    return rowsBefore - this.#unsettledRows;
  }

  /**
   * The database is in the past: what lies from `position` on is written again. To be called while no batch is on its way.
   *
   * @param position at least `held`
   * @returns how many messages were settled and are not any more
   */
  rewindTo(position: bigint): number {
    const { head } = this.#ledger;
    const rowsBefore = this.#unsettledRows;
    this.#moveTo(position);
    this.#watermarks.recoverBetween(position, head);
    this.#trimmer.recount(position);
    const rewritten = this.#unsettledRows - rowsBefore;
    this.#rewrittenTotal += rewritten;
    this.#checkpoint.save();
    return rewritten;
  }

  #moveTo(position: bigint): void {
    this.#generation += 1;
    this.#checkpoint.moveTo(position);
    this.#ledger.restart(position);
    this.#countUnsettled();
    this.#window.restart(this.#tail);
    this.#options.onHeld?.();
  }

  /** What a database lacks whose checkpoint is at `position`, and what of it is still here. */
  missingFrom(position: bigint): Omit<MissingMessages, 'sinceMs'> {
    const { head } = this.#ledger;
    const from = this.held > position ? this.held : position;
    const held = Number(head - from) - this.#dead.countBetween(from, head);
    return { messages: Number(from - position) + held, held, ...rangesBetween(from, head, this.#storage) };
  }

  // Its checkpoint in Postgres.

  /** Names this lane's life in Postgres: a wiped shard never takes an old checkpoint for its own. */
  get incarnation(): string {
    return this.#checkpoint.incarnation;
  }

  /** The names under which a database may have this lane's checkpoint: its own, and those that it had before. */
  get incarnations(): string[] {
    return this.#checkpoint.incarnations;
  }

  /**
   * A name for another life in Postgres. It is kept from now on, so that a checkpoint that gets it is found again even
   * where the shard ends before it hears so.
   */
  proposeIncarnation(): string {
    const proposed = this.#options.randomId();
    this.#checkpoint.propose(proposed);
    return proposed;
  }

  /**
   * Begins a life in Postgres whose checkpoint is at `fence`: an operator's way out of a stop.
   *
   * @param isNewCount true where older checkpoints count other messages than this lane, since its storage is from the past
   */
  startIncarnation(incarnation: string, fence: bigint | null, isNewCount = false): void {
    this.#checkpoint.start(incarnation, fence, isNewCount);
  }

  /** The last known position of the checkpoint; null before the first batch. */
  get fence(): bigint | null {
    return this.#checkpoint.fence;
  }

  /** The checkpoint was found, or created, at this position. */
  setFence(position: bigint): void {
    this.#checkpoint.setFence(position);
  }

  /**
   * How far the checkpoint may be. Where it is further, it counts messages that this outbox does not know: storage that
   * was restored from the past gives their positions to others.
   */
  get maxSentPosition(): bigint {
    return this.#checkpoint.maxSentPosition;
  }

  /** Only COMMIT is left to be sent for a batch that ends there. */
  noteSent(end: bigint): void {
    this.#checkpoint.noteSent(end);
  }

  /**
   * True where batches may be in Postgres that were sent when each was counted by the checkpoint, and that are now to be
   * written without it.
   */
  get isInDoubt(): boolean {
    return !this.#options.isFenced && this.#checkpoint.hasCuts;
  }

  /** None of the batches that were in doubt is in Postgres. */
  endDoubt(): void {
    this.#checkpoint.forgetCuts();
  }
}

/** The position after a batch's last message. */
function endOf(batch: MessageBatch): bigint {
  return batch.position + BigInt(rowsOf(batch));
}
