import { PostgresEventEngine } from '../../../../src/events/engines/postgres-engine.ts';
import { eventStoreContract } from '../../../support/event-store-contract.ts';
import { storeDatabase } from '../../store/postgres-support.ts';

const postgres = storeDatabase();

eventStoreContract('Postgres', async () => {
  const schema = await postgres.namespace();
  const pools = [postgres.pool(4), postgres.pool(4)] as const;
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
