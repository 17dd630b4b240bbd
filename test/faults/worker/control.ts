/** `/faults/…`: orders for a run's shard, crashes on demand, and a look at what it set aside. */

import { Hono } from 'hono';
import type { LabEnv } from '../../../lab/workers/env.ts';
import { benchShardName, readBenchTarget } from '../../../lab/workers/target.ts';
import { readCredentials } from '../../../src/access/credentials.ts';
import { MAX_LISTED_DEAD_LETTERS } from '../../../src/core/limits.ts';
import { shardOf as producerShard } from '../../../src/protocol/producer.ts';
import { acceptUpgrade, producerOf } from '../../../workers/routes/socket.ts';
import { shardDirectory } from '../../../workers/shard-directory.ts';
import { encodeShardName } from '../../../workers/shard-name.ts';
import { readLabToken } from '../lab-tokens.ts';
import type { ShardOrders, Strikes } from '../orders.ts';
import type { FaultShard } from './fault-shard.ts';
import { type LabSink, labOwnedName, labShards, setLabSink } from './lab-sinks.ts';
import { knockAtLockedDoor } from './locked-door.ts';
import { giveOrders, strikesOf } from './order-book.ts';

/** workerd's own testing module (workerd/src/workerd/api/unsafe.h), which its types leave out. */
interface UnsafeModule {
  default: {
    /** Takes a Durable Object out of memory, as if it had been idle. Rejects where it is not there or in use. */
    evict(stub: unknown, options: { webSockets: 'hibernate' | 'close' }): Promise<void>;
  };
}

// By a variable, since the bundler knows nothing of it.
const UNSAFE_MODULE = 'workerd:unsafe';

export const control = new Hono<{ Bindings: LabEnv }>();

// A run has one shard.
function shardOf(env: LabEnv, target: string | undefined) {
  const name = benchShardName(readBenchTarget(target), 0);
  const namespace = env.BENCH_SHARD as unknown as DurableObjectNamespace<FaultShard>;
  return { name, stub: namespace.getByName(name) };
}

control.post('/faults/orders', async (context) => {
  const { name } = shardOf(context.env, context.req.query('target'));
  giveOrders(name, await context.req.json<ShardOrders>());
  return context.body(null, 204);
});

control.get('/faults/strikes', (context) => {
  const { name } = shardOf(context.env, context.req.query('target'));
  return context.json(strikesOf(name));
});

control.post('/faults/crash', async (context) => {
  const { stub } = shardOf(context.env, context.req.query('target'));
  // The call ends with the object that it is made to.
  await Promise.resolve(stub.crash()).catch(() => {});
  return context.body(null, 204);
});

control.post('/faults/hibernate', async (context) => {
  const { stub } = shardOf(context.env, context.req.query('target'));
  const { default: unsafe } = (await import(UNSAFE_MODULE)) as UnsafeModule;
  await unsafe.evict(stub, { webSockets: 'hibernate' });
  return context.body(null, 204);
});

control.get('/faults/dead-letters', async (context) => {
  const { stub } = shardOf(context.env, context.req.query('target'));
  return context.json(await lettersOf(stub));
});

async function lettersOf(stub: DurableObjectStub<FaultShard>): Promise<unknown[]> {
  const letters: unknown[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const page: Awaited<ReturnType<FaultShard['listDeadLetters']>> = await stub.listDeadLetters({
      after,
      limit: MAX_LISTED_DEAD_LETTERS,
    });
    for (const { id } of page.letters) letters.push(await stub.readDeadLetter(id));
    after = page.next;
  }
  return letters;
}

control.post('/faults/dead-letters/retry', async (context) => {
  const { stub } = shardOf(context.env, context.req.query('target'));
  return context.json(await stub.retryDeadLetters(await context.req.json()));
});

control.post('/faults/dead-letters/drop', async (context) => {
  const { stub } = shardOf(context.env, context.req.query('target'));
  return context.json(await stub.dropDeadLetters(await context.req.json()));
});

control.post('/faults/resume', async (context) => {
  const { stub } = shardOf(context.env, context.req.query('target'));
  return context.json(await stub.resume(await context.req.json()));
});

// The shards of a sink whose options change (lab-sinks.ts): as many as it may ever have.

const LAB_SHARDS = 4;

