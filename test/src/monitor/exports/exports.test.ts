import { expect, test } from 'vitest';
import type { Exporter, NewFigures } from '../../../../src/monitor/exports/exporter.ts';
import { Exports } from '../../../../src/monitor/exports/exports.ts';
import type { ShardReport } from '../../../../src/monitor/shard-report.ts';
import { fullSources } from '../full-report.ts';
import { reportOf } from '../reports.ts';

function start(push: Exporter['push'] = async () => {}) {
  const pushed: NewFigures[] = [];
  const faults: unknown[] = [];
  const exporter: Exporter = {
    name: 'noted',
    counts: { sent: 3, lost: 1 },
    push(figures) {
      pushed.push(figures);
      return push(figures);
    },
  };
  const exports = new Exports([exporter], {
    about: () => ({ version: '1', own: [] }),
    onFault: (fault) => faults.push(fault),
  });
  const add = (atMs: number, report: Partial<ShardReport> = {}) =>
    exports.add({ report: { ...reportOf(), ...report }, receivedAtMs: atMs });
  const told = () =>
    pushed.map(({ nowMs, reports }) => [
      nowMs,
      ...reports.map(({ report }) => `${report.shard}:${report.number}`),
    ]);
  return { add, told, pushed, faults, exports };
}

test('what is new is told every ten seconds while reports come, with the latest of each shard', async () => {
  const { add, told } = start();
  await add(10_000);
  for (let second = 11; second <= 20; second += 1) {
    await add(second * 1_000, { number: second });
    await add(second * 1_000 + 1, { shard: 1, number: second });
  }
  expect(told()).toEqual([
    [10_000, '0:1'],
    [19_000, '0:19', '1:18'],
  ]);
});

test('the last word of a shard is told at once, so that nothing is left to be told', async () => {
  const { add, told } = start();
  await add(10_000);
  await add(11_000, { shard: 1 });
  await add(12_000, { isLast: true, number: 2 });
  expect(told().slice(1)).toEqual([[12_000, '1:1', '0:2']]);
});

test('the view of a database is told once', async () => {
  const { add, pushed } = start();
  const [database] = fullSources().databases;
  await add(0, { database: database ?? null });
  await add(10_000, { number: 2 });
  expect(pushed.map(({ databases }) => databases.length)).toEqual([1, 0]);
});

test('many shards at once are told before they take much memory', async () => {
  const { add, pushed } = start();
  await add(0);
  for (let shard = 1; shard <= 300; shard += 1) await add(1, { shard });
  expect(pushed.map(({ reports }) => reports.length)).toEqual([1, 256]);
});

test('an exporter that fails disturbs nobody', async () => {
  const { add, faults, pushed } = start(() => {
    throw new Error('it fails');
  });
  await add(0);
  await add(10_000);
  expect([pushed.length, faults.length]).toEqual([2, 2]);
});

test('without exporters nothing is kept', async () => {
  const exports = new Exports([], { about: () => ({ version: '1', own: [] }), onFault: () => {} });
  await exports.add({ report: reportOf(), receivedAtMs: 0 });
  expect(exports.samples()).toEqual([]);
});

test('what was sent and lost are metrics of the monitor', () => {
  expect(start().exports.samples()).toEqual([
    ['export_points_sent_total', 'noted', 3],
    ['export_points_lost_total', 'noted', 1],
  ]);
});
