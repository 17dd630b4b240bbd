import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../../../lab/jobs/fixture.ts';
import type { FloorTable } from '../../../../lab/jobs/floor-table.ts';
import type { JobBench } from '../../../../lab/jobs/job.ts';
import { type Gauges, JobRunner } from '../../../../lab/jobs/job-runner.ts';
import { BENCH_SCHEMA_PREFIX } from '../../../../lab/jobs/postgres-engine.ts';
import { RemoteBench } from '../../../../lab/jobs/remote-bench.ts';
import { sqliteFloor } from '../../../../lab/jobs/sqlite-floor.ts';
import { nodeHeap } from '../../../../lab/local/heap.ts';
import { localDcbPorts } from '../../../../lab/local/job-ports.ts';
import type { BenchResult } from '../../../../lab/result.ts';
import { runSuite } from '../../../../lab/run/runner.ts';
import { directStore, httpStore } from '../../../../lab/suites/dcb/bench-store.ts';
import type { BenchedEvents } from '../../../../lab/suites/dcb/fixture.ts';
import { EVENT_FLOOR, type EventRow } from '../../../../lab/suites/dcb/floor.ts';
import { dcbHost } from '../../../../lab/suites/dcb/host.ts';
import { DCB_ENGINES, DCB_OPERATIONS, type DcbJob, dcbTargetOf } from '../../../../lab/suites/dcb/job.ts';
import { DCB_PARAMETERS } from '../../../../lab/suites/dcb/parameters.ts';
import { DcbPlan } from '../../../../lab/suites/dcb/plan.ts';
import { REFERENCES } from '../../../../lab/suites/dcb/references.ts';
import { dcbSuite } from '../../../../lab/suites/dcb/suite.ts';
import { FLAT_HEAP_MIB } from '../../../../lab/suites/dcb/targets.ts';
import { dcbJobOf, dcbVariantName } from '../../../../lab/suites/dcb/variants.ts';
import { NodeSqlite } from '../../../../local/sqlite.ts';
import { httpStatus, toProblem } from '../../../../src/core/errors.ts';
import { resolveOptions } from '../../../../src/core/option-table.ts';
import { textCodec } from '../../../../src/events/codec.ts';
import type {
  AppendCommand,
  AppendVerdict,
  EventEngine,
  EventRecord,
} from '../../../../src/events/engine.ts';
import { SqliteEventEngine } from '../../../../src/events/engines/sqlite-engine.ts';
import { EventStore } from '../../../../src/events/event-store.ts';
import { answerAppend, answerRead, httpErrorOf } from '../../../../src/events/http/answers.ts';
import { readRequest } from '../../../../src/events/http/requests.ts';
import { rowsOf } from '../../../support/connect.ts';
import { ownDatabase } from '../../../support/own-database.ts';

const database = ownDatabase();
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-dcb-bench-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A run that is over in a moment. */
const SHORT = { rounds: 4, sets: 'tiny', appenders: '1,20' };
const CLEAN = { lost: 0, duplicated: 0, outOfOrder: 0 };

function parameters(given: Record<string, unknown> = {}) {
  return resolveOptions(DCB_PARAMETERS, { ...SHORT, ...given });
}

/** Changes that a test plants into an engine. */
interface Plant {
  append?: (
    commands: readonly AppendCommand[],
    append: EventEngine['append'],
  ) => Promise<readonly AppendVerdict[]>;
  /** Of reads that ask for something; what everything is asked for is the audit's. */
  read?: (records: EventRecord[]) => EventRecord[];
  /** Of those that ask for everything. */
  readAll?: (records: EventRecord[]) => EventRecord[];
  floor?: (floor: FloorTable<EventRow>) => FloorTable<EventRow>;
}

