/** Clients that other people use against a real Worker and a real Postgres: each message once, and text that is not UTF-8 never. */

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import type { Connection } from '../../src/database/connection.ts';
import { freshName, rowsOf, testDatabase } from '../support/connect.ts';
import { eventually } from '../support/patience.ts';
import { type Answer, SPEAKERS, type SpokenFrame, type Talk } from './speakers.ts';

const database = testDatabase('tcp');
let connection: Connection;
/** One as it comes, and one whose sink stores U+FFFD in text frames. */
let refusing: LocalWorker;
let storing: LocalWorker;

beforeAll(async () => {
  const bindings = { AUTHORIZE: 'open', DATABASE_URL: inject('databaseUrl') };
  refusing = await startWorker({ bindings });
  storing = await startWorker({
    bindings: { ...bindings, SINKS: JSON.stringify({ messages: { replacementCharacter: 'store' } }) },
  });
  connection = await database.open();
});
afterAll(async () => {
  await refusing?.stop();
  await storing?.stop();
});

const HELLO = { text: '{"t":"hello","ack":"committed"}' };
const BYE = { text: '{"t":"bye"}' };

function addressOf(worker: LocalWorker, producer: string): string {
  const url = new URL(`/ws/messages?producer=${producer}`, worker.url);
  url.protocol = 'ws:';
  return url.href;
}

/** The payloads of a producer in the order of their rows. What a raw socket sent is there shortly after its close. */
async function payloadsOf(producer: string, count: number): Promise<unknown[]> {
  return eventually(async () => {
    const rows = await rowsOf<{ payload: unknown }>(
      connection,
      `select payload from messages where producer = '${producer}' order by id`,
    );
    expect(rows.length).toBeGreaterThanOrEqual(count);
    return rows.map(({ payload }) => payload);
  });
}

function batch(seq: number, lines: readonly (string | Buffer)[]): Buffer {
  const header = Buffer.from(`{"t":"batch","seq":${seq},"n":${lines.length}}`);
  return Buffer.concat([header, ...lines.flatMap((line) => [Buffer.from('\n'), Buffer.from(line)])]);
}

/** Texts that are not UTF-8, in the string of a message. */
const NO_UTF8: [what: string, bytes: Buffer][] = [
  ['Latin-1 "°C"', Buffer.from('{"unit":"\xb0C"}', 'latin1')],
  ['CESU-8', Buffer.concat([Buffer.from('{"a":"'), Buffer.from('eda0bdedb982', 'hex'), Buffer.from('"}')])],
  ['an overlong form', Buffer.concat([Buffer.from('{"a":"'), Buffer.from('c0af', 'hex'), Buffer.from('"}')])],
  ['a cut character', Buffer.concat([Buffer.from('{"a":"'), Buffer.from('e282', 'hex'), Buffer.from('"}')])],
];

const GOOD = ['{"celsius":21.5,"unit":"°C"}', '{"text":"🙂 \\ufffd"}'];
const GOOD_VALUES = GOOD.map((text) => JSON.parse(text) as unknown);

/** A good message before each of the bad ones, and one at the end. */
function mixed(): { lines: (string | Buffer)[]; badLines: number[]; values: unknown[] } {
  const lines: (string | Buffer)[] = [];
  const badLines: number[] = [];
  const values: unknown[] = [];
  for (const [index, [, bytes]] of NO_UTF8.entries()) {
    lines.push(GOOD[index % 2] as string, bytes);
    values.push(GOOD_VALUES[index % 2]);
    badLines.push(lines.length);
  }
  lines.push(GOOD[0] as string);
  values.push(GOOD_VALUES[0]);
  return { lines, badLines, values };
}

function joined(lines: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    lines.flatMap((line, index) => [...(index > 0 ? [Buffer.from('\n')] : []), Buffer.from(line)]),
  );
}

interface Nack {
  t: string;
  from: number;
  to: number;
  code: string;
}

/** The sequences that an answer of `sluice.v1` refuses, with the codes. */
function refusedIn({ received }: Answer): [sequence: number, code: string][] {
  return received
    .map((frame) => JSON.parse(frame) as Nack)
    .filter(({ t }) => t === 'nack')
    .flatMap(({ from, to, code }) =>
      Array.from({ length: to - from + 1 }, (_, index): [number, string] => [from + index, code]),
    );
}

