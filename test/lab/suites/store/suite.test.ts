import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../../../lab/jobs/fixture.ts';
import type { FloorTable } from '../../../../lab/jobs/floor-table.ts';
import type { JobBench } from '../../../../lab/jobs/job.ts';
import { JobRunner } from '../../../../lab/jobs/job-runner.ts';
import { BENCH_SCHEMA_PREFIX } from '../../../../lab/jobs/postgres-engine.ts';
import { RemoteBench } from '../../../../lab/jobs/remote-bench.ts';
import { sqliteFloor } from '../../../../lab/jobs/sqlite-floor.ts';
import { localStorePorts } from '../../../../lab/local/job-ports.ts';
import type { BenchResult } from '../../../../lab/result.ts';
import { runSuite } from '../../../../lab/run/runner.ts';
import { MESSAGE_FLOOR, type MessageRow } from '../../../../lab/suites/store/floor.ts';
import { storeHost } from '../../../../lab/suites/store/host.ts';
import {
  STORE_ENGINES,
  STORE_OPERATIONS,
  type StoreJob,
  storeFixtureKey,
} from '../../../../lab/suites/store/job.ts';
import { STORE_PARAMETERS } from '../../../../lab/suites/store/parameters.ts';
import { StorePlan } from '../../../../lab/suites/store/plan.ts';
import { REFERENCES } from '../../../../lab/suites/store/references.ts';
import { storeSuite } from '../../../../lab/suites/store/suite.ts';
import { storeJobOf, storeVariantName } from '../../../../lab/suites/store/variants.ts';
import { NodeSqlite } from '../../../../local/sqlite.ts';
import { resolveOptions } from '../../../../src/core/option-table.ts';
import type {
  AppendCommand,
  AppendVerdict,
  MessageEngine,
  MessageRecord,
} from '../../../../src/messages/engine.ts';
import { SqliteMessageEngine } from '../../../../src/messages/engines/sqlite-engine.ts';
import { MessageStore } from '../../../../src/messages/message-store.ts';
import { rowsOf } from '../../../support/connect.ts';
import { ownDatabase } from '../../../support/own-database.ts';

const database = ownDatabase();
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-store-bench-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A run that is over in a moment; 150 others, so that the big category is spread over more than it is itself. */
const TINY = { rounds: 3, others: 150, writers: 3 };
const CLEAN = { refused: 0, lost: 0, duplicated: 0, outOfOrder: 0 };

function parameters(given: Record<string, unknown> = {}) {
  return resolveOptions(STORE_PARAMETERS, { ...TINY, ...given });
}

/** Changes that a test plants into an engine. */
interface Plant {
  append?: (
    commands: readonly AppendCommand[],
    append: MessageEngine['append'],
  ) => Promise<readonly AppendVerdict[]>;
  read?: (records: MessageRecord[]) => MessageRecord[];
  floor?: (floor: FloorTable<MessageRow>) => FloorTable<MessageRow>;
}

/** SQLite in memory, with something wrong. */
function plantedEngine({ append, read, floor }: Plant): Engine<MessageStore, MessageRow> {
  return {
    async create() {
      const sqlite = new NodeSqlite();
      const engine = new SqliteMessageEngine(sqlite);
      const planted: MessageEngine = Object.assign(Object.create(engine) as MessageEngine, {
        append: (commands: readonly AppendCommand[]) =>
          append === undefined
            ? engine.append(commands)
            : append(commands, (others) => engine.append(others)),
        import: engine.import.bind(engine),
        async readStream(order: Parameters<MessageEngine['readStream']>[0]) {
          const records = await engine.readStream(order);
          return read === undefined ? records : read(records);
        },
        async readCategory(order: Parameters<MessageEngine['readCategory']>[0]) {
          const records = await engine.readCategory(order);
          // The audit of writes reads everything; only what is measured is to be wrong.
          return read === undefined || order.category === '' ? records : read(records);
        },
      });
      return {
        openStore: async () => new MessageStore(planted),
        async openFloor(hasIndexes) {
          const table = sqliteFloor(
            MESSAGE_FLOOR,
            {
              exec: (statement) => sqlite.database.exec(statement),
              prepare: (statement) => sqlite.database.prepare(statement),
              transaction: (step) => sqlite.transaction(step),
            },
            hasIndexes,
          );
          return floor === undefined ? table : floor(table);
        },
        settle: async () => {},
        drop: async () => sqlite.close(),
      };
    },
  };
}