function shardsOf(env: LabEnv, sink: string) {
  const namespace = env.SHARD as unknown as DurableObjectNamespace<FaultShard>;
  return Array.from({ length: LAB_SHARDS }, (_, shard) => {
    const name = encodeShardName({ sink, shard });
    return { shard, name, stub: namespace.getByName(name) };
  });
}

control.put('/faults/sinks/:sink', async (context) => {
  setLabSink(context.req.param('sink'), await context.req.json<LabSink>());
  return context.body(null, 204);
});

control.get('/faults/sinks/:sink/ws', (context) =>
  acceptUpgrade(context, () => {
    const sink = context.req.param('sink');
    const producer = labOwnedName(producerOf(context.req.queries('producer')));
    const shard = producerShard(producer, labShards(sink));
    const object = context.env.SHARD.getByName(encodeShardName({ sink, shard }));
    const { token } = readCredentials(context.req.raw);
    const access = token === undefined ? 'open' : readLabToken(token, Date.now());
    return { shard: object, producer, isAssigned: false, access };
  }),
);

control.get('/faults/locked/*', ({ req, env }) => knockAtLockedDoor(req.raw, env));

control.post('/faults/sinks/:sink/crash', async (context) => {
  await Promise.all(
    shardsOf(context.env, context.req.param('sink')).map(({ stub }) =>
      Promise.resolve(stub.crash()).catch(() => {}),
    ),
  );
  return context.body(null, 204);
});

control.get('/faults/sinks/:sink/stats', async (context) =>
  context.json(
    await Promise.all(shardsOf(context.env, context.req.param('sink')).map(({ stub }) => stub.stats())),
  ),
);

control.get('/faults/sinks/:sink/listed', async (context) => {
  const places = await shardDirectory(context.env).listShards(context.req.param('sink'));
  return context.json(places.map(({ shard }) => shard));
});

control.post('/faults/sinks/:sink/orders', async (context) => {
  const orders = await context.req.json<ShardOrders>();
  for (const { name } of shardsOf(context.env, context.req.param('sink'))) giveOrders(name, orders);
  return context.body(null, 204);
});

control.get('/faults/sinks/:sink/strikes', (context) => {
  const sum: Strikes = { failpoint: 0, alarm: 0, sabotage: 0 };
  for (const { name } of shardsOf(context.env, context.req.param('sink'))) {
    const { failpoint, alarm, sabotage } = strikesOf(name);
    sum.failpoint += failpoint;
    sum.alarm += alarm;
    sum.sabotage += sabotage;
  }
  return context.json(sum);
});

control.get('/faults/sinks/:sink/dead-letters', async (context) => {
  const letters: unknown[] = [];
  for (const { stub } of shardsOf(context.env, context.req.param('sink')))
    letters.push(...(await lettersOf(stub)));
  return context.json(letters);
});

control.post('/faults/sinks/:sink/wipe', async (context) => {
  const sink = context.req.param('sink');
  for (const { stub, shard } of shardsOf(context.env, sink)) {
    await stub.wipe();
    await shardDirectory(context.env).removeShard({ sink, shard });
  }
  return context.body(null, 204);
});

// Objects that all code of the isolate inherits from.
const PROTOTYPES = [
  Object.prototype,
  Array.prototype,
  Function.prototype,
  String.prototype,
  Number.prototype,
];
const CLEAN = PROTOTYPES.map((prototype) => new Set(Reflect.ownKeys(prototype)));

function addedKeys(): string[] {
  return PROTOTYPES.flatMap((prototype, index) =>
    Reflect.ownKeys(prototype).filter((key) => !CLEAN[index]?.has(key)),
  ).map(String);
}

// What was added to them since the start; and, as a control, the same with one that certainly was.
control.get('/faults/prototypes', (context) => {
  const added = addedKeys();
  const control = Symbol('control');
  Object.defineProperty(Object.prototype, control, { value: true, configurable: true });
  const isNoticed = addedKeys().includes(String(control));
  Reflect.deleteProperty(Object.prototype, control);
  return context.json({ added, isNoticed });
});

control.post('/faults/wipe', async (context) => {
  const { stub } = shardOf(context.env, context.req.query('target'));
  await stub.wipe();
  return context.body(null, 204);
});
