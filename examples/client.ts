import { SluiceClient } from 'sluice/client';

export async function reportTemperatures(address: string): Promise<number> {
  const client = new SluiceClient({
    url: `${address}/ws/messages`,
    producer: 'kitchen',
    ack: 'committed',
    onEvent: (event) => {
      if (event.type === 'nack') console.warn(event.message);
    },
  });
  // Resolves once the row is in Postgres; rejects where this very message was refused.
  await client.send({ celsius: 21.5 });
  // Many at once share frames, and one promise.
  await client.sendBatch(['{"celsius":21.6}', '{"celsius":21.7}']);
  const { unacked } = await client.close();
  return unacked;
}
