import { beforeEach, describe, expect, it } from 'vitest';
import { isSluiceError, SluiceError } from '../../../../src/core/errors.ts';
import { SqliteMessageEngine } from '../../../../src/messages/engines/sqlite-engine.ts';
import { answerRpc, needsStore } from '../../../../src/messages/http/rpc.ts';
import { unauthorized } from '../../../../src/messages/http/rpc-errors.ts';
import type { RpcPorts } from '../../../../src/messages/http/rpc-method.ts';
import { storeFigures } from '../../../../src/messages/http/rpc-namespaces.ts';
import { MessageStore } from '../../../../src/messages/message-store.ts';
import {
  type DeletedNamespace,
  hashToken,
  type ListNamespaces,
  type NamespaceInfo,
  type NamespaceRecord,
  type Namespaces,
  type NewNamespace,
  namespaceOfToken,
} from '../../../../src/store/namespaces.ts';
import { EventoDbClient } from '../../../support/eventodb-client.ts';
import { EVENTODB_CASES, errorOf } from '../../../support/eventodb-suite.ts';
import { NodeSqlite } from '../../../support/node-sqlite.ts';

/** Namespaces in memory, each in its own SQLite. */
class MemoryNamespaces implements Namespaces {
  readonly all = new Map<string, NamespaceRecord & { tokenHash: string; store: MessageStore }>();

  async create({
    namespace,
    description,
    engine = 'sqlite',
    tokenHash,
  }: NewNamespace): Promise<NamespaceRecord> {
    if (this.all.has(namespace))
      throw new SluiceError('namespace_exists', `Namespace '${namespace}' already exists`);
    const store = new MessageStore(new SqliteMessageEngine(new NodeSqlite()));
    const record = { namespace, description, engine, createdAtUs: 1_735_689_600_123_456, tokenHash, store };
    this.all.set(namespace, record);
    return record;
  }

  async delete(namespace: string): Promise<DeletedNamespace> {
    const { messages: messagesDeleted } = await this.#find(namespace).store.info();
    this.all.delete(namespace);
    return { namespace, deletedAtUs: 1_735_689_600_000_000, messagesDeleted };
  }

  async list({ after, limit }: ListNamespaces): Promise<NamespaceInfo[]> {
    const found = [...this.all.values()].filter(({ namespace }) => namespace > after);
    found.sort((a, b) => (a.namespace < b.namespace ? -1 : 1));
    return Promise.all(
      found.slice(0, limit).map(async (one) => ({ ...one, messages: (await one.store.info()).messages })),
    );
  }

  async info(namespace: string): Promise<NamespaceInfo> {
    const found = this.#find(namespace);
    return { ...found, ...(await storeFigures(found.store)) };
  }

  #find(namespace: string) {
    const found = this.all.get(namespace);
    if (found === undefined) throw new SluiceError('unknown_namespace', `Namespace '${namespace}' not found`);
    return found;
  }
}

const namespaces = new MemoryNamespaces();
const failures: unknown[] = [];
beforeEach(() => {
  failures.length = 0;
});

/** Answers as a server does for a request with this token; the admin has the token `admin`. */
function portsOf(token: string | undefined, overrides: Partial<RpcPorts> = {}): RpcPorts {
  return {
    store: async () => {
      if (token === undefined) throw unauthorized('missing');
      const found = namespaces.all.get(namespaceOfToken(token) ?? '');
      if (found === undefined || found.tokenHash !== hashToken(token)) throw unauthorized('invalid');
      return found.store;
    },
    namespaces: async () => {
      if (token === 'admin') return namespaces;
      throw unauthorized(token === undefined ? 'missing' : 'invalid');
    },
    health: async () => ({ status: 'ok', backend: 'sqlite', connections: 0 }),
    onFailure: (error) => failures.push(error),
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    ...overrides,
  };
}

function clientOf(token: string | undefined, overrides?: Partial<RpcPorts>): EventoDbClient {
  return new EventoDbClient(async (_, init = {}) => {
    const { status, body } = await answerRpc(init.body ?? '', portsOf(token, overrides));
    return { status, headers: { get: () => null }, text: () => textOf(body) };
  }, token);
}

async function textOf(body: string | AsyncIterable<string>): Promise<string> {
  if (typeof body === 'string') return body;
  let text = '';
  for await (const piece of body) text += piece;
  return text;
}