/** SQLite in memory, with something wrong. */
function plantedEngine(
  { append, read, readAll, floor }: Plant,
  openStore: (events: EventStore, engine: EventEngine) => ReturnType<typeof directStore> = directStore,
): Engine<BenchedEvents, EventRow> {
  return {
    async create() {
      const sqlite = new NodeSqlite();
      const engine = new SqliteEventEngine(sqlite);
      const planted: EventEngine = {
        append: (commands) =>
          append === undefined
            ? engine.append(commands)
            : append(commands, (others) => engine.append(others)),
        async read(order) {
          const records = await engine.read(order);
          const change = order.query === 'all' ? readAll : read;
          return change === undefined ? records : change(records);
        },
        head: () => engine.head(),
        clear: () => engine.clear(),
      };
      const events = new EventStore(planted);
      return {
        openStore: async () => ({ events, store: openStore(events, planted) }),
        async openFloor(hasIndex) {
          const table = sqliteFloor(
            EVENT_FLOOR,
            {
              exec: (statement) => sqlite.database.exec(statement),
              prepare: (statement) => sqlite.database.prepare(statement),
              transaction: (step) => sqlite.transaction(step),
            },
            hasIndex,
          );
          return floor === undefined ? table : floor(table);
        },
        settle: async () => {},
        drop: async () => sqlite.close(),
      };
    },
  };
}

/** The store as clients of the HTTP interface have it, without a network. */
function overHttp(_: EventStore, engine: EventEngine): ReturnType<typeof directStore> {
  const store = new EventStore<string>(engine, { codec: textCodec });
  return httpStore(async (path, init) => {
    const url = new URL(path, 'http://namespace');
    try {
      if (url.pathname === '/append') return new Response(await answerAppend(store, init?.body ?? ''));
      return new Response((await answerRead(store, readRequest(url.searchParams))) as string);
    } catch (error) {
      const problem = toProblem(httpErrorOf(error, () => {}));
      return Response.json(problem, { status: httpStatus(problem.code as never) });
    }
  });
}

function benchOf(engine: Engine<BenchedEvents, EventRow>, gauges: Partial<Gauges> = {}): JobBench<DcbJob> {
  return new JobRunner(new DcbPlan(engine), { now: () => performance.now(), ...gauges });
}

/** A Durable Object of a few lines: each target is its own bench, and jobs travel as JSON. */
function objectBench(engine: Engine<BenchedEvents, EventRow>): JobBench<DcbJob> {
  const targets = new Map<string, JobBench<DcbJob>>();
  return new RemoteBench<DcbJob>(
    async (name, call, job) => {
      const target = targets.get(name) ?? benchOf(engine, { now: () => 0, tellsLatency: false });
      targets.set(name, target);
      const sent = JSON.parse(JSON.stringify(job)) as DcbJob;
      return call === 'close' ? target.close() : JSON.parse(JSON.stringify(await target[call](sent)));
    },
    dcbTargetOf,
    () => performance.now(),
  );
}