function plantedBench(plant: Plant, now = () => performance.now()): JobBench<StoreJob> {
  return new JobRunner(new StorePlan(plantedEngine(plant)), { now });
}

/** A Durable Object of a few lines: each target is its own bench, and jobs travel as JSON. */
function objectBench(): JobBench<StoreJob> {
  const targets = new Map<string, JobBench<StoreJob>>();
  return new RemoteBench<StoreJob>(
    async (name, call, job) => {
      const target = targets.get(name) ?? plantedBench({}, () => 0);
      targets.set(name, target);
      const sent = JSON.parse(JSON.stringify(job)) as StoreJob;
      return call === 'close' ? target.close() : JSON.parse(JSON.stringify(await target[call](sent)));
    },
    storeFixtureKey,
    () => performance.now(),
  );
}

async function run(
  given: Record<string, unknown> = {},
  { plant, reps = 2 }: { plant?: Plant; reps?: number } = {},
): Promise<BenchResult> {
  const chosen = parameters(given);
  const ports = localStorePorts({ folder, target: database.target, workerUrl: undefined, run: 'test' });
  const host = storeHost(
    {
      now: ports.now,
      async open(engine) {
        if (plant !== undefined) return plantedBench(plant);
        return engine === 'object' ? objectBench() : ports.open(engine);
      },
    },
    chosen,
  );
  try {
    return await runSuite({
      suite: storeSuite,
      parameters: chosen,
      reps,
      seed: 1,
      host,
      now: Date.now,
      facts: { tool: {}, machine: {}, database: {} },
    });
  } finally {
    await host.close();
  }
}

function auditOf({ variants }: BenchResult, name: string) {
  const variant = variants.find((candidate) => candidate.name === name);
  if (variant === undefined) throw new Error(`the run has no ${name}`);
  return variant.summary.audit;
}

describe('what is measured', () => {
  const names = (given: Record<string, unknown> = {}) =>
    storeSuite.variants(parameters(given)).map(({ name }) => name);

  test('is every operation on every engine, with one writer and with several', () => {
    const all = names();
    for (const engine of STORE_ENGINES) {
      for (const operation of STORE_OPERATIONS) {
        const isRead = !operation.startsWith('write');
        // How a file is synchronised is nothing that a read notices.
        const isLeftOut = engine === 'full' && isRead;
        expect(all.includes(`${engine} ${operation}`)).toBe(!isLeftOut);
        expect(all.includes(`${engine} ${operation} ×3`)).toBe(!isRead);
      }
    }
    expect(all.filter((name) => name.endsWith('stores'))).toEqual(['postgres write-1 ×3 stores']);
  });

  test('has no second writer where one is asked for, and only the engines and operations that are', () => {
    expect(names({ writers: 1, engines: 'memory', operations: 'write-10,category-big' })).toEqual([
      'memory write-10',
      'floor: memory write-10',
      'indexed: memory write-10',
      'memory category-big',
      'floor: memory category-big',
    ]);
  });

  test('is compared with floors that are measured in the same run', () => {
    for (const given of [{}, { operations: 'category-big' }]) {
      const all = names(given);
      for (const { role, floors = {} } of storeSuite.variants(parameters(given))) {
        expect(Object.keys(floors).length > 0).toBe(role === 'measured');
        for (const floor of Object.values(floors)) expect(all).toContain(floor);
      }
    }
  });

  test('has the figures of EventoDB beside it, as they were given', () => {
    const label = (name: string) =>
      storeSuite.variants(parameters()).find((variant) => variant.name === name)?.labels?.['EventoDB µs'];
    expect(REFERENCES.memory).toMatchObject({ write: 22, read: 30, category: 159 });
    expect(label('memory write-1')).toBe('22');
    expect(label('file category-100')).toBe('169');
    expect(label('postgres read-10')).toBe('target 15000');
    expect(label('full write-10')).toBeUndefined();
    expect(label('memory write-1 ×3')).toBeUndefined();
  });

  test('is in a repetition as many messages as the jobs say', () => {
    const chosen = parameters({ rounds: 1_000 });
    const operations = (
      engine: 'memory' | 'postgres',
      operation: 'write-1' | 'write-1000' | 'category-big',
    ) => storeJobOf({ name: storeVariantName(engine, operation) }, chosen).operations;
    expect(operations('memory', 'write-1')).toBe(10_000);
    expect(operations('postgres', 'write-1')).toBe(1_000);
    expect(operations('postgres', 'write-1000')).toBe(20);
    expect(operations('memory', 'write-1000')).toBe(40);
    expect(operations('memory', 'category-big')).toBe(1_000);
  });

  test('is demanded to reach what the issue asks for', () => {
    const titles = storeSuite.targets?.(parameters({ writers: 10 })).map(({ title }) => title) ?? [];
    expect(titles).toEqual(
      expect.arrayContaining([
        'memory write-1, against its floor',
        'file read-10, against EventoDB',
        'object category-100, against its floor',
        'postgres write-1, against one prepared INSERT',
        'postgres category-big, against postgres category-100',
        'postgres: 10 writers through one store, against one writer',
        'postgres: 10 writers through 10 stores, against one writer',
        'postgres: batches of 1,000',
      ]),
    );
  });
});

