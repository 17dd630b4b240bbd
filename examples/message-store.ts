import { MessageStore, SqliteMessageEngine } from 'sluice/messages';
import { NodeSqlite } from 'sluice/node';

type Account = { type: 'Deposited' | 'Withdrawn'; data: { amount: number } };

const store = new MessageStore(new SqliteMessageEngine(new NodeSqlite()));
const account = store.stream<Account>('account-123');
await account.write({ type: 'Deposited', data: { amount: 100 } }, { expectedVersion: 'no-stream' });
await account.write({ type: 'Withdrawn', data: { amount: 30 } }, { expectedVersion: 0n });

let balance = 0;
for await (const { type, data } of account.iterate())
  balance += type === 'Deposited' ? data.amount : -data.amount;
console.log(balance, await account.version(), (await store.readCategory('account')).length);
