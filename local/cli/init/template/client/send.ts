/** Sends three readings, and waits until Postgres has them: node client/send.ts. It runs in browsers as it is. */

import { SluiceClient } from 'sluice/client';

// A producer is one sender: each of its messages is written once. Two clients at the same time need two names.
const client = new SluiceClient({
  url: 'ws://localhost:8787/ws/readings',
  producer: 'example',
  ack: 'committed',
  // `npx sluice dev` lets everybody in. A deployed Worker asks for a token:
  // token: '…',
});

const temperatures = [20.5, 21, 21.5];
await Promise.all(temperatures.map((celsius) => client.send({ sensor: 'kitchen', celsius })));
await client.close();

console.log(`${temperatures.length} readings are in Postgres`);