describe('a run', () => {
  test('on all engines finds every message, in order, and leaves nothing behind', async () => {
    const result = await run();
    expect(result.state).toBe('complete');
    const chosen = parameters();
    for (const variant of storeSuite.variants(chosen)) {
      const units = storeSuite.unitsPerRep(variant, chosen);
      expect([variant.name, auditOf(result, variant.name)]).toEqual([
        variant.name,
        { ...CLEAN, sent: 2 * units, found: 2 * units },
      ]);
    }
    for (const { name, reps, summary } of result.variants) {
      expect(reps).toHaveLength(2);
      expect(summary.metrics.usPerOperation).toBeGreaterThan(0);
      // A clock that may stand still has nothing to say about a single operation.
      expect([name, typeof summary.metrics.p99Us]).toEqual([
        name,
        name.includes('object') ? 'object' : 'number',
      ]);
      expect([name, typeof summary.metrics.preparedSeconds]).toEqual([
        name,
        name.endsWith('category-big') ? 'number' : 'object',
      ]);
    }
    expect(result.targets?.length).toBeGreaterThan(20);
    expect(await readdir(folder)).toEqual([]);
    expect(
      await rowsOf(
        database.connection,
        `select nspname from pg_namespace where nspname like '${BENCH_SCHEMA_PREFIX}%'`,
      ),
    ).toEqual([]);
  });

  test('of reads only prepares what they read, once', async () => {
    const seen: string[] = [];
    const bench = plantedBench({});
    const chosen = parameters({ engines: 'memory', operations: 'category-big', others: 120_000, rounds: 1 });
    const host = storeHost(
      {
        now: () => performance.now(),
        open: async () => ({
          prepare: async (job) => {
            const missing = await bench.prepare(job);
            seen.push(`${job.strategy} ${missing}`);
            return missing;
          },
          run: (job) => bench.run(job),
          audit: (job) => bench.audit(job),
          close: () => bench.close(),
        }),
      },
      chosen,
    );
    const [big] = storeSuite.variants(chosen);
    if (big === undefined) throw new Error('there is nothing to run');
    const first = await host.run(big, 1, () => {});
    const second = await host.run(big, 2, () => {});
    await host.close();
    expect(seen).toEqual(['store 70100', 'store 20100', 'store 0', 'store 0']);
    expect([first, second].map(({ metrics }) => typeof metrics.preparedSeconds)).toEqual([
      'number',
      'object',
    ]);
    expect(first.audit).toEqual({ ...CLEAN, sent: 100, found: 100 });
  });
});

