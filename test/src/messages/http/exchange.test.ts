import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../../../src/core/errors.ts';
import type { ImportRow, ImportVerdict } from '../../../../src/messages/engine.ts';
import { SqliteMessageEngine } from '../../../../src/messages/engines/sqlite-engine.ts';
import {
  exportLines,
  IMPORT_DRAIN_MS,
  type ImportEvent,
  importLines,
} from '../../../../src/messages/http/exchange.ts';
import { MessageStore } from '../../../../src/messages/message-store.ts';
import { NodeSqlite } from '../../../support/node-sqlite.ts';

const EVENT = { type: 'T' };
const TIME = '2025-01-15T10:00:00.000000000Z';

function newStore(engine = new SqliteMessageEngine(new NodeSqlite())): MessageStore {
  return new MessageStore(engine);
}

function line(gpos: number, changes: Record<string, unknown> = {}): string {
  const id = crypto.randomUUID();
  const whole = { id, stream: `a-${gpos}`, type: 'T', pos: 0, gpos, data: {}, meta: null, time: TIME };
  return JSON.stringify({ ...whole, ...changes });
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(text);
}

async function listOf<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function importOf(store: MessageStore, text: string, failures: unknown[] = []): Promise<ImportEvent[]> {
  const events = importLines(store, bytesOf(text), {
    now: () => 0,
    onFailure: (error) => failures.push(error),
  });
  return listOf(events);
}

async function exportOf(store: MessageStore): Promise<string> {
  return (await listOf(exportLines(store, { categories: [] }))).join('');
}

describe('an export', () => {
  it('ends where the namespace ended when it began, in all its categories', async () => {
    const store = newStore();
    await store.write('a-1', EVENT);
    await store.write('b-1', EVENT);
    const pieces = exportLines(store, { categories: ['a', 'b'] });
    const first = await pieces.next();
    expect(String(first.value)).toContain('"a-1"');
    await store.write('a-1', EVENT);
    await store.write('b-1', EVENT);
    const rest = (await listOf(pieces)).join('');
    expect(rest.trim().split('\n')).toEqual([expect.stringContaining('"stream":"b-1","type":"T","pos":0')]);
  });
});