async function run(
  given: Record<string, unknown> = {},
  { plant, reps = 2 }: { plant?: Plant; reps?: number } = {},
): Promise<BenchResult> {
  const chosen = parameters(given);
  const ports = localDcbPorts({ folder, target: database.target, workerUrl: undefined, run: 'test' });
  const host = dcbHost(
    {
      now: ports.now,
      async open(engine) {
        if (plant !== undefined) return benchOf(plantedEngine(plant));
        if (engine === 'object') return objectBench(plantedEngine({}, overHttp));
        return engine === 'object-sqlite' ? objectBench(plantedEngine({})) : ports.open(engine);
      },
    },
    chosen,
    1,
  );
  try {
    return await runSuite({
      suite: dcbSuite,
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

function variantOf({ variants }: BenchResult, name: string) {
  const variant = variants.find((candidate) => candidate.name === name);
  if (variant === undefined) throw new Error(`the run has no ${name}`);
  return variant;
}

const auditOf = (result: BenchResult, name: string) => variantOf(result, name).summary.audit;

describe('what is measured', () => {
  const names = (given: Record<string, unknown> = {}) =>
    dcbSuite.variants(parameters(given)).map(({ name }) => name);

  test('is every operation on every engine; through an object, what is appended', () => {
    const all = names({ appenders: '1,10,20,100', sets: 'small' });
    for (const engine of DCB_ENGINES) {
      for (const operation of DCB_OPERATIONS) {
        const isRead = operation.startsWith('read') || operation.startsWith('project');
        expect([engine, operation, all.includes(`${engine} small ${operation}`)]).toEqual([
          engine,
          operation,
          !(engine === 'object' && isRead),
        ]);
        const isConditional = !isRead && !operation.startsWith('append');
        for (const clients of [10, 20, 100]) {
          const isFew = clients !== 20 && engine !== 'postgres' && engine !== 'object';
          expect(all.includes(`${engine} small ${operation} ×${clients}`)).toBe(isConditional && !isFew);
        }
      }
    }
  });

  test('reads nothing of a set that is empty, nor of the one that is only there to be appended to', () => {
    for (const sets of ['fresh', '100k']) {
      const all = names({ sets, engines: 'postgres' });
      expect(all).toContain(`postgres ${sets} if-own`);
      expect(all.filter((name) => /read|project/.test(name))).toEqual([]);
    }
  });

  test('has its bare statements once, whatever the sets, where they do not depend on them', () => {
    const all = names({
      sets: 'tiny,small',
      engines: 'postgres,object',
      operations: 'append-10,race,read-simple',
    });
    expect(all.filter((name) => /^(floor|indexed)/.test(name)).toSorted()).toEqual([
      'floor: postgres append-1',
      'floor: postgres append-10',
      'indexed: postgres append-1',
      'indexed: postgres append-10',
      'indexed: postgres small read-simple',
      'indexed: postgres tiny read-simple',
    ]);
  });

  test('is compared with floors that are measured in the same run, beside it', () => {
    for (const given of [{}, { engines: 'object' }, { operations: 'conflict,read-stream' }]) {
      const variants = dcbSuite.variants(parameters(given));
      for (const { name, role, beside, floors = {} } of variants) {
        if (role === 'floor') expect(floors).toEqual({});
        for (const floor of Object.values(floors)) {
          const found = variants.find((candidate) => candidate.name === floor);
          expect([name, found?.role, found?.beside]).toEqual([name, 'floor', beside]);
        }
      }
    }
  });

  test('has the figures of go-crablet beside it, those that say nothing in brackets', () => {
    const label = (name: string) =>
      dcbSuite.variants(parameters({ sets: 'tiny,small' })).find((variant) => variant.name === name)
        ?.labels?.['go-crablet'];
    expect(
      (['append-1', 'append-10', 'append-100', 'append-1000'] as const).map(
        (operation) => REFERENCES[operation]?.eventsPerSecond,
      ),
    ).toEqual([578, 2_028, 2_088, 2_155]);
    expect(label('postgres small append-1000')).toBe('2,155/s');
    expect(label('postgres small read-simple')).toBe('(2.42 ms)');
    expect(label('postgres tiny append-1')).toBeUndefined();
    expect(label('postgres small race ×20')).toBeUndefined();
    const notes = dcbSuite.notes(parameters()).join('\n');
    expect(notes).toContain('project-1: its projectors ask for an empty tag');
  });

  test('is in a repetition as much as the jobs say', () => {
    const jobOf = (name: string) =>
      dcbJobOf({ name }, parameters({ rounds: 2_000, sets: 'small,medium' }), 7);
    expect(jobOf('postgres small append-1000')).toEqual({
      engine: 'postgres',
      set: 'small',
      seed: 7,
      operation: 'append-1000',
      strategy: 'store',
      through: 'rpc',
      clients: 1,
      operations: 40,
    });
    expect(jobOf('postgres small if-own').operations).toBe(2_000);
    expect(jobOf('postgres small if-own ×20').operations).toBe(4_000);
    expect(jobOf('memory small if-own').operations).toBe(8_000);
    expect(jobOf('postgres medium read-stream').operations).toBe(1);
    expect(() => jobOf('postgres small nothing')).toThrow(RangeError);
  });

  test('is demanded to reach what the issue asks for', () => {
    const targets = dcbSuite.targets?.(parameters()) ?? [];
    const demanded = targets.map(({ variant, metric, per, bound }) => [variant, metric, per, bound]);
    expect(demanded).toEqual(
      expect.arrayContaining([
        ['postgres small append-1000', 'perSecond', undefined, { atLeast: 100_000 }],
        ['object fresh if-own ×20', 'perSecond', undefined, { atLeast: 5_000 }],
        ['object 100k if-own ×20', 'perSecond', undefined, { atLeast: 5_000 }],
        ['object small race ×10', 'perSecond', undefined, { atLeast: 500 }],
        ['postgres small race ×10', 'perSecond', undefined, { atLeast: 500 }],
        [
          'postgres small read-simple',
          'usPerOperation',
          'indexed: postgres small read-simple',
          { atMost: 1.5 },
        ],
        ['postgres medium read-stream', 'peakHeapMiB', undefined, { atMost: FLAT_HEAP_MIB }],
        ['postgres small append-1', 'perSecond', undefined, { atLeast: 578 }],
      ]),
    );
    // Each of them is about something that a full run measures.
    const all = dcbSuite
      .variants(resolveOptions(DCB_PARAMETERS, dcbSuite.presets.full))
      .map(({ name }) => name);
    for (const { variant, per = variant } of targets) {
      expect(all).toContain(variant);
      expect(all).toContain(per);
    }
    expect(dcbVariantName('postgres', 'small', 'append-1', 'floor')).toBe('floor: postgres append-1');
  });
});

describe('a run', () => {
  test('on all engines finds every event, in order, and leaves nothing behind', async () => {
    const result = await run();
    expect(result.state).toBe('complete');
    for (const { name, role, reps, summary } of result.variants) {
      expect(reps).toHaveLength(2);
      const { audit, metrics } = summary;
      expect([name, audit]).toEqual([name, { ...audit, ...CLEAN }]);
      expect(audit?.sent).toBeGreaterThan(0);
      expect((audit?.found ?? 0) + (audit?.refused ?? 0)).toBe(audit?.sent);
      expect(metrics.usPerOperation).toBeGreaterThan(0);
      // A clock that may stand still has nothing to say about a single attempt, and an object nothing about its heap.
      const isRemote = name.includes('object');
      expect([name, typeof metrics.p99Us]).toEqual([name, isRemote ? 'object' : 'number']);
      const isHeapKnown = !isRemote && role === 'measured' && !name.includes('×');
      expect([name, typeof metrics.heapBytesPerOperation]).toEqual([name, isHeapKnown ? 'number' : 'object']);
      expect([name, typeof metrics.peakHeapMiB]).toEqual([
        name,
        isHeapKnown && name.endsWith('read-stream') ? 'number' : 'object',
      ]);
    }
    expect(await readdir(folder)).toEqual([]);
    expect(
      await rowsOf(
        database.connection,
        `select nspname from pg_namespace where nspname like '${BENCH_SCHEMA_PREFIX}%'`,
      ),
    ).toEqual([]);
  });

  test('counts wins and conflicts, which are the attempts', async () => {
    const result = await run({
      engines: 'memory,postgres,object',
      rounds: 20,
      operations: 'if-own,if-shared,conflict,race,race-blind',
    });
    for (const { name, role, reps } of result.variants) {
      if (role === 'floor') continue;
      const { operations, clients, operation } = dcbJobOf({ name }, parameters({ rounds: 20 }), 1);
      for (const { units, metrics } of reps) {
        const { wins, conflicts } = metrics as { wins: number; conflicts: number };
        expect([name, wins + conflicts]).toEqual([name, operations]);
        expect(units).toBe(operation === 'conflict' ? conflicts : wins);
        if (operation === 'if-own' || operation === 'if-shared') expect(conflicts).toBe(0);
        if (operation === 'conflict') expect(wins).toBe(0);
        if (operation.startsWith('race')) {
          expect(wins).toBeGreaterThan(0);
          // Several that read the same and try at once: one of them wins.
          expect([name, conflicts > 0]).toEqual([name, clients > 1]);
        }
      }
    }
  });

  test('projects states that are not empty, and reads what it says', async () => {
    const result = await run({
      engines: 'memory',
      operations: 'project-1,project-5,read-complex,read-stream',
    });
    for (const name of ['project-1', 'project-5', 'read-complex', 'read-stream']) {
      const { summary, reps } = variantOf(result, `memory tiny ${name}`);
      expect(summary.audit?.found).toBeGreaterThan(0);
      for (const { units } of reps) expect(units).toBeGreaterThan(0);
    }
    // Five states for each run of it: four before the clock, as many with it.
    expect((auditOf(result, 'memory tiny project-5')?.sent ?? 0) % 5).toBe(0);
  });

  test('makes a set again that repetitions have added much to', async () => {
    let made = 0;
    const engine = plantedEngine({});
    const bench = benchOf({
      create() {
        made += 1;
        return engine.create();
      },
    });
    const job = dcbJobOf(
      { name: 'memory 100k append-1' },
      parameters({ sets: '100k', engines: 'memory', rounds: 1 }),
      1,
    );
    for (let repetition = 0; repetition < 2; repetition += 1) {
      let missing = await bench.prepare(job);
      const steps = [missing];
      while (missing > 0) {
        missing = await bench.prepare(job);
        steps.push(missing);
      }
      expect(steps).toEqual(repetition === 0 ? [80_000, 60_000, 40_000, 20_000, 0] : [0]);
      await bench.run(job);
      expect(await bench.audit(job)).toMatchObject(CLEAN);
    }
    expect(made).toBe(1);
    const fresh: DcbJob = { ...job, set: 'fresh' };
    for (let repetition = 0; repetition < 2; repetition += 1) {
      await bench.prepare(fresh);
      await bench.run(fresh);
      await bench.audit(fresh);
    }
    expect(made).toBe(3);
    await bench.close();
  });

  test('tells a heap that is flat from one that is not', async () => {
    const peakOf = async (plant: Plant): Promise<number> => {
      const bench = benchOf(plantedEngine(plant), { heap: nodeHeap() });
      const job = dcbJobOf(
        { name: 'memory small read-stream' },
        parameters({ engines: 'memory', sets: 'small' }),
        1,
      );
      while ((await bench.prepare(job)) > 0);
      const { peakHeapBytes } = await bench.run(job);
      expect(await bench.audit(job)).toMatchObject(CLEAN);
      await bench.close();
      return (peakHeapBytes ?? 0) / (1024 * 1024);
    };
    expect(await peakOf({})).toBeLessThan(FLAT_HEAP_MIB);
    const kept: EventRecord[] = [];
    const hoards = (all: EventRecord[]): EventRecord[] => {
      kept.push(...all);
      return all;
    };
    // A fifth of the medium set is far beyond what that may take.
    expect(await peakOf({ readAll: hoards })).toBeGreaterThan(2 * FLAT_HEAP_MIB);
    expect(kept.length).toBeGreaterThan(60_000);
  });

  test('refuses to run what was not prepared', async () => {
    const bench = benchOf(plantedEngine({}), { now: () => 0 });
    const job = dcbJobOf({ name: 'memory tiny append-1' }, parameters(), 1);
    await expect(bench.run(job)).rejects.toThrow('nothing prepared');
    expect(await bench.prepare(job)).toBe(0);
    await bench.run(job);
    await bench.close();
  });
});

describe('a run that is wrong is invalid', () => {
  const isOurs = (command: AppendCommand, attempt: number): boolean =>
    command.events.some(({ tags }) => tags.includes(`iteration:${attempt}`));

  test('never without a plant', async () => {
    expect((await run({ engines: 'memory' }, { plant: {}, reps: 1 })).state).toBe('complete');
  });

  test('when an append is answered and not there', async () => {
    const append: NonNullable<Plant['append']> = async (commands, others) => {
      const kept = commands.filter((command) => !isOurs(command, 1));
      const verdicts = [...(kept.length === 0 ? [] : await others(kept))];
      return commands.map((command) =>
        isOurs(command, 1)
          ? { kind: 'appended', position: 1_000n, isRepeated: false }
          : (verdicts.shift() as AppendVerdict),
      );
    };
    const result = await run({ engines: 'memory', operations: 'append-10' }, { plant: { append }, reps: 1 });
    expect(result.state).toBe('invalid');
    expect(auditOf(result, 'memory tiny append-10')).toMatchObject({ lost: 10, duplicated: 0 });
    expect(auditOf(result, 'floor: memory append-10'), 'the control').toMatchObject(CLEAN);
  });

  test('when conditions are not looked at: several win a race', async () => {
    const append: NonNullable<Plant['append']> = (commands, others) =>
      others(commands.map((command) => ({ ...command, condition: null })));
    const result = await run(
      { engines: 'memory', operations: 'race,if-shared' },
      { plant: { append }, reps: 1 },
    );
    expect(result.state).toBe('invalid');
    expect(auditOf(result, 'memory tiny race ×20')?.outOfOrder).toBeGreaterThan(0);
    expect(auditOf(result, 'memory tiny if-shared ×20'), 'the control').toMatchObject(CLEAN);
  });

  test('when a condition is refused that holds', async () => {
    const append: NonNullable<Plant['append']> = async (commands, others) =>
      (await others(commands)).map((verdict, index) =>
        isOurs(commands[index] as AppendCommand, 2) && verdict.kind === 'appended'
          ? { kind: 'conflict', position: verdict.position }
          : verdict,
      );
    const result = await run({ engines: 'memory', operations: 'if-own' }, { plant: { append }, reps: 1 });
    expect(result.state).toBe('invalid');
  });

  test('when a conflict names another event than the first', async () => {
    const append: NonNullable<Plant['append']> = async (commands, others) =>
      (await others(commands)).map((verdict) =>
        verdict.kind === 'conflict' ? { ...verdict, position: verdict.position + 1n } : verdict,
      );
    const result = await run({ engines: 'memory', operations: 'conflict' }, { plant: { append }, reps: 1 });
    expect(result.state).toBe('invalid');
    expect(auditOf(result, 'memory tiny conflict')).toMatchObject({ lost: 0, duplicated: 0 });
  });

  test.each([
    {
      operation: 'read-simple',
      what: 'leaves out its last event',
      change: (all: EventRecord[]) => all.slice(0, -1),
    },
    {
      operation: 'read-complex',
      what: 'returns an event twice',
      change: (all: EventRecord[]) => [...all.slice(0, 1), ...all],
    },
    {
      operation: 'read-simple',
      what: 'returns other data in the middle, which only a full look finds',
      change: (all: EventRecord[]) =>
        all.map((record, index) => (index === 1 && all.length > 2 ? { ...record, data: '{}' } : record)),
    },
    {
      operation: 'project-1',
      what: 'returns nothing, so that what is projected is empty',
      change: () => [],
    },
    { operation: 'project-5', what: 'leaves out an event', change: (all: EventRecord[]) => all.slice(1) },
  ])('when $operation $what', async ({ operation, change }) => {
    const result = await run(
      { engines: 'memory', operations: operation },
      { plant: { read: change }, reps: 1 },
    );
    expect(result.state).toBe('invalid');
    expect(auditOf(result, `memory tiny ${operation}`)?.lost).toBeGreaterThan(0);
  });

  test.each([
    { what: 'leaves out the last event', change: (all: EventRecord[]) => all.slice(0, -1) },
    {
      what: 'returns other tags in the middle',
      change: (all: EventRecord[]) =>
        all.map((record, index) => (index === 7 ? { ...record, tags: ['course:c99'] } : record)),
    },
  ])('when read-stream $what', async ({ change }) => {
    const given = { engines: 'memory', operations: 'read-stream' };
    const result = await run(given, { plant: { readAll: change }, reps: 1 });
    expect(result.state).toBe('invalid');
    expect(auditOf(result, 'memory tiny read-stream')?.lost).toBeGreaterThan(0);
  });

  test('when a floor does less than it should', async () => {
    const lazy: Plant = {
      floor: (table) => ({ ...table, insert: (rows) => table.insert(rows.slice(1)) }),
    };
    const result = await run({ engines: 'memory', operations: 'append-10' }, { plant: lazy, reps: 1 });
    expect(result.state).toBe('invalid');
    expect(auditOf(result, 'floor: memory append-10')).toMatchObject({ lost: 4 });
  });
});
