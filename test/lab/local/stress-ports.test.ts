/** Phases in separate processes: real figures of memory, and ends that are no crash of the run. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type LocalStressOptions, localStressPorts } from '../../../lab/local/stress-ports.ts';
import type { PayloadFormat } from '../../../lab/suites/stress/payload-format.ts';
import type { PhaseAnswer, PhaseJob } from '../../../lab/suites/stress/phase.ts';
import type { PhaseOutcome } from '../../../lab/suites/stress/stress-host.ts';
import { ConnectionSlot } from '../../../src/database/connection-slot.ts';
import { rowsOf } from '../../support/connect.ts';
import { FakeTimers } from '../../support/fake-timers.ts';
import { openConnection } from '../../support/open-connection.ts';
import { ownDatabase } from '../../support/own-database.ts';

const database = ownDatabase();
const MIB = 2 ** 20;

let slot: ConnectionSlot;
beforeAll(() => {
  slot = new ConnectionSlot({ open: () => openConnection(database.target), timers: new FakeTimers() });
});
afterAll(() => slot.close());
beforeEach(async () => {
  for (const column of ['bytea', 'jsonb']) {
    await rowsOf(database.connection, `drop table if exists as_${column}`);
    await rowsOf(
      database.connection,
      `create table as_${column} (id bigserial primary key, payload ${column} not null)`,
    );
  }
});

function portsOf(given: Partial<LocalStressOptions> = {}) {
  return localStressPorts({ target: database.target, slot, ...given });
}

function orderOf(format: PayloadFormat, epochs: number): PhaseJob {
  return {
    phase: 'write',
    mode: 'sync',
    format,
    table: format === 'jsonb' ? 'as_jsonb' : 'as_bytea',
    epochs,
    seed: 1,
    concurrency: 1,
    statementTimeoutMs: 0,
    ids: [],
  };
}

function answerOf(outcome: PhaseOutcome | undefined): PhaseAnswer {
  if (outcome === undefined || !('answer' in outcome)) throw new Error(JSON.stringify(outcome));
  return outcome.answer;
}

async function iterate(format: PayloadFormat, epochs: number) {
  const order = orderOf(format, epochs);
  const { write, outcomes } = await writeAnd(order, ['read', 'audit']);
  return { write, read: answerOf(outcomes[0]), audit: answerOf(outcomes[1]) };
}

/** What the gauge says of a record that is written and read; it is audited where records are small. */
async function writeAndRead(format: PayloadFormat, epochs: number) {
  const { write, outcomes } = await writeAnd(orderOf(format, epochs), ['read']);
  return { write, read: answerOf(outcomes[0]) };
}

async function writeAnd(order: PhaseJob, phases: readonly PhaseJob['phase'][]) {
  const ports = portsOf();
  const write = answerOf((await ports.run([order]))[0]);
  const outcomes = await ports.run(phases.map((phase) => ({ ...order, phase, ids: write.ids })));
  return { write, outcomes };
}

function peakMib({ peakAllocBytes }: PhaseAnswer): number {
  return (peakAllocBytes as number) / MIB;
}

test.each(['bson', 'jsonb', 'ndjson_zstd'] as const)(
  'an iteration goes all the way in separate processes (%s)',
  async (format) => {
    const { write, read, audit } = await iterate(format, 500);
    expect(write).toMatchObject({ ids: ['1'], failures: [] });
    expect(read).toMatchObject({ ids: ['1'], failures: [] });
    // Postgres writes jsonb with blanks between its parts.
    if (format === 'jsonb') expect(read.payloadBytes).toBeGreaterThan(write.payloadBytes);
    else expect(read.payloadBytes).toBe(write.payloadBytes);
    expect(audit).toMatchObject({ ids: ['1'], failures: [], isCompared: true });
    for (const { peakAllocBytes, rssDeltaBytes } of [write, read]) {
      expect(peakAllocBytes).toBeGreaterThanOrEqual(0);
      expect(rssDeltaBytes).toBeGreaterThanOrEqual(0);
    }
  },
);

