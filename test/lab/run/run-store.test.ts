import { describe, expect, test } from 'vitest';
import type { RepRecord } from '../../../lab/result.ts';
import type { RunState } from '../../../lab/run/run-state.ts';
import { MAX_KEPT_RUNS, RunStore } from '../../../lab/run/run-store.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';

const STATE: RunState = {
  seed: 7,
  reps: 2,
  parameters: { size: 3 },
  startedAtMs: 1_000,
  warmUpMs: null,
  taken: 0,
  records: {},
  recorded: 0,
  broken: [],
};

function record(order: number): RepRecord {
  return { units: 10, elapsedMs: 100, perSecond: 100, order, rep: order, metrics: {}, audit: null };
}

function open() {
  const sqlite = new NodeSqlite(':memory:');
  return { sqlite, store: new RunStore(sqlite) };
}

describe('a stored run', () => {
  test('comes back as it was, repetitions included, through another store on the same data', () => {
    const { sqlite, store } = open();
    store.create('r1', 'fake', STATE, 5);
    expect(store.beginStep('r1')).toBe(1);
    store.endStep('r1', { ...STATE, warmUpMs: 12 }, { taken: 0, total: 5 }, null);
    for (const order of [1, 2]) {
      store.beginStep('r1');
      const state = { ...STATE, warmUpMs: 12, taken: order, records: { a: [record(order)] } };
      store.endStep('r1', state, { taken: order, total: 5 }, { variant: 'a', record: record(order) });
    }
    const other = new RunStore(sqlite);
    expect(other.state('r1')).toEqual({
      ...STATE,
      warmUpMs: 12,
      taken: 2,
      records: { a: [record(1), record(2)] },
    });
    expect(other.place('r1')).toEqual({ ...other.state('r1'), records: {} });
    expect(other.get('r1')).toEqual({
      id: 'r1',
      suite: 'fake',
      status: 'running',
      createdAtMs: 1_000,
      endedAtMs: null,
      taken: 2,
      total: 5,
      error: null,
    });
  });

  test('counts how often a step has begun, again for each step', () => {
    const { store } = open();
    store.create('r1', 'fake', STATE, 5);
    expect([store.beginStep('r1'), store.beginStep('r1')]).toEqual([1, 2]);
    store.endStep('r1', STATE, { taken: 0, total: 5 }, null);
    expect(store.beginStep('r1')).toBe(1);
  });

  test('has facts once they are known', () => {
    const { store } = open();
    store.create('r1', 'fake', STATE, 5);
    expect(store.facts('r1')).toBeUndefined();
    store.saveFacts('r1', { tool: { name: 't' }, machine: {}, database: {} });
    expect(store.facts('r1')).toEqual({ tool: { name: 't' }, machine: {}, database: {} });
  });

  test('ends once: what comes later changes nothing', () => {
    const { store } = open();
    store.create('r1', 'fake', STATE, 5);
    store.end('r1', 'aborted', 2_000);
    store.end('r1', 'failed', 3_000, 'too late');
    expect(store.get('r1')).toMatchObject({ status: 'aborted', endedAtMs: 2_000, error: null });
    expect(store.eventsAfter('r1', 0).map(({ kind }) => kind)).toEqual(['state', 'end']);
  });
});

test('events count from 1 without gaps for each run, and are read from any of them on', () => {
  const { store } = open();
  store.create('r1', 'fake', STATE, 2);
  store.beginStep('r1');
  store.endStep('r1', STATE, { taken: 0, total: 2 }, null);
  store.beginStep('r1');
  store.endStep('r1', STATE, { taken: 1, total: 2 }, { variant: 'a', record: record(1) });
  store.end('r1', 'complete', 2_000);
  store.create('r2', 'fake', STATE, 2);
  const events = store.eventsAfter('r1', 0);
  expect(events.map(({ id, kind }) => [id, kind])).toEqual([
    [1, 'state'],
    [2, 'state'],
    [3, 'state'],
    [4, 'repetition'],
    [5, 'end'],
  ]);
  expect(events[3]?.data).toMatchObject({ variant: 'a', rep: 1, perSecond: 100, taken: 1, total: 2 });
  expect(store.eventsAfter('r1', 3)).toEqual(events.slice(3));
  expect(store.eventsAfter('r1', 5)).toEqual([]);
  expect(store.eventsAfter('r2', 0).map(({ id }) => id)).toEqual([1]);
});

describe('one run at a time', () => {
  test('a second one is refused until the first has ended', () => {
    const { store } = open();
    store.create('r1', 'fake', STATE, 2);
    expect(() => store.create('r2', 'fake', STATE, 2)).toThrow(/The run r1 is under way/);
    store.beginStep('r1');
    expect(() => store.create('r2', 'fake', STATE, 2)).toThrow(/The run r1 is under way/);
    expect(store.active()?.id).toBe('r1');
    store.end('r1', 'complete', 2_000);
    expect(store.active()).toBeUndefined();
    expect(store.create('r2', 'fake', STATE, 2).status).toBe('queued');
  });
});

describe('runs that are over', () => {
  test('are listed, the last first, and kept up to a number', () => {
    const { sqlite, store } = open();
    for (let number = 1; number <= MAX_KEPT_RUNS + 3; number += 1) {
      store.create(`r${number}`, 'fake', STATE, 2);
      store.beginStep(`r${number}`);
      store.endStep(`r${number}`, STATE, { taken: 1, total: 2 }, { variant: 'a', record: record(1) });
      store.end(`r${number}`, 'complete', 2_000);
    }
    const ids = store.list().map(({ id }) => id);
    expect(ids).toHaveLength(MAX_KEPT_RUNS);
    expect(ids[0]).toBe(`r${MAX_KEPT_RUNS + 3}`);
    expect(() => store.get('r1')).toThrow(/no run "r1"/);
    const [left] = sqlite.run<{ runs: number }>('select count(distinct run) as runs from bench_records');
    expect(left?.runs).toBe(MAX_KEPT_RUNS);
  });

  test('are forgotten when asked to; one that is under way is not', () => {
    const { store } = open();
    store.create('r1', 'fake', STATE, 2);
    expect(() => store.delete('r1')).toThrow(/cancel it first/);
    store.end('r1', 'complete', 2_000);
    store.delete('r1');
    expect(store.list()).toEqual([]);
    expect(() => store.delete('r1')).toThrow(/no run/);
  });
});
