import { PostgresEventEngine } from '../../../../src/events/engines/postgres-engine.ts';
import { eventStoreContract } from '../../../support/event-store-contract.ts';
import { storeDatabase } from '../../store/postgres-support.ts';

const postgres = storeDatabase();

// The largest query takes Postgres some seconds, and many on a busy machine; how long is not what the contract is about.
const TIME_LIMIT_MS = 280_000;

eventStoreContract('Postgres', async () => {
  const schema = await postgres.namespace();
  const pools = [postgres.pool(4, TIME_LIMIT_MS), postgres.pool(4, TIME_LIMIT_MS)] as const;
  const [engine, second] = pools.map((connections) => new PostgresEventEngine({ connections, schema })) as [
    PostgresEventEngine,
    PostgresEventEngine,
  ];
  return {
    engine,
    openSecond: async () => second,
    close: async () => {
      for (const pool of pools) pool.close();
    },
  };
});
