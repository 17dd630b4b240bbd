/** The fixtures of the suite `store`, and the steps on them. */

import type { ImportedMessage, Message, NewMessage } from '../../../src/messages/message.ts';
import type { MessageStore } from '../../../src/messages/message-store.ts';
import type { Engine, Fixture, Namespace, Plan } from '../../jobs/fixture.ts';
import { type FloorFixture, floorReadStep, floorWriteStep, makeFloorFixture } from '../../jobs/floor.ts';
import { isBare } from '../../jobs/job.ts';
import { ReadJudge } from '../../jobs/read-judge.ts';
import { type Step, unitsOnly } from '../../jobs/step.ts';
import { auditWrites, compareRead, hasItsEnds } from './audit.ts';
import {
  BENCH_CATEGORY,
  BENCH_STREAM,
  expectedRead,
  fixtureMessages,
  fixtureSize,
  messagesOf,
  streamOf,
} from './data.ts';
import { type MessageRow, messageRow, writtenRows } from './floor.ts';
import { fixtureOf, isWrite, messagesPerOperation, type StoreJob, storeFixtureKey } from './job.ts';

/** Messages that one call imports: about a second of work, well within the limits of a request. */
const FILL_MESSAGES = 50_000;
/** Messages of one import, which is one transaction. */
const IMPORT_MESSAGES = 5_000;
const AUDIT_PAGE_MESSAGES = 1_000;
/** Writes of each store before the clock starts, in a category that the audit passes over. */
const WARM_WRITES = 10;
const WARM_CATEGORY = 'warm';

/** A namespace with messages; new for each repetition of writes. */
interface MessageFixture extends Fixture {
  namespace: Namespace<MessageStore, MessageRow>;
  store: MessageStore;
}

type StoreFixture = MessageFixture | FloorFixture<MessageRow>;

export class StorePlan implements Plan<StoreJob, StoreFixture> {
  readonly #engine: Engine<MessageStore, MessageRow>;

  constructor(engine: Engine<MessageStore, MessageRow>) {
    this.#engine = engine;
  }

  fixtureKey(job: StoreJob): string {
    return storeFixtureKey(job);
  }

  async makeFixture(job: StoreJob): Promise<StoreFixture> {
    const namespace = await this.#engine.create();
    if (!isBare(job)) return makeMessageFixture(namespace, job);
    if (isWrite(job.operation))
      return makeFloorFixture(namespace, { hasIndexes: job.strategy === 'indexed' });
    return makeFloorFixture(namespace, { hasIndexes: true, rows: rowsToRead(job) });
  }

  async makeStep(fixture: StoreFixture, job: StoreJob): Promise<Step> {
    if ('floor' in fixture) return floorStep(fixture, job);
    return isWrite(job.operation) ? writeStep(fixture, job) : readStep(fixture, job);
  }
}

async function makeMessageFixture(
  namespace: Namespace<MessageStore, MessageRow>,
  job: StoreJob,
): Promise<MessageFixture> {
  const name = fixtureOf(job);
  const store = await namespace.openStore();
  const messages = fixtureMessages(name, job.others);
  let missing = fixtureSize(name, job.others);
  return {
    namespace,
    store,
    async fill() {
      for (let done = 0; done < FILL_MESSAGES && missing > 0; done += IMPORT_MESSAGES) {
        const batch: ImportedMessage[] = [];
        while (batch.length < Math.min(IMPORT_MESSAGES, missing)) {
          const { value, done: isOver } = messages.next();
          if (isOver === true) break;
          batch.push(value);
        }
        await store.import(batch);
        missing -= batch.length;
      }
      return missing;
    },
    isWorn: () => name === 'writes',
    drop: () => namespace.drop(),
  };
}

async function writeStep(fixture: MessageFixture, job: StoreJob): Promise<Step> {
  const { operation, operations, strategy, clients } = job;
  const stores = [fixture.store];
  while (strategy === 'stores' && stores.length < clients) stores.push(await fixture.namespace.openStore());
  for (const [index, store] of stores.entries()) await warmStore(store, index);
  const count = messagesPerOperation(operation);
  // Made before the clock starts, as a program has them; their ids and JSON texts are the store's work.
  const messages: NewMessage[][] = Array.from({ length: operations }, (_, index) => messagesOf(index, count));
  const end = BigInt(count - 1);
  let misplaced = 0;
  return {
    async attempt(index, client) {
      const store = stores[client % stores.length] as MessageStore;
      const { position } = await store.write(streamOf(index), messages[index] ?? []);
      if (position !== end) misplaced += 1;
    },
    tally: () => unitsOnly(operations * count),
    async audit() {
      const audit = await auditWrites(allMessages(fixture.store), operations, count);
      // An answer that names another place than the message has is as wrong as a message in another place.
      return { ...audit, outOfOrder: audit.outOfOrder + misplaced };
    },
  };
}

/** What a connection does first takes longer: it is opened, and the server makes its plans. */
async function warmStore(store: MessageStore, index: number): Promise<void> {
  for (let n = 0; n < WARM_WRITES; n += 1) {
    await store.write(`${WARM_CATEGORY}-${index}`, { type: 'Warm', data: { n } });
  }
}

async function readStep({ store }: MessageFixture, { operation, operations }: StoreJob): Promise<Step> {
  const batchSize = messagesPerOperation(operation);
  const read = (): Promise<Message[]> =>
    operation === 'read-10'
      ? store.readStream(BENCH_STREAM, { position: 0n, batchSize })
      : store.readCategory(BENCH_CATEGORY, { globalPosition: 1n, batchSize });
  // A connection that was closed meanwhile is opened, and its plans are made, before the clock starts.
  await read();
  const expected = expectedRead(operation);
  const judge = new ReadJudge({ hasItsEnds, compare: compareRead });
  return {
    async attempt() {
      judge.take(await read(), expected);
    },
    tally: () => unitsOnly(operations * batchSize),
    audit: async () => judge.audit(),
  };
}

function floorStep({ floor }: FloorFixture<MessageRow>, { operation, operations }: StoreJob): Step {
  const count = messagesPerOperation(operation);
  if (isWrite(operation)) {
    return floorWriteStep(
      floor,
      Array.from({ length: operations }, (_, index) => writtenRows(index, count)),
    );
  }
  const select = (): Promise<readonly unknown[]> | readonly unknown[] =>
    operation === 'read-10'
      ? floor.select('stream', BENCH_STREAM, count)
      : floor.select('category', BENCH_CATEGORY, count);
  return floorReadStep(select, () => count);
}

/** What a read of bare statements finds: the messages that are read, without the others. */
function rowsToRead(job: StoreJob): MessageRow[] {
  return Array.from(fixtureMessages(fixtureOf(job), 0), ({ globalPosition, streamName, position }) =>
    messageRow(Number(globalPosition), streamName, Number(streamName.split('-')[1]), Number(position)),
  );
}

async function* allMessages(store: MessageStore): AsyncGenerator<Message> {
  let globalPosition = 1n;
  for (;;) {
    const page = await store.readCategory('', { globalPosition, batchSize: AUDIT_PAGE_MESSAGES });
    yield* page.filter(({ streamName }) => !streamName.startsWith(`${WARM_CATEGORY}-`));
    const last = page.at(-1);
    if (last === undefined || page.length < AUDIT_PAGE_MESSAGES) return;
    globalPosition = last.globalPosition + 1n;
  }
}