const admin = clientOf('admin');
let made = 0;

async function namespaceClient(): Promise<EventoDbClient> {
  made += 1;
  const { token } = await admin.rpc<{ token: string }>('ns.create', `test-${made}`);
  return clientOf(token);
}

describe('the methods over HTTP, without HTTP', () => {
  const client = namespaceClient();
  it.each(EVENTODB_CASES)('$name', async ({ run }) => {
    await run(await client, { anonymous: clientOf(undefined), withToken: (token) => clientOf(token) });
    expect(failures).toEqual([]);
  });
});

describe('namespaces', () => {
  it('NS-001: creates one, and answers with its token', async () => {
    expect(await admin.rpc('ns.create', 'ns-001', { description: 'A test', metadata: {} })).toEqual({
      namespace: 'ns-001',
      token: expect.stringMatching(/^ns_bnMtMDAx_[0-9a-f]{64}$/),
      createdAt: '2025-01-01T00:00:00.123456000Z',
    });
    // Only the hash is kept.
    expect(JSON.stringify(namespaces.all.get('ns-001')?.tokenHash)).toMatch(/^"[0-9a-f]{64}"$/);
  });

  it('NS-002: takes a token of one’s own, if it is one of this namespace', async () => {
    const token = `ns_${btoa('custom-ns').replaceAll('=', '')}_${'ab'.repeat(32)}`;
    expect(await admin.rpc('ns.create', 'custom-ns', { token })).toMatchObject({ token });
    expect((await clientOf(token).write('a-1', { type: 'T', data: {} })).position).toBe(0);
    for (const wrong of ['short', token.slice(0, -1), `ns_${btoa('other')}_${'ab'.repeat(32)}`])
      expect(await errorOf(admin.rpc('ns.create', 'custom-ns-2', { token: wrong }))).toMatchObject({
        code: 'INVALID_REQUEST',
      });
    expect(namespaces.all.has('custom-ns-2')).toBe(false);
  });

  it('NS-003: refuses a name that is taken', async () => {
    await admin.rpc('ns.create', 'ns-003');
    expect(await errorOf(admin.rpc('ns.create', 'ns-003'))).toMatchObject({
      code: 'NAMESPACE_EXISTS',
      status: 409,
    });
  });

  it('NS-004, NS-005: deletes one, and counts what was in it', async () => {
    const { token } = await admin.rpc<{ token: string }>('ns.create', 'ns-004');
    for (let n = 0; n < 3; n += 1) await clientOf(token).write('a-1', { type: 'T', data: {} });
    expect(await admin.rpc('ns.delete', 'ns-004')).toEqual({
      namespace: 'ns-004',
      deletedAt: '2025-01-01T00:00:00.000000000Z',
      messagesDeleted: 3,
    });
    expect(await errorOf(admin.rpc('ns.delete', 'ns-004'))).toMatchObject({
      code: 'NAMESPACE_NOT_FOUND',
      status: 404,
    });
  });

  it('NS-006: lists all, or a page of them', async () => {
    await admin.rpc('ns.create', 'ns-006', { description: 'Listed' });
    const all = await admin.rpc<{ namespace: string }[]>('ns.list');
    expect(all).toContainEqual({
      namespace: 'ns-006',
      description: 'Listed',
      createdAt: '2025-01-01T00:00:00.123456000Z',
      messageCount: 0,
    });
    const page = await admin.rpc<{ namespace: string }[]>('ns.list', { cursor: all[0]?.namespace, limit: 2 });
    expect(page).toEqual(all.slice(1, 3));
  });

  it('NS-007, NS-008: tells how one stands', async () => {
    const { token } = await admin.rpc<{ token: string }>('ns.create', 'ns-007');
    for (const stream of ['a-1', 'a-1', 'a-2', 'b', 'b'])
      await clientOf(token).write(stream, { type: 'T', data: {} });
    expect(await admin.rpc('ns.info', 'ns-007')).toMatchObject({
      namespace: 'ns-007',
      messageCount: 5,
      streamCount: 3,
      lastActivity: expect.stringMatching(/Z$/),
      engine: 'sqlite',
    });
    expect(await admin.rpc('ns.info', 'ns-003')).toMatchObject({
      messageCount: 0,
      streamCount: 0,
      lastActivity: null,
    });
    expect(await errorOf(admin.rpc('ns.info', 'does-not-exist'))).toMatchObject({
      code: 'NAMESPACE_NOT_FOUND',
    });
  });

  it.each([
    ['', {}],
    [5, {}],
    ['a b', {}],
    ['-a', {}],
    ['a/b', {}],
    ['ä', {}],
    ['a'.repeat(57), {}],
    ['fine', { description: 5 }],
    ['fine', { description: 'x'.repeat(1_001) }],
    ['fine', { engine: 'mysql' }],
    ['fine', { metadata: 5 }],
    ['fine', 'text'],
  ])('refuses %s with %j', async (name, options) => {
    expect(await errorOf(admin.rpc('ns.create', name, options))).toMatchObject({
      code: 'INVALID_REQUEST',
      status: 400,
    });
    expect(namespaces.all.has('fine')).toBe(false);
  });

  it('AUTH-004: the token of one does not see the other', async () => {
    const [one, other] = [await namespaceClient(), await namespaceClient()];
    await one.write('shared-1', { type: 'T', data: {} });
    expect(await other.get('shared-1')).toEqual([]);
    expect(await one.get('shared-1')).toHaveLength(1);
  });

  it('is closed to all but the admin', async () => {
    const client = await namespaceClient();
    for (const who of [client, clientOf(undefined)])
      for (const method of ['ns.create', 'ns.delete', 'ns.list', 'ns.info'])
        expect(await errorOf(who.rpc(method, 'ns-003'))).toMatchObject({ status: 401 });
  });
});

