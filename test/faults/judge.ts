/** The oracle: what clients were promised against what is there. Pure, so that it can be shown to find every breach. */

import type { IntakeStats } from '../../src/ingest/intake.ts';
import { compareCopies } from './copies.ts';
import type { Entry } from './ledger.ts';
import { contentHash, keyOf, nameOf, POISON, type StoredMessage } from './message.ts';
import { mergeRows, type UpsertAction } from './upserts.ts';

/** A shard's figures at some moment. A shard that was started again counts from zero, and has another `sinceMs`. */
export type Scrape = IntakeStats & { sinceMs: number };

/** What memory and outbox may hold, with what may come in on top before the limit is looked at again. */
export interface Bounds {
  bufferedBytes: number;
  outboxBytes: number;
}

export interface Evidence {
  entries: readonly Entry[];
  /** In the order in which Postgres numbered them. */
  rows: readonly StoredMessage[];
  deadLetters: readonly StoredMessage[];
  /** In the order of time; the last one was taken when all was drained. */
  scrapes: readonly Scrape[];
  bounds: Bounds;
  /** Older epochs are sent beside newer ones: a producer's order holds within each. Default: false. */
  epochsInterleave?: boolean;
  /** Messages of one key are merged into one row, in this way. Default: each has a row of its own. */
  upsert?: UpsertAction | undefined;
  /** The rows of the second table, where each message has to be in both. Default: there is one table. */
  copies?: readonly StoredMessage[] | undefined;
  /** The texts that are in the clients' storages at the end. */
  keptByStorages?: Iterable<string>;
}

export interface Verdict {
  sent: number;
  acked: number;
  /** Rows. */
  committed: number;
  /** Dead letters. */
  dead: number;
  /** Messages that came again and were recognised, as the shard counted them. No failure. */
  duplicate: number;
  /**
   * Acked, or refused as a dead letter, and nowhere to be found; or taken by a client's storage, and gone without a word:
   * not stored, not refused, not told to be in doubt, and no longer in any storage.
   */
  lost: number;
  /** Stored more often than once. */
  doubled: number;
  /** Stored as something else than was sent, or never sent, or stored though it was refused. */
  altered: number;
  /** Rows behind a later one of their producer. */
  outOfOrder: number;
  pass: boolean;
  /** What is wrong, in sentences; a few examples of each kind. */
  failures: string[];
}

const EXAMPLES = 3;

