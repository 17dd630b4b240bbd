/** The suites `dcb` and `store` behind a transaction pooler that does not know the names of statements. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JobHost } from '../../lab/jobs/job-host.ts';
import { bareClient } from '../../lab/jobs/postgres-floor.ts';
import { localDcbPorts, localStorePorts } from '../../lab/local/job-ports.ts';
import type { Variant } from '../../lab/suite.ts';
import { dcbHost } from '../../lab/suites/dcb/host.ts';
import { DCB_PARAMETERS } from '../../lab/suites/dcb/parameters.ts';
import { dcbSuite } from '../../lab/suites/dcb/suite.ts';
import { storeHost } from '../../lab/suites/store/host.ts';
import { STORE_PARAMETERS } from '../../lab/suites/store/parameters.ts';
import { storeSuite } from '../../lab/suites/store/suite.ts';
import { resolveOptions } from '../../src/core/option-table.ts';
import type { Connection } from '../../src/database/connection.ts';
import { freshName } from '../support/connect.ts';
import { openConnection } from '../support/open-connection.ts';
import { ownDatabase } from '../support/own-database.ts';
import { startTransactionPooler, type TransactionPooler } from '../support/transaction-pooler.ts';

const database = ownDatabase();
let pooler: TransactionPooler;
const connections: Connection[] = [];

beforeAll(async () => {
  const { hostname, port } = new URL(database.url);
  pooler = await startTransactionPooler({ host: hostname, port: Number(port) });
});
afterAll(async () => {
  for (const connection of connections) connection.close();
  await pooler.close();
});

const pooled = () => ({
  url: Object.assign(new URL(database.url), { port: String(pooler.port) }).href,
  driver: 'tcp' as const,
});

async function open(): Promise<Connection> {
  const connection = await openConnection(pooled());
  connections.push(connection);
  return connection;
}

describe('behind a transaction pooler', () => {
  test('the control: a prepared name is lost from one transaction to the next', async () => {
    const one = bareClient(await open());
    await open();
    const states = new Set<unknown>();
    for (let n = 0; n < 4; n += 1) {
      await one
        .query({ name: 'control', text: 'select $1::int', values: [n] })
        .catch((error: { code?: string }) => states.add(error.code));
    }
    expect([...states]).toEqual([expect.stringMatching(/^(26000|42P05)$/)]);
  });

  const expectHonest = async (
    variants: readonly Variant[],
    host: Pick<JobHost<never>, 'run' | 'close'>,
  ): Promise<void> => {
    try {
      expect(variants.length).toBeGreaterThan(2);
      for (const variant of variants) {
        const { audit, warnings } = await host.run(variant, 0, () => {});
        expect(audit, variant.name).toMatchObject({ lost: 0, duplicated: 0 });
        expect(warnings, variant.name).toEqual([
          expect.objectContaining({
            code: 'unnamed_statements',
            text: expect.stringContaining('transaction pooler'),
          }),
        ]);
      }
    } finally {
      await host.close();
    }
  };

  test('the suite dcb goes without names, and says so', async () => {
    const parameters = resolveOptions(DCB_PARAMETERS, {
      engines: 'postgres',
      rounds: 4,
      sets: 'tiny',
      appenders: '1',
      operations: 'append-1,read-simple',
    });
    const ports = localDcbPorts({ folder: '', target: pooled(), workerUrl: undefined, run: freshName('p') });
    await expectHonest(dcbSuite.variants(parameters), dcbHost(ports, parameters, 1));
  });

  test('the suite store goes without names, and says so', async () => {
    const parameters = resolveOptions(STORE_PARAMETERS, {
      engines: 'postgres',
      rounds: 4,
      writers: '1',
      operations: 'write-1,read-10',
      others: 100,
    });
    const ports = localStorePorts({
      folder: '',
      target: pooled(),
      workerUrl: undefined,
      run: freshName('p'),
    });
    await expectHonest(storeSuite.variants(parameters), storeHost(ports, parameters));
  });
});