describe('memory', () => {
  /** What a process may differ by from another that does the same: garbage that V8 has not collected yet. */
  const SLACK_MIB = 40;
  /**
   * The same of what was ever resident: V8 collects later when other programs have the processors. Still half of what the
   * larger record would take, and of what the control takes (142 MiB).
   */
  const RSS_SLACK_MIB = 75;

  // 100,000 epochs are 41 MiB of NDJSON, and 12.5 compressed; three times as many are 84 and 25 more.
  test('of ndjson_zstd stays where it is while the record grows, on the way there and back', async () => {
    const small = await writeAndRead('ndjson_zstd', 100_000);
    const large = await writeAndRead('ndjson_zstd', 300_000);
    expect(large.write.payloadBytes / small.write.payloadBytes).toBeCloseTo(3, 1);
    expect(peakMib(large.write) - peakMib(small.write)).toBeLessThan(SLACK_MIB);
    expect(peakMib(large.read) - peakMib(small.read)).toBeLessThan(SLACK_MIB);
    expect((large.write.rssDeltaBytes as number) / MIB).toBeLessThan(RSS_SLACK_MIB);
    expect((large.read.rssDeltaBytes as number) / MIB).toBeLessThan(RSS_SLACK_MIB);
  });

  // The control: the gauge sees a record that is there as a whole.
  test('of jsonb grows with the record', async () => {
    const small = await writeAndRead('jsonb', 20_000);
    const large = await writeAndRead('jsonb', 200_000);
    expect(peakMib(large.write) - peakMib(small.write)).toBeGreaterThan(2 * SLACK_MIB);
    expect(peakMib(large.read) - peakMib(small.read)).toBeGreaterThan(2 * SLACK_MIB);
    expect((large.write.rssDeltaBytes as number) / MIB).toBeGreaterThan(RSS_SLACK_MIB);
    expect((large.read.rssDeltaBytes as number) / MIB).toBeGreaterThan(RSS_SLACK_MIB);
  });
});

describe('a process that ends', () => {
  test('because its heap is full is an outcome, with what it had answered before', async () => {
    const order = orderOf('jsonb', 400);
    const { ids } = answerOf((await portsOf().run([order]))[0]);
    const outcomes = await portsOf({ heapLimitMiB: 64 }).run([
      { ...order, phase: 'read', ids },
      orderOf('jsonb', 1_000_000),
    ]);
    expect(outcomes).toEqual([
      { answer: expect.objectContaining({ ids, failures: [] }) },
      { ended: 'out of memory: the process of this iteration could not hold the record' },
    ]);
    expect(await rowsOf(database.connection, 'select 1 from as_jsonb')).toHaveLength(1);
  });

  test('because the run is closed leaves nothing behind', async () => {
    const ports = portsOf();
    // The process cannot go on: its statement waits for a lock.
    await rowsOf(database.connection, 'begin');
    await rowsOf(database.connection, 'lock table as_jsonb');
    try {
      const running = ports.run([orderOf('jsonb', 100)]);
      await waitingForLock();
      await ports.close();
      expect(await running).toEqual([
        {
          ended:
            'the process of this iteration was killed: by the system for its memory, or after 30 minutes',
        },
      ]);
    } finally {
      await rowsOf(database.connection, 'rollback');
    }
    expect(await rowsOf(database.connection, 'select 1 from as_jsonb')).toHaveLength(0);
  });
});

/** Resolves once a statement of another connection waits for a lock. */
async function waitingForLock(): Promise<void> {
  const watcher = await openConnection(database.target);
  try {
    for (;;) {
      const waiting = await rowsOf(
        watcher,
        `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      if (waiting.length > 0) return;
      await rowsOf(watcher, 'select pg_sleep(0.02)');
    }
  } finally {
    watcher.close();
  }
}
