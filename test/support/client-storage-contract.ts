/**
 * What every storage of a client has to do. A storage is reached through a port, so that one that lives in a browser is asked
 * by the same tests.
 */

import { afterEach, expect, test } from 'vitest';
import type { ClientStorage, StoredBatch, StoredInstance } from '../../src/client/index.ts';

/** The methods of a storage, each of which may take its time. */
export type StoragePort = {
  [name in keyof ClientStorage]: (
    ...args: Parameters<ClientStorage[name]>
  ) => Promise<Awaited<ReturnType<ClientStorage[name]>>>;
};

export interface StorageHost {
  /** Another storage object for a place; places of other names have nothing in common. */
  open(place: string): StoragePort | Promise<StoragePort>;
}

let places = 0;

export function portOf(storage: ClientStorage): StoragePort {
  const names = [
    'load',
    'begin',
    'append',
    'saveSession',
    'trim',
    'discard',
    'setAside',
    'forget',
    'close',
  ] as const;
  return Object.fromEntries(
    names.map((name) => [
      name,
      async (...args: unknown[]) => (storage[name] as (...given: unknown[]) => unknown)(...args),
    ]),
  ) as unknown as StoragePort;
}

const batch = (first: number, ...lines: string[]): StoredBatch => ({
  first,
  count: lines.length,
  text: lines.join('\n'),
});

function only(found: readonly StoredInstance[]): StoredInstance {
  expect(found).toHaveLength(1);
  return found[0] as StoredInstance;
}