describe('a run that is wrong is invalid', () => {
  // An engine whose repetitions are no longer than asked for; the plant stands in its place.
  const WRITE = { engines: 'full', operations: 'write-10', writers: 1 };
  const READ = { engines: 'memory', operations: 'read-10', writers: 1 };

  /** The command for one stream, changed or left out; the caller is told that it was written. */
  function spoiling(
    change: (command: AppendCommand) => AppendCommand | undefined,
  ): NonNullable<Plant['append']> {
    return async (commands, append) => {
      const verdicts: AppendVerdict[] = [];
      for (const command of commands) {
        const isTarget = command.appends.some(({ stream }) => stream === 'account-1');
        const changed = isTarget ? change(command) : command;
        const [verdict] = changed === undefined ? [] : await append([changed]);
        verdicts.push(
          isTarget || verdict === undefined
            ? { kind: 'written', ends: [{ position: 9n, globalPosition: 1_000n }] }
            : verdict,
        );
      }
      return verdicts;
    };
  }

  function withMessages(
    change: (
      messages: AppendCommand['appends'][number]['messages'],
    ) => AppendCommand['appends'][number]['messages'],
  ): NonNullable<Plant['append']> {
    return spoiling((command) => ({
      appends: command.appends.map((append) => ({ ...append, messages: change(append.messages) })),
    }));
  }

  test('never without a plant', async () => {
    for (const given of [WRITE, READ])
      expect((await run(given, { plant: {}, reps: 1 })).state).toBe('complete');
  });

  test.each([
    {
      what: 'a write is lost',
      append: spoiling(() => undefined),
      audit: { found: 20, lost: 10, duplicated: 0 },
    },
    {
      what: 'the last message of a write is lost',
      append: withMessages((messages) => messages.slice(0, -1)),
      audit: { found: 29, lost: 1, duplicated: 0 },
    },
    {
      what: 'a message is written twice',
      append: withMessages((messages) => [
        ...messages,
        ...messages.slice(-1).map((message) => ({ ...message, id: crypto.randomUUID() })),
      ]),
      audit: { found: 31, lost: 0, duplicated: 1 },
    },
    {
      what: 'two messages have changed places',
      append: withMessages(([first, second, ...more]) =>
        first === undefined || second === undefined ? [] : [second, first, ...more],
      ),
      audit: { found: 30, lost: 2, duplicated: 2 },
    },
    {
      what: 'a message has lost its data',
      append: withMessages((messages) =>
        messages.map((message, n) => (n === 4 ? { ...message, data: '{}' } : message)),
      ),
      audit: { found: 30, lost: 1, duplicated: 1 },
    },
  ])('when $what', async ({ append, audit }) => {
    const result = await run(WRITE, { plant: { append }, reps: 1 });
    expect(result.state).toBe('invalid');
    expect(auditOf(result, 'full write-10')).toMatchObject({ sent: 30, ...audit });
    expect(auditOf(result, 'floor: full write-10'), 'the control').toMatchObject({
      lost: 0,
      duplicated: 0,
    });
  });

  test('when a write is answered with another place than it has', async () => {
    const result = await run(WRITE, {
      plant: {
        append: async (commands, append) =>
          (await append(commands)).map((verdict) =>
            verdict.kind === 'written'
              ? { ...verdict, ends: verdict.ends.map((end) => ({ ...end, position: end.position + 1n })) }
              : verdict,
          ),
      },
      reps: 1,
    });
    expect(result.state).toBe('invalid');
    expect(auditOf(result, 'full write-10')).toMatchObject({ lost: 0, duplicated: 0, outOfOrder: 3 });
  });

  test.each([
    {
      what: 'leaves out its last message',
      read: (all: MessageRecord[]) => all.slice(0, -1),
      lost: 15,
      doubled: 0,
    },
    {
      what: 'returns a message in the middle twice',
      read: (all: MessageRecord[]) => [...all.slice(0, 5), ...all.slice(4, -1)],
      lost: 75,
      doubled: 75,
    },
    {
      what: 'returns other data, which only the last read is searched for',
      read: (all: MessageRecord[]) =>
        all.map((record, n) =>
          n === 3 ? { ...record, data: record.data.replace('Account', 'account') } : record,
        ),
      lost: 1,
      doubled: 1,
    },
    {
      what: 'returns metadata that nobody wrote',
      read: (all: MessageRecord[]) =>
        all.map((record, n) => (n === 3 ? { ...record, metadata: '{}' } : record)),
      lost: 1,
      doubled: 1,
    },
  ])('when a read $what', async ({ read, lost, doubled }) => {
    const result = await run(READ, { plant: { read }, reps: 1 });
    expect(result.state).toBe('invalid');
    expect(auditOf(result, 'memory read-10')).toMatchObject({ sent: 150, lost, duplicated: doubled });
  });

  test('when a floor does less than it should', async () => {
    const lazy: Plant = {
      floor: (table) => ({ ...table, insert: (rows) => table.insert(rows.slice(1)) }),
    };
    const result = await run(WRITE, { plant: lazy, reps: 1 });
    expect(result.state).toBe('invalid');
    expect(auditOf(result, 'floor: full write-10')).toMatchObject({ sent: 30, found: 27, lost: 3 });
  });
});
