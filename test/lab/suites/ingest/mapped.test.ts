/** Messages of the bench that are mapped to columns, and the audit of their tables. */

import { describe, expect, test } from 'vitest';
import type { AuditInput } from '../../../../lab/suites/ingest/audit.ts';
import { createTablesOf, mappedTablesOf, sinkOfSpec } from '../../../../lab/suites/ingest/bench-form.ts';
import { type BenchSinkSpec, benchTableName } from '../../../../lab/suites/ingest/bench-sink.ts';
import { INGEST_PARAMETERS } from '../../../../lab/suites/ingest/ingest-parameters.ts';
import { IngestTables } from '../../../../lab/suites/ingest/ingest-tables.ts';
import { auditMapped } from '../../../../lab/suites/ingest/mapped-audit.ts';
import type { MappedTable } from '../../../../lab/suites/ingest/mapped-sink.ts';
import { benchPayload, benchProducer } from '../../../../lab/suites/ingest/payload.ts';
import { readBenchTarget } from '../../../../lab/workers/target.ts';
import { resolveOptions } from '../../../../src/core/option-table.ts';
import type { Connection } from '../../../../src/database/connection.ts';
import type { ConnectionSlot } from '../../../../src/database/connection-slot.ts';
import { writingOf } from '../../../../src/writers/writers.ts';
import { batchOf } from '../../../src/writers/contract.ts';
import { freshName, rowsOf } from '../../../support/connect.ts';
import { ownDatabase } from '../../../support/own-database.ts';

const RUN = 'run1';
const MESSAGES = 400;

describe.each([
  { form: 'mapped', rows: [400] },
  // Of 97 messages 70 are mild, and of 31 messages 11 are humid.
  { form: 'routed', rows: [292, 108, 140] },
] as const)('the audit of $form', ({ form, rows }) => {
  const database = ownDatabase();

  test('is clean after the writer, and finds what is missing, twice, altered, or in the wrong table', async () => {
    const { connection } = database;
    const spec: BenchSinkSpec = {
      table: freshName('form'),
      column: 'jsonb',
      options: { writer: 'copy' },
      form,
    };
    for (const statement of createTablesOf(spec)) await rowsOf(connection, statement);
    const tables = mappedTablesOf(spec) as MappedTable[];
    const names = tables.map(({ table }) => benchTableName(table));
    for (const client of [0, 1]) {
      const producer = benchProducer(RUN, client);
      const messages = Array.from({ length: MESSAGES }, (_, n) => ({
        producer,
        sequence: n + 1,
        payload: benchPayload(producer, n),
      }));
      await writingOf(sinkOfSpec(spec)).create()(batchOf(messages))(connection);
    }
    const counts: unknown[] = [];
    for (const name of names)
      counts.push(...(await rowsOf<{ n: number }>(connection, `select count(*)::int as n from ${name}`)));
    expect(counts).toEqual(rows.map((count) => ({ n: 2 * count })));
    const input: AuditInput = {
      table: spec.table,
      run: RUN,
      clients: 2,
      messagesPerClient: MESSAGES,
      refused: 0,
    };
    const found = 2 * rows.reduce((sum, count) => sum + count, 0);
    const clean = { sent: 2 * MESSAGES, refused: 0, found, lost: 0, duplicated: 0, outOfOrder: 0 };
    const audit = () => auditMapped(connection.db, input, tables);
    expect(await audit()).toEqual(clean);

    const last = names.at(-1) as string;
    // The message 30 is mild and humid.
    await rowsOf(connection, `delete from ${last} where n = 30 and producer = '${RUN}-1'`);
    expect(await audit()).toEqual({ ...clean, found: found - 1, lost: 1 });
    const columns = 'producer, epoch, sequence, device, n, temperature, received_at, rest';
    const again = (from: string, n: number) =>
      `insert into ${last} (${columns}) select ${columns} from ${from} where n = ${n} and producer = '${RUN}-1'`;
    await rowsOf(connection, again(last, 399));
    expect(await audit()).toEqual({ ...clean, lost: 1, duplicated: 1 });
    await rowsOf(
      connection,
      `update ${names[0]} set temperature = temperature + 0.1 where n = 1 and producer = '${RUN}-0'`,
    );
    expect(await audit()).toEqual({ ...clean, lost: 2, duplicated: 2 });
    if (form === 'mapped') return;
    // Not a humid one.
    await rowsOf(connection, again(names[0] as string, 2));
    expect(await audit()).toEqual({ ...clean, found: found + 1, lost: 2, duplicated: 3 });
  });
});

describe('the tables of the suite', () => {
  const database = ownDatabase();

  test('are made for every kind of sink, and all of them dropped', async () => {
    const parameters = resolveOptions(INGEST_PARAMETERS, { modes: 'copy', sinks: 'plain,mapped,routed' });
    const slot = { use: (work: (connection: Connection) => unknown) => work(database.connection) };
    const tables = new IngestTables({ slot: slot as unknown as ConnectionSlot }, parameters);
    for (const sink of ['plain', 'mapped', 'routed'] as const)
      await tables.create({ mode: 'copy', durability: 'outbox', batch: 10, sink }, 'copy');
    const names = [
      'checkpoints',
      'copy',
      'copymapped',
      'copyroutedhumid',
      'copyroutedmild',
      'copyroutedwarm',
    ];
    expect(await database.tables()).toEqual(names.map((name) => `sluice_bench_${name}`));
    await tables.drop();
    expect(await database.tables()).toEqual([]);
  });
});

test('a form that the bench does not have is refused before it reaches a shard', () => {
  const target = (form: unknown) =>
    JSON.stringify({ run: 'r1', spec: { table: 'copy', column: 'text', form } });
  expect(readBenchTarget(target('routed')).spec?.form).toBe('routed');
  expect(readBenchTarget(target(undefined)).spec).not.toHaveProperty('form');
  for (const form of ['other', null, 1])
    expect(() => readBenchTarget(target(form))).toThrow(/target\.spec\.form/);
});