export function judge({
  entries: all,
  rows,
  deadLetters,
  scrapes,
  bounds,
  epochsInterleave = false,
  upsert,
  copies,
  keptByStorages = [],
}: Evidence): Verdict {
  const faults = new Faults();
  const merged = upsert === undefined ? undefined : mergeRows(all, rows, upsert);
  for (const example of merged?.lost ?? []) faults.add('lost', example);
  for (const example of merged?.doubled ?? []) faults.add('doubled', example);
  const entries = all.filter((entry) => merged?.overtaken.has(entry) !== true);
  const byHash = new Map(entries.map((entry) => [entry.hash, entry]));
  const byKey = new Map(entries.map((entry) => [keyOf(entry), entry]));
  // The content says which message it is. Only a content that nobody sent is asked for its name, to say what became of it.
  const entryOf = (payload: string): Entry | undefined => {
    const entry = byHash.get(contentHash(payload));
    if (entry !== undefined) return entry;
    const name = nameOf(payload);
    return name === undefined ? undefined : byKey.get(keyOf(name));
  };
  const kept = new Set(Array.from(keptByStorages, contentHash));
  const places = new Map<Entry, number>();
  const deadEntries = new Set<Entry>();

  for (const { where, message } of [
    ...rows.map((message) => ({ where: 'row', message })),
    ...deadLetters.map((message) => ({ where: 'dead letter', message })),
  ]) {
    const entry = entryOf(message.payload);
    if (entry === undefined) {
      faults.add('altered', `a ${where} that nobody sent: ${message.payload.slice(0, 120)}`);
      continue;
    }
    places.set(entry, (places.get(entry) ?? 0) + 1);
    if (where === 'dead letter') {
      deadEntries.add(entry);
      if (!message.payload.includes(POISON))
        faults.add('condemned', `${keyOf(entry)} is a dead letter, and nothing is wrong with it`);
    }
    if (entry.decision?.act === 'dropped')
      faults.add('altered', `${keyOf(entry)} was dropped by an operator, and is there as a ${where}`);
    const difference = differenceOf(entry, message);
    if (difference !== undefined) faults.add('altered', `${keyOf(entry)} as a ${where}: ${difference}`);
  }

  for (const [entry, count] of places) {
    // What somebody decided to send as new may have been there before.
    const allowed = entry.decision?.act === 'sent-as-new' ? 2 : 1;
    if (count > allowed) faults.add('doubled', `${keyOf(entry)} is there ${count} times`, count - allowed);
    const { outcome } = entry;
    if (outcome.state === 'refused' && outcome.code !== 'dead_letter')
      faults.add('altered', `${keyOf(entry)} is there, though it was refused (${outcome.code})`);
  }
  for (const entry of entries) {
    const { outcome, decision } = entry;
    const isDead = outcome.state === 'refused' && outcome.code === 'dead_letter';
    if (decision?.act === 'dropped') continue;
    if (decision?.act === 'retried' && !places.has(entry))
      faults.add('lost', `${keyOf(entry)} was retried by an operator, and is nowhere`);
    else if (outcome.state === 'acked' && !places.has(entry))
      faults.add('lost', `${keyOf(entry)} was acked (${outcome.level}, ${placeOf(outcome)}), and is nowhere`);
    if (isDead && decision === undefined && !deadEntries.has(entry))
      faults.add('lost', `${keyOf(entry)} was said to be a dead letter, and is none`);
    else if (isSilent(entry) && entry.isKept === true && !places.has(entry) && !kept.has(entry.hash))
      faults.add(
        'lost',
        `${keyOf(entry)} was in a storage, is nowhere, and nobody was told (${entry.outcome.state})`,
      );
    if (outcome.state === 'sent') faults.add('unanswered', `${keyOf(entry)} was never answered`);
  }
  if (copies !== undefined) {
    const { lost, doubled } = compareCopies(rows, copies);
    for (const example of lost) faults.add('lost', example);
    for (const example of doubled) faults.add('doubled', example);
    findDisorder(copies, epochsInterleave, faults);
  }
  findDisorder(
    // A dead letter that is retried, and a message that is sent as new, give their order up.
    rows.filter(({ payload }) => entryOf(payload)?.decision === undefined),
    epochsInterleave,
    faults,
  );
  findMiscounts({ rows, deadLetters, scrapes, bounds, upsert }, faults);

  return {
    sent: all.length,
    acked: all.filter(({ outcome }) => outcome.state === 'acked').length,
    committed: rows.length,
    dead: deadLetters.length,
    duplicate: sumOverLives(scrapes, ({ duplicate }) => duplicate),
    lost: faults.count('lost'),
    doubled: faults.count('doubled'),
    altered: faults.count('altered'),
    outOfOrder: faults.count('out of order'),
    pass: faults.sentences.length === 0,
    failures: faults.sentences,
  };
}

/** True where nobody was told that a message was refused, or that its fate is unknown. */
function isSilent({ outcome }: Entry): boolean {
  return outcome.state === 'sent' || (outcome.state === 'unacked' && outcome.code !== 'fate_unknown');
}

function placeOf({ epoch, sequence }: { epoch: number; sequence: number | undefined }): string {
  return sequence === undefined ? `epoch ${epoch}` : `epoch ${epoch}, sequence ${sequence}`;
}

/** How a stored message differs from what was sent and promised. */
function differenceOf(entry: Entry, stored: StoredMessage): string | undefined {
  const { producer, outcome, decision } = entry;
  const text = decision?.act === 'retried' ? decision.text : entry.text;
  if (stored.payload !== text) return `${text.slice(0, 120)} became ${stored.payload.slice(0, 120)}`;
  if (stored.producer !== producer) return `under the producer ${stored.producer}`;
  if (outcome.state !== 'acked' || outcome.sequence === undefined) return undefined;
  // It may be there twice, and the ack is about one of them.
  if (decision?.act === 'sent-as-new') return undefined;
  const isThere = stored.epoch === outcome.epoch && stored.sequence === outcome.sequence;
  return isThere
    ? undefined
    : `acked as ${placeOf(outcome)}, stored as epoch ${stored.epoch}, sequence ${stored.sequence}`;
}

