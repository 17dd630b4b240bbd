/** A session whose grant ends, in a real shard that sleeps in between. */

import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { attachmentsOf, bearer, upgrade, workerWith } from './access-support.ts';
import { Client, evict, until, useDatabase, V1Client, type WelcomeFrame } from './support.ts';

useDatabase();

/** Everybody gets a grant that ends at once. */
const endsNow = workerWith(() => ({ expiresAtMs: Date.now() + 1, tokenId: 'first' }));

const hibernate = (): Promise<void> => evict(env.SHARD.getByName('messages/0'));

/** The frames of a type that came so far. */
const framesOf = (client: Client, t: string) =>
  client.frames.map((frame) => JSON.parse(String(frame)) as { t: string }).filter((frame) => frame.t === t);

async function welcomed(producer: string): Promise<V1Client> {
  const headers = { ...bearer('any'), 'sec-websocket-protocol': 'sluice.v1' };
  const client = new V1Client(await endsNow(upgrade(`/ws/messages?producer=${producer}`, headers)));
  client.send('{"t":"hello"}');
  client.welcome = await client.frame<WelcomeFrame>(0);
  return client;
}

describe('a session whose grant has ended', () => {
  it('is asked once, also where the shard sleeps in between, and goes on with a fresh token', async () => {
    const client = await welcomed(`asked-${crypto.randomUUID()}`);
    // The clock of a Worker moves with what comes in.
    let seq = 0;
    const send = async () => {
      seq += 1;
      client.sendBatch(seq, ['{}']);
      await client.ack(seq);
    };
    await until(async () => {
      await send();
      expect(framesOf(client, 'auth')).toHaveLength(1);
    });
    expect(framesOf(client, 'auth')).toEqual([{ t: 'auth', withinMs: 25_000 }]);
    expect(await attachmentsOf()).toMatchObject([{ memory: { askedAtMs: expect.any(Number) } }]);

    await hibernate();
    await send();
    expect(framesOf(client, 'auth')).toHaveLength(1);

    // The shard's own Worker is open: to it, every token is a good one without an end.
    client.send('{"t":"auth","token":"fresh"}');
    await until(async () => {
      const [kept] = await attachmentsOf();
      expect(kept).toMatchObject({ kept: { access: {} } });
      expect(kept?.memory?.askedAtMs).toBeUndefined();
    });
    await hibernate();
    await send();
    expect([framesOf(client, 'auth').length, client.isClosed]).toEqual([1, false]);
    await client.close();
  });

  it('is closed at the next frame where it is a raw one', async () => {
    const client = new Client(await endsNow(upgrade('/ws/messages?producer=raw-ends', bearer('any'))));
    await until(() => {
      if (!client.isClosed) client.send('{"n":1}');
      expect(client.isClosed).toBe(true);
    });
    expect(await client.closed).toMatchObject({
      code: 1008,
      reason: expect.stringMatching(/^unauthorized: /),
    });
  });
});