describe.each(SPEAKERS)('$name', ({ missing, speak }) => {
  if (missing !== undefined) {
    console.warn(missing);
    test('is not installed', (context) => context.skip(missing));
    return;
  }

  describe('delivers', () => {
    const count = 2_000;
    const messages = Array.from({ length: count }, (_, n) => ({
      n,
      text: ['°C', '€', '🙂', 'plain'][n % 4],
    }));

    test('each message once and in order in the raw mode', async () => {
      const producer = freshName('raw');
      const frames: SpokenFrame[] = [];
      for (let from = 0; from < count; from += 50) {
        const lines = messages.slice(from, from + 50).map((message) => JSON.stringify(message));
        frames.push({ text: lines.join('\n') });
      }
      const { received, code } = await speak({ url: addressOf(refusing, producer), frames });
      expect({ received, code }).toEqual({ received: [], code: 1000 });
      expect(await payloadsOf(producer, count)).toEqual(messages);
    });

    test.each(['text', 'binary'])(
      'each message once and in order by sluice.v1 in %s frames',
      async (kind) => {
        const producer = freshName('v1');
        const frames: SpokenFrame[] = [HELLO];
        for (let from = 0; from < count; from += 100) {
          const lines = messages.slice(from, from + 100).map((message) => JSON.stringify(message));
          const binary = batch(from + 1, lines);
          frames.push(kind === 'binary' ? { binary } : { text: binary.toString() });
        }
        const answer = await speak({
          url: addressOf(refusing, producer),
          protocol: 'sluice.v1',
          frames: [...frames, BYE],
        });
        expect(answer.code).toBe(1000);
        expect(refusedIn(answer)).toEqual([]);
        expect(JSON.parse(answer.received.at(-2) as string)).toMatchObject({ t: 'ack', committed: count });
        expect(await payloadsOf(producer, count)).toEqual(messages);
      },
    );
  });

  describe('sends what is not UTF-8', () => {
    const { lines, badLines, values } = mixed();

    async function refuses(talk: Omit<Talk, 'url'>, worker = refusing): Promise<[Answer, unknown[]]> {
      const producer = freshName('utf8');
      const answer = await speak({ ...talk, url: addressOf(worker, producer) });
      return [answer, await payloadsOf(producer, values.length)];
    }

    test('in a raw frame: each is refused by its line, the others are stored', async () => {
      const [{ received, code }, stored] = await refuses({ frames: [{ textBytes: joined(lines) }] });
      expect(code).toBe(1000);
      const [error] = received.map(
        (frame) => JSON.parse(frame) as { errors: { line: number; code: string }[] },
      );
      expect(error?.errors.map(({ line, code }) => ({ line, code }))).toEqual(
        badLines.map((line) => ({ line, code: 'invalid_utf8' })),
      );
      expect(stored).toEqual(values);
    });

    test.each(['text', 'binary'])('in a %s frame of sluice.v1: each gets its nack', async (kind) => {
      const bytes = batch(1, lines);
      const frame = kind === 'binary' ? { binary: bytes } : { textBytes: bytes };
      const [answer, stored] = await refuses({ protocol: 'sluice.v1', frames: [HELLO, frame, BYE] });
      expect(answer.code).toBe(1000);
      expect(refusedIn(answer)).toEqual(badLines.map((line) => [line, 'invalid_utf8']));
      expect(stored).toEqual(values);
    });

    // The control: what is refused above is what the runtime has made of the bytes.
    test('to a sink that stores it: the runtime has put U+FFFD in its place', async () => {
      const producer = freshName('stored');
      const { received, code } = await speak({
        url: addressOf(storing, producer),
        frames: [{ textBytes: joined(lines) }],
      });
      expect({ received, code }).toEqual({ received: [], code: 1000 });
      const stored = await payloadsOf(producer, lines.length);
      expect(stored.filter((_, index) => !badLines.includes(index + 1))).toEqual(values);
      const altered = stored.filter((_, index) => badLines.includes(index + 1));
      expect(altered).toHaveLength(NO_UTF8.length);
      for (const value of altered) expect(JSON.stringify(value)).toContain('\ufffd');
    });

    // Bytes are seen as they are, whatever the sink says of texts.
    test('in a binary frame to a sink that stores it: refused all the same', async () => {
      const [answer] = await refuses(
        { protocol: 'sluice.v1', frames: [HELLO, { binary: batch(1, lines) }, BYE] },
        storing,
      );
      expect(refusedIn(answer)).toEqual(badLines.map((line) => [line, 'invalid_utf8']));
    });
  });
});