export function describeClientStorage(hostOf: () => StorageHost): void {
  const opened: StoragePort[] = [];
  const open = async (place: string): Promise<StoragePort> => {
    const port = await hostOf().open(place);
    opened.push(port);
    return port;
  };
  const fresh = (): string => {
    places += 1;
    return `place-${places}`;
  };
  /** Closes a storage and opens it once more. */
  const again = async (
    storage: StoragePort,
    place: string,
  ): Promise<[StoragePort, readonly StoredInstance[]]> => {
    await storage.close();
    const next = await open(place);
    return [next, await next.load()];
  };

  afterEach(async () => {
    for (const storage of opened.splice(0)) await storage.close();
  });

  test('is empty at first', async () => {
    expect(await (await open(fresh())).load()).toEqual([]);
  });

  test('keeps instances in their order, with what was appended to them', async () => {
    const place = fresh();
    const storage = await open(place);
    await storage.load();
    for (const instance of ['zz', 'aa', 'mm']) {
      await storage.begin(instance);
      await storage.append(instance, batch(1, `"${instance}"`, '2'));
      await storage.append(instance, batch(3, '"é€𝄞\\n\\u0000"'));
    }
    await storage.saveSession('aa', '1.x5Hc0Qm2');
    await storage.saveSession('aa', '2.x5Hc0Qm3');
    const [, found] = await again(storage, place);
    expect(found).toEqual(
      ['zz', 'aa', 'mm'].map((instance) => ({
        instance,
        ...(instance === 'aa' ? { session: '2.x5Hc0Qm3' } : {}),
        acked: 0,
        batches: [batch(1, `"${instance}"`, '2'), batch(3, '"é€𝄞\\n\\u0000"')],
        discarded: [],
        inDoubt: [],
      })),
    );
  });

  test('gives batches in the order of their sequences, also above nine', async () => {
    const place = fresh();
    const storage = await open(place);
    await storage.load();
    await storage.begin('a');
    for (let first = 1; first <= 120; first += 1) await storage.append('a', batch(first, String(first)));
    const [, found] = await again(storage, place);
    expect(only(found).batches.map(({ first }) => first)).toEqual(
      Array.from({ length: 120 }, (_, index) => index + 1),
    );
  });

  test('trims whole batches, keeps one that reaches further, and never goes back', async () => {
    const place = fresh();
    const storage = await open(place);
    await storage.load();
    await storage.begin('a');
    await storage.append('a', batch(1, '1', '2'));
    await storage.append('a', batch(3, '3', '4', '5'));
    await storage.append('a', batch(6, '6'));
    await storage.trim('a', 4);
    await storage.trim('a', 2);
    const [next, found] = await again(storage, place);
    expect(only(found)).toMatchObject({ acked: 4, batches: [batch(3, '3', '4', '5'), batch(6, '6')] });
    await next.trim('a', 6);
    const [, later] = await again(next, place);
    expect(only(later)).toMatchObject({ acked: 6, batches: [] });
  });

  test('discards: whole batches are gone, parts are noted', async () => {
    const place = fresh();
    const storage = await open(place);
    await storage.load();
    await storage.begin('a');
    await storage.append('a', batch(1, '1'));
    await storage.append('a', batch(2, '2'));
    await storage.append('a', batch(3, '3', '4', '5'));
    await storage.discard('a', { first: 2, last: 3 });
    const [next, found] = await again(storage, place);
    const { batches, discarded } = only(found);
    expect(batches).toEqual([batch(1, '1'), batch(3, '3', '4', '5')]);
    expect(discarded).toContainEqual({ first: 2, last: 3 });
    await next.trim('a', 3);
    const [, later] = await again(next, place);
    expect(only(later).batches).toEqual([batch(3, '3', '4', '5')]);
  });

  test('what is discarded one by one makes no long list, and none once it is trimmed', async () => {
    const place = fresh();
    const storage = await open(place);
    await storage.load();
    await storage.begin('a');
    for (let sequence = 1; sequence <= 50; sequence += 1) {
      await storage.append('a', batch(sequence, String(sequence)));
      await storage.discard('a', { first: sequence, last: sequence });
    }
    await storage.discard('a', { first: 60, last: 61 });
    await storage.discard('a', { first: 60, last: 61 });
    const [next, found] = await again(storage, place);
    expect(only(found)).toMatchObject({
      batches: [],
      discarded: [
        { first: 1, last: 50 },
        { first: 60, last: 61 },
      ],
    });
    await next.trim('a', 61);
    const [, later] = await again(next, place);
    expect(only(later).discarded).toEqual([]);
  });

  test('what is set aside stays until it is discarded, whatever is trimmed', async () => {
    const place = fresh();
    const storage = await open(place);
    await storage.load();
    await storage.begin('a');
    await storage.append('a', batch(1, '1', '2', '3'));
    await storage.setAside('a', batch(1, '1'));
    await storage.setAside('a', batch(2, '2', '3'));
    await storage.trim('a', 3);
    const [next, found] = await again(storage, place);
    expect(only(found)).toMatchObject({
      acked: 3,
      batches: [],
      inDoubt: [batch(1, '1'), batch(2, '2', '3')],
    });
    await next.discard('a', { first: 2, last: 3 });
    const [, later] = await again(next, place);
    expect(only(later).inDoubt).toEqual([batch(1, '1')]);
  });

  test('forgets an instance, and begins others after it', async () => {
    const place = fresh();
    const storage = await open(place);
    await storage.load();
    for (const instance of ['a', 'b']) {
      await storage.begin(instance);
      await storage.append(instance, batch(1, `"${instance}"`));
      await storage.setAside(instance, batch(1, `"${instance}"`));
    }
    await storage.forget('a');
    const [next, found] = await again(storage, place);
    expect(only(found).instance).toBe('b');
    await next.begin('c');
    const [last, later] = await again(next, place);
    expect(later.map(({ instance }) => instance)).toEqual(['b', 'c']);
    await last.forget('b');
    await last.forget('c');
    expect((await again(last, place))[1]).toEqual([]);
  });

  test('every call may come twice', async () => {
    const place = fresh();
    const storage = await open(place);
    await storage.load();
    for (let time = 0; time < 2; time += 1) {
      await storage.begin('a');
      await storage.begin('b');
    }
    for (let time = 0; time < 2; time += 1) await storage.append('a', batch(1, '1', '2'));
    for (let time = 0; time < 2; time += 1) await storage.append('a', batch(3, '3'));
    for (let time = 0; time < 2; time += 1) await storage.setAside('a', batch(3, '3'));
    for (let time = 0; time < 2; time += 1) await storage.saveSession('a', '1.a');
    for (let time = 0; time < 2; time += 1) await storage.trim('a', 2);
    for (let time = 0; time < 2; time += 1) await storage.forget('b');
    const [next, found] = await again(storage, place);
    expect(only(found)).toMatchObject({
      session: '1.a',
      acked: 2,
      batches: [batch(3, '3')],
      inDoubt: [batch(3, '3')],
    });
    for (let time = 0; time < 2; time += 1) await next.discard('a', { first: 3, last: 3 });
    const [, later] = await again(next, place);
    expect(only(later)).toMatchObject({ batches: [], inDoubt: [] });
  });

  test('of two that open one place, the second is told; once the first has closed, it gets it', async () => {
    const place = fresh();
    const first = await open(place);
    await first.load();
    const second = await open(place);
    await expect(second.load()).rejects.toMatchObject({ code: 'storage_in_use' });
    // Control: another place is free.
    expect(await (await open(fresh())).load()).toEqual([]);
    await first.begin('a');
    await first.close();
    expect((await second.load()).map(({ instance }) => instance)).toEqual(['a']);
  });

  test('places of other names have nothing in common', async () => {
    const place = fresh();
    const others = [`${place}/more`, `${place}/`, `${place}0`, `${place}%2Fmore`];
    for (const other of others) {
      const storage = await open(other);
      await storage.load();
      await storage.begin('b');
      await storage.append('b', batch(1, '1'));
    }
    const storage = await open(place);
    expect(await storage.load()).toEqual([]);
    await storage.begin('a');
    await storage.forget('a');
    const [, found] = await again(opened[0] as StoragePort, others[0] as string);
    expect(only(found)).toMatchObject({ instance: 'b', batches: [batch(1, '1')] });
  });
}