/** Order holds twice: a client's messages as it sent them, and a producer's by epoch and sequence. */
function findDisorder(rows: readonly StoredMessage[], epochsInterleave: boolean, faults: Faults): void {
  const lastOfClient = new Map<string, number>();
  const lastOfProducer = new Map<string, StoredMessage>();
  for (const row of rows) {
    const line = epochsInterleave ? `${row.producer} ${row.epoch}` : row.producer;
    const before = lastOfProducer.get(line);
    const isBehind =
      before !== undefined &&
      (row.epoch < before.epoch || (row.epoch === before.epoch && row.sequence < before.sequence));
    if (isBehind) {
      faults.add(
        'out of order',
        `${row.producer}: epoch ${row.epoch}, sequence ${row.sequence} after epoch ${before.epoch}, sequence ${before.sequence}`,
      );
    }
    lastOfProducer.set(line, row);
    const name = nameOf(row.payload);
    if (name === undefined) continue;
    const client = `${name.producer}/${name.client}`;
    const last = lastOfClient.get(client) ?? -1;
    if (name.n < last && !isBehind) faults.add('out of order', `${keyOf(name)} after ${client}/${last}`);
    lastOfClient.set(client, name.n);
  }
}

function findMiscounts(
  { rows, deadLetters, scrapes, bounds, upsert }: Omit<Evidence, 'entries'>,
  faults: Faults,
): void {
  for (const scrape of scrapes) {
    const { received, committed, dead, duplicate, buffered, bufferedBytes, outboxBytes } = scrape;
    const refused = Object.values(scrape.refused).reduce((sum, count) => sum + count, 0);
    if (received !== committed + dead + duplicate + refused + buffered) {
      faults.add(
        'miscounted',
        `${received} received are not ${committed} committed, ${dead} dead, ${duplicate} duplicate, ${refused} refused and ${buffered} buffered`,
      );
    }
    if (bufferedBytes > bounds.bufferedBytes)
      faults.add('over a bound', `${bufferedBytes} bytes in memory: ${bounds.bufferedBytes} are allowed`);
    if (outboxBytes > bounds.outboxBytes)
      faults.add('over a bound', `${outboxBytes} bytes in the outbox: ${bounds.outboxBytes} are allowed`);
  }
  const last = scrapes.at(-1);
  if (last === undefined) {
    faults.add('miscounted', 'the shard was never asked for its figures');
    return;
  }
  if (last.buffered !== 0) faults.add('not drained', `${last.buffered} messages are still buffered`);
  if (last.deadLetters !== deadLetters.length)
    faults.add('miscounted', `${last.deadLetters} dead letters are counted, and ${deadLetters.length} there`);
  // A shard that lived through all of it has to know exactly what it wrote.
  if (scrapes.some(({ sinceMs }) => sinceMs !== last.sinceMs) || last.recovered > 0) return;
  // What was merged into the row of another message is committed too.
  if (upsert !== undefined) return;
  const written = last.committed - last.rewritten;
  if (written !== rows.length)
    faults.add('miscounted', `${written} rows are counted as committed, and ${rows.length} are there`);
}

/** The sum of a counter's last values, one for each life of the shard. */
function sumOverLives(scrapes: readonly Scrape[], read: (scrape: Scrape) => number): number {
  const lives = new Map(scrapes.map((scrape) => [scrape.sinceMs, read(scrape)]));
  return [...lives.values()].reduce((sum, value) => sum + value, 0);
}

/** Counts breaches by kind, and spells the first few out. */
class Faults {
  readonly #counts = new Map<string, number>();
  readonly #examples = new Map<string, string[]>();

  add(kind: string, example: string, count = 1): void {
    this.#counts.set(kind, this.count(kind) + count);
    const examples = this.#examples.get(kind) ?? [];
    if (examples.length < EXAMPLES) examples.push(example);
    this.#examples.set(kind, examples);
  }

  count(kind: string): number {
    return this.#counts.get(kind) ?? 0;
  }

  get sentences(): string[] {
    return [...this.#examples].map(
      ([kind, examples]) => `${this.count(kind)} ${kind}: ${examples.join('; ')}`,
    );
  }
}
