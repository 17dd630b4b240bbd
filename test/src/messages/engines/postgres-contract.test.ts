import { PostgresMessageEngine } from '../../../../src/messages/engines/postgres-engine.ts';
import { MessageStore } from '../../../../src/messages/message-store.ts';
import { messageStoreContract } from '../../../support/message-store-contract.ts';
import { storeDatabase } from '../../store/postgres-support.ts';

const postgres = storeDatabase();

messageStoreContract('Postgres', async () => {
  const pool = postgres.pool();
  const engine = new PostgresMessageEngine({ connections: pool, schema: await postgres.namespace() });
  return {
    store: new MessageStore(engine),
    engine,
    close: async () => pool.close(),
  };
});