describe('long answers', () => {
  it('come in pages, and are the same array', async () => {
    const client = await namespaceClient();
    const { store } = [...namespaces.all.values()].at(-1) as { store: MessageStore };
    const messages = Array.from({ length: 2_500 }, (_, n) => ({ type: 'T', data: { n } }));
    await store.write('long-1', messages);
    for (const [options, count] of [
      [{ batchSize: -1 }, 2_500],
      [{ batchSize: 10_000 }, 2_500],
      [{ batchSize: 2_000 }, 2_000],
      [{ batchSize: 2_001, position: 400 }, 2_001],
      [{ batchSize: 1_000 }, 1_000],
      [{}, 1_000],
      [{ batchSize: -1, globalPosition: 2_001 }, 500],
    ] as const) {
      const rows = await client.get('long-1', options);
      expect(rows, JSON.stringify(options)).toHaveLength(count);
      const first = rows[0]?.[2] ?? 0;
      expect(rows.map((row) => row[2])).toEqual(rows.map((_, index) => first + index));
    }
    expect(await client.category('long', { batchSize: -1, position: 1_001 })).toHaveLength(1_500);
  });
});

describe('what is too much', () => {
  it('batchSize is never cut: beyond a page the answer is read in pages', async () => {
    const client = await namespaceClient();
    const { store } = [...namespaces.all.values()].at(-1) as { store: MessageStore };
    for (const stream of ['many-1', 'many-2'])
      await store.write(
        stream,
        Array.from({ length: 6_000 }, () => ({ type: 'T' })),
      );
    expect(await client.category('many', { batchSize: 11_000 })).toHaveLength(11_000);
    expect(await client.category('many', { batchSize: 9007199254740991 })).toHaveLength(12_000);
    expect(await client.get('many-1', { batchSize: 20_000 })).toHaveLength(6_000);
  });

  it('a list is never cut: beyond what one answer holds it is asked for in pages', async () => {
    const client = await namespaceClient();
    const { store } = [...namespaces.all.values()].at(-1) as { store: MessageStore };
    const write = (from: number, count: number) =>
      store.writeBatch(
        Array.from({ length: count }, (_, n) => ({ stream: `c${from + n}-1`, messages: { type: 'T' } })),
      );
    await write(0, 10_000);
    expect(await client.rpc('ns.categories')).toHaveLength(10_000);
    await write(10_000, 1);
    const error = await errorOf(client.rpc('ns.categories'));
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', status: 400 });
    expect(error.message).toContain('more than 10000');
    expect(await client.rpc('ns.categories', { limit: 1_000, cursor: 'c9998' })).toHaveLength(1);
  });

  it.each([
    ['stream.get', 'a-1', '{"position":9007199254740992}'],
    ['stream.get', 'a-1', '{"globalPosition":18446744073709551616}'],
    ['category.get', 'a', '{"position":1e300}'],
    ['category.get', 'a', '{"batchSize":9007199254740993}'],
  ])('%s %s %s is refused with the true reason', async (method, name, options) => {
    const client = await namespaceClient();
    const error = await errorOf(client.raw(`["${method}","${name}",${options}]`));
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', status: 400 });
    expect(error.message).toMatch(/^options\.\w+ must be at most 9007199254740991 \(2\^53 - 1\)$/);
  });

  it('an expectedVersion, too', async () => {
    const client = await namespaceClient();
    const text = '["stream.write","a-1",{"type":"T","data":{}},{"expectedVersion":9007199254740992}]';
    expect((await errorOf(client.raw(text))).message).toContain('options.expectedVersion must be at most');
  });
});