describe('an import', () => {
  it.each([
    ['its id', { id: 'x' }],
    ['its stream', { stream: '-1' }],
    ['its type', { type: '' }],
    ['its global position', { gpos: 0 }],
    ['its data', { data: 'a\u0000b' }],
  ])('tells the line, also where others follow it: %s', async (_, changes) => {
    const store = newStore();
    const text = [line(1), '', line(2, changes), line(3), line(4)].join('\n');
    expect(await importOf(store, text)).toEqual([
      expect.objectContaining({ error: 'INVALID_RECORD', line: 3 }),
    ]);
    expect((await store.info()).messages).toBe(0n);
  });

  it('tells the line of a place that is taken', async () => {
    const store = newStore();
    await importOf(store, line(2));
    const text = [line(1), line(2), line(3)].join('\n');
    expect(await importOf(store, text)).toEqual([
      expect.objectContaining({ error: 'POSITION_EXISTS', line: 2 }),
    ]);
  });

  it('tells the line in a later batch', async () => {
    const store = newStore();
    const lines = Array.from({ length: 1_100 }, (_, index) => line(index + 1));
    lines[1_049] = line(1_050, { id: 'x' });
    expect((await importOf(store, lines.join('\n'))).at(-1)).toMatchObject({ line: 1_050 });
  });

  describe('that has failed', () => {
    /** A text whose first line is wrong, in as many pieces; and what was read of it. */
    function wrongText(pieces: number): { chunks: AsyncIterable<Uint8Array>; read: () => number } {
      let read = 0;
      async function* chunks(): AsyncGenerator<Uint8Array> {
        for (let piece = 0; piece < pieces; piece += 1) {
          read += 1;
          yield new TextEncoder().encode('{"id":\n');
        }
      }
      return { chunks: chunks(), read: () => read };
    }

    it('says so at once, and reads on to the end, so that a client that is sending gets to know', async () => {
      const { chunks, read } = wrongText(20);
      const events = importLines(newStore(), chunks, { now: () => 0, onFailure() {} });
      expect((await events.next()).value).toMatchObject({ error: 'INVALID_JSON', line: 1, imported: 0 });
      expect(read()).toBe(1);
      expect((await events.next()).done).toBe(true);
      expect(read()).toBe(20);
    });

    it('reads on for a while only', async () => {
      const { chunks, read } = wrongText(Number.POSITIVE_INFINITY);
      const now = (): number => read() * 1_000;
      expect(await listOf(importLines(newStore(), chunks, { now, onFailure() {} }))).toHaveLength(1);
      expect(read()).toBe(1 + IMPORT_DRAIN_MS / 1_000);
    });

    it('reads nothing more for somebody who has gone', async () => {
      const { chunks, read } = wrongText(20);
      const events = importLines(newStore(), chunks, { now: () => 0, onFailure() {} });
      await events.next();
      await events.return();
      expect(read()).toBe(1);
      expect(await chunks[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined });
    });
  });

  it('that has ended early says what is stored, and goes on when it is sent again', async () => {
    const store = newStore();
    const lines = Array.from({ length: 2_500 }, (_, index) => line(index + 1));
    const broken = [...lines];
    broken[2_200] = '{"id":';
    expect((await importOf(store, broken.join('\n'))).at(-1)).toMatchObject({
      error: 'INVALID_JSON',
      line: 2_201,
      imported: 2_000,
      gpos: 2_000,
    });
    expect(await importOf(store, lines.join('\n'))).toEqual([
      { imported: 1_000, gpos: 1_000 },
      { imported: 2_000, gpos: 2_000 },
      { done: true, imported: 2_500, repeated: 2_000, elapsed: '0.0s' },
    ]);
    expect(await exportOf(store)).toBe(`${lines.join('\n')}\n`);
    // All of it once more, and in other batches.
    expect((await importOf(store, lines.slice(700).join('\n'))).at(-1)).toMatchObject({
      imported: 1_800,
      repeated: 1_800,
    });
    expect(await exportOf(store)).toBe(`${lines.join('\n')}\n`);
  });

  it.each([
    ['its data', { data: { other: 1 } }],
    ['its metadata', { meta: {} }],
    ['its type', { type: 'U' }],
    ['its time', { time: '2025-01-15T10:00:00.000001Z' }],
    ['its id', { id: crypto.randomUUID() }],
  ])('does not take another message for the same: %s', async (_, changes) => {
    const store = newStore();
    const first = line(1);
    await importOf(store, first);
    const other = JSON.stringify({ ...JSON.parse(first), ...changes });
    expect(await importOf(store, [line(2), other].join('\n'))).toEqual([
      expect.objectContaining({ error: 'POSITION_EXISTS', line: 2, imported: 0, gpos: 0 }),
    ]);
    expect((await store.info()).messages).toBe(1n);
  });

  it('takes a time without a zone for UTC, as Message DB has it', async () => {
    const store = newStore();
    await importOf(store, line(1, { time: '2025-01-15 10:00:00.123456' }));
    expect((await store.last('a-1'))?.timeUs).toBe(Date.UTC(2025, 0, 15, 10) * 1_000 + 123_456);
  });

  it.each(['9007199254740992', '18446744073709551616', '1e300'])(
    'says why the place %s is refused',
    async (place) => {
      const text = line(1).replace('"gpos":1', `"gpos":${place}`);
      expect(await importOf(newStore(), text)).toEqual([
        expect.objectContaining({
          error: 'INVALID_RECORD',
          message: 'gpos is beyond 4503599627370496, the largest position that can be imported',
        }),
      ]);
    },
  );

  // Alone, so that no other number of the line makes it be looked at.
  it.each(['9007199254740993', '1.50', '-0', '1e5', '0.0000001'])(
    'keeps %s as it is written',
    async (number) => {
      const store = newStore();
      const text = `${line(1, { data: 'D' }).replace('"D"', `{"n":${number}}`)}\n`;
      expect(await importOf(store, text)).toEqual([expect.objectContaining({ done: true, imported: 1 })]);
      expect(await exportOf(store)).toBe(text);
    },
  );

  it('keeps data that are null, which are not the same as none', async () => {
    const store = newStore();
    await store.write('a-1', [{ type: 'T', data: null }, { type: 'T' }]);
    const text = await exportOf(store);
    expect(text).toContain('"data":null');
    const other = newStore();
    await importOf(other, text);
    expect(await exportOf(other)).toBe(text);
    expect((await other.readStream('a-1')).map(({ data }) => data)).toEqual([null, {}]);
    const without = line(9, { data: undefined });
    await importOf(other, without);
    expect((await other.last('a-9'))?.data).toEqual({});
  });

  it('keeps numbers as they are written', async () => {
    const store = newStore();
    const numbers =
      '{"a":9007199254740993,"b":[0.12345678901234567890],"c":1e400,"d":-12345.678901234567890}';
    const text = `${line(1, { data: 'D', meta: 'M' }).replace('"D"', numbers).replace('"M"', numbers)}\n`;
    expect(await importOf(store, text)).toEqual([expect.objectContaining({ done: true, imported: 1 })]);
    expect(await exportOf(store)).toBe(text);
  });

  it('of which the configuration is wrong tells nothing of it', async () => {
    class Misconfigured extends SqliteMessageEngine {
      override import(_rows: readonly ImportRow[]): Promise<ImportVerdict> {
        throw new SluiceError('invalid_configuration', 'Cannot use db.internal:5432');
      }
    }
    const failures: unknown[] = [];
    const events = await importOf(newStore(new Misconfigured(new NodeSqlite())), line(1), failures);
    expect(events).toEqual([expect.objectContaining({ error: 'IMPORT_FAILED' })]);
    expect(JSON.stringify(events)).not.toContain('db.internal');
    expect(failures).toHaveLength(1);
  });
});
