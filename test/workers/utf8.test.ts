/** Bodies that are not UTF-8, which the platform would read as U+FFFD and the stores keep as that. */

import { exports } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { STORE_ENGINES } from '../../src/store/namespaces.ts';
import { createNamespace, type TestNamespace } from './store-support.ts';
import { askWith } from './support.ts';

const JSON_TYPE = { 'content-type': 'application/json' };

/** A text whose `?` are these bytes. */
function withBytes(text: string, ...bytes: number[]): Uint8Array {
  return Uint8Array.from(
    [...new TextEncoder().encode(text)].flatMap((byte) => (byte === 0x3f ? bytes : [byte])),
  );
}

const WRONG: [name: string, bytes: number[]][] = [
  ['Latin-1 °', [0xb0]],
  ['CESU-8', [0xed, 0xa0, 0xbc, 0xed, 0xbc, 0x8d]],
  ['an overlong form', [0xc0, 0xaf]],
  ['a cut character', [0xe2, 0x82]],
];
/** A real U+FFFD is a character like any other. */
const RIGHT = [0xef, 0xbf, 0xbd];

describe.each(STORE_ENGINES)('a namespace in %s', (engine) => {
  let own: TestNamespace;
  beforeAll(async () => {
    own = await createNamespace(engine);
  });

  const post = async (path: string, body: Uint8Array, type = 'application/json') => {
    const response = await own.fetch(path, { method: 'POST', headers: { 'content-type': type }, body });
    return { status: response.status, text: await response.text() };
  };
  const written = '["stream.write","a-1",{"type":"T","data":{"text":"?C"}}]';
  const appended = '{"events":{"type":"T","data":"?C","tags":["a"]}}';
  const line = (gpos: number) =>
    `{"id":"${crypto.randomUUID()}","stream":"imported-${gpos}","type":"T","pos":0,"gpos":${gpos},"data":{"text":"?C"},"meta":null,"time":"2025-01-15T10:00:00Z"}\n`;

  it.each(WRONG)('refuses %s in /rpc, /append and /import', async (_, bytes) => {
    const rpc = await post('/rpc', withBytes(written, ...bytes));
    expect(rpc.status).toBe(400);
    expect(JSON.parse(rpc.text).error).toMatchObject({
      code: 'INVALID_REQUEST',
      message: expect.stringMatching(/^The request is not UTF-8: /),
    });
    const append = await post('/append', withBytes(appended, ...bytes));
    expect(append.status).toBe(400);
    expect(JSON.parse(append.text)).toMatchObject({ code: 'invalid_utf8', offset: 30 });
    // The lines before it are no part of the fault.
    const good = new TextEncoder().encode(line(1_000_000).replace('?', '°'));
    const imported = await post(
      '/import',
      Uint8Array.from([...good, 0x0a, ...withBytes(line(1_000_001), ...bytes)]),
      'application/x-ndjson',
    );
    expect(imported.text).toContain('"error":"INVALID_UTF8"');
    expect(imported.text).toContain('"line":3');
    expect(await own.client.get('a-1')).toEqual([]);
    expect(await own.client.category('imported')).toEqual([]);
  });

  it('takes a real U+FFFD, and a byte order mark at the beginning', async () => {
    const mark = [0xef, 0xbb, 0xbf];
    for (const prefix of [[], mark]) {
      const framed = (text: string) => Uint8Array.from([...prefix, ...withBytes(text, ...RIGHT)]);
      expect((await post('/rpc', framed(written))).status).toBe(200);
      expect((await post('/append', framed(appended))).status).toBe(200);
      const imported = await post('/import', framed(line(2_000_000 + prefix.length)), 'application/x-ndjson');
      expect(imported.text).toContain('"done":true,"imported":1');
    }
    const texts = (await own.client.get('a-1')).map(([, , , , data]) => data);
    expect(texts).toEqual([{ text: '\ufffdC' }, { text: '\ufffdC' }]);
    expect(await (await own.fetch('/export?category=imported')).text()).toContain('\ufffdC');
    expect(await (await own.fetch('/read?query=all')).text()).toContain('\ufffdC');
  });

  it('refuses it in an address, where it would name something else', async () => {
    for (const path of ['/read?query=%22caf%E9%22', '/subscribe?stream=caf%E9-1', '/export?category=%B0']) {
      const response = await own.fetch(path);
      expect(response.status, path).toBe(400);
      expect(await response.text()).toContain('is not UTF-8');
    }
    // The control: what is no escape is not one to `URLSearchParams` either.
    expect((await own.fetch('/export?category=caf%C3%A9')).status).toBe(200);
    expect((await own.fetch('/export?category=100%')).status).toBe(200);
  });
});

it.each([
  ['/admin/messages/0/dead-letters/retry', '{"ids":[1],"payload":"?C"}'],
  ['/admin/messages/0/dead-letters/drop', '{"ids":"?C"}'],
  ['/bench/runs', '{"suite":"?C"}'],
  ['/bench/store?target=x', '{"operations":"?C"}'],
  ['/bench/dcb?target=x', '{"operations":"?C"}'],
])('refuses it in the body of %s', async (path, text) => {
  const ask = async (body: Uint8Array) => {
    const request = new Request(`http://sluice${path}`, { method: 'POST', headers: JSON_TYPE, body });
    const response = await askWith({ OPERATORS: 'open', BENCH: 'open' }, request);
    return (await response.json()) as { code?: string };
  };
  expect((await ask(withBytes(text, 0xb0))).code).toBe('invalid_utf8');
  expect((await ask(withBytes(text, ...RIGHT))).code).not.toBe('invalid_utf8');
});

it('asks for a token before it looks at the bytes', async () => {
  const response = await exports.default.fetch('http://sluice/append', {
    method: 'POST',
    headers: JSON_TYPE,
    body: withBytes('?', 0xb0),
  });
  expect(response.status).toBe(401);
});