describe('numbers', () => {
  it('are stored with the digits that were sent, in data and metadata', async () => {
    const client = await namespaceClient();
    const { store } = [...namespaces.all.values()].at(-1) as { store: MessageStore };
    const numbers = '{"a":9007199254740993,"b":[0.10,-0,1e5],"c":{"d":12345678901234567890.10}}';
    await client.raw(`["stream.write","a-1",{"type":"T","data":${numbers},"metadata":${numbers}}]`);
    const { body } = await answerRpc(
      '["stream.get","a-1"]',
      portsOf(undefined, { store: async () => store }),
    );
    expect(await textOf(body)).toContain(`,${numbers},${numbers},`);
    // What JavaScript calls a number is a number of an option, too.
    await client.raw('["stream.write","a-1",{"type":"T","data":{"n":1.0}},{"expectedVersion":0.0}]');
    expect(await client.raw('["stream.get","a-1",{"position":1.0,"batchSize":1e0}]')).toHaveLength(1);
  });

  it.each([
    ['"data":{"n":[1E400]}', '1E400'],
    ['"data":{},"metadata":{"n":-1e999}', '-1e999'],
  ])('that are infinities are refused by their names: %s', async (parts, name) => {
    const client = await namespaceClient();
    const error = await errorOf(client.raw(`["stream.write","a-1",{"type":"T",${parts}}]`));
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', status: 400 });
    expect(error.message).toContain(`the number ${name},`);
    expect(await client.get('a-1')).toEqual([]);
  });

  it.each(['1.50', '9007199254740993', '[1.50]', 'null'])(
    '%s is not an object, so it is no data',
    async (data) => {
      const client = await namespaceClient();
      const error = await errorOf(client.raw(`["stream.write","a-1",{"type":"T","data":${data}}]`));
      expect(error).toMatchObject({ code: 'INVALID_REQUEST', message: 'message.data must be an object' });
    },
  );

  it('of a request that is nested too deep are looked at no further', async () => {
    const client = await namespaceClient();
    const deep = `${'['.repeat(50_000)}1.50${']'.repeat(50_000)}`;
    const error = await errorOf(client.raw(`["stream.write","a-1",{"type":"T","data":{"deep":${deep}}}]`));
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', status: 400 });
    expect(failures).toEqual([]);
  });
});

describe('failures', () => {
  it('of the database keep their text to themselves, and are told to the log', async () => {
    const secret = new Error('connect to postgres://user:topsecret@host');
    const client = clientOf('x', {
      store: async () => {
        throw secret;
      },
    });
    const error = await errorOf(client.get('a-1'));
    expect(error).toMatchObject({ code: 'BACKEND_ERROR', status: 500 });
    expect(error.message).not.toContain('topsecret');
    expect(failures).toEqual([secret]);
    expect(isSluiceError(secret)).toBe(false);
  });
});

describe('needsStore', () => {
  it.each([
    ['["stream.write","a-1",{}]', true],
    [' [ "ns.streams" ]', true],
    [String.raw`["stream\u002eget"]`, true],
    ['["ns.create","a"]', false],
    ['["sys.health"]', false],
    ['["toString"]', false],
    ['no json', false],
    ['', false],
  ])('%s: %s', (text, expected) => {
    expect(needsStore(text)).toBe(expected);
  });
});
