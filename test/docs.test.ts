/** What the documents say is what the code does. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { benchSink, createBenchTable } from '../lab/suites/ingest/bench-sink.ts';
import { REPOSITORY } from '../local/repository.ts';
import { closeCode, type ErrorCode, httpStatus } from '../src/core/errors.ts';
import { MAX_CREDIT_BYTES, MAX_CREDIT_MESSAGES } from '../src/core/limits.ts';
import { EventStore } from '../src/events/event-store.ts';
import { NO_CREDIT } from '../src/ingest/credit.ts';
import { Pipeline } from '../src/ingest/pipeline.ts';
import { answerRpc } from '../src/messages/http/rpc.ts';
import { MessageStore } from '../src/messages/message-store.ts';
import { decodeFrame, encodeErrorFrame } from '../src/protocol/frame.ts';
import { encodeAck, encodeCredit, encodeFlow, encodeGap, encodeNack } from '../src/protocol/sluice-v1.ts';
import { SCENARIOS } from './faults/scenarios/all.ts';
import { freshName, rowsOf, testDatabase } from './support/connect.ts';
import { FakeTimers } from './support/fake-timers.ts';
import { NodeSqlite } from './support/node-sqlite.ts';
import {
  benchTable,
  dcbBenchTable,
  modesTable,
  optionsTable,
  ratesBenchTable,
  storeBenchTable,
  stressBenchTable,
} from './support/page-tables.ts';

const readme = read('README.md');
const protocol = read('PROTOCOL.md');
const database = testDatabase('tcp');

/** What a session of sluice.v1 is closed for. */
const V1_CLOSES: readonly ErrorCode[] = [
  'invalid_frame',
  'invalid_hello',
  'hello_required',
  'invalid_options',
  'unknown_sink',
  'hello_timeout',
  'fenced',
  'replaced',
  'unauthorized',
  'forbidden',
  'origin_not_allowed',
  'over_credit',
  'too_many_connections',
  'shard_failed',
  'shard_unavailable',
  'authorization_unavailable',
  'slow_reader',
];

describe('the tables of the pages', () => {
  test('list the ways of writing as they are', () => expect(read('docs/sinks.md')).toContain(modesTable()));
  test('list every option of a sink with its default and bounds', () =>
    expect(read('docs/sinks.md')).toContain(optionsTable()));
  test.each([
    ['the bench', benchTable],
    ['the bench of rates', ratesBenchTable],
    ['the bench of the event store', dcbBenchTable],
    ['the bench of the store', storeBenchTable],
    ['the stress ramp', stressBenchTable],
  ])('list every flag of %s with its default and bounds', (_, table) =>
    expect(read('docs/lab.md')).toContain(table()),
  );
});

describe('docs/delivery.md', () => {
  const delivery = read('docs/delivery.md');

  test('promises what README.md promises', () => {
    const promise = /^\| level \| an ack says .*(\n\|.*)+/m;
    const [table] = promise.exec(delivery) ?? [];
    expect(table?.split('\n')).toHaveLength(6);
    expect(readme).toContain(table);
  });

  test('names faults that the lab has', () => {
    const rows =
      delivery.slice(delivery.indexOf('| promise | shown by |')).split('\n\n')[0]?.split('\n') ?? [];
    const named = rows
      .slice(2)
      .flatMap((row) => [...(row.split('|')[2] ?? '').matchAll(/`([a-z0-9-]*[a-z0-9])`/g)]);
    expect(named.length).toBeGreaterThan(20);
    const known = SCENARIOS.map(({ name }) => name);
    for (const [, name] of named) expect(known).toContain(name);
  });

  test.each([
    { name: 'faults-first', faults: 6 },
    { name: 'faults-dev', faults: 2 },
    { name: 'faults-identity', faults: 5 },
    { name: 'faults-storage-old', faults: 1 },
    { name: 'faults-storage-shared', faults: 1 },
  ])('quotes the faults as the report $name has them', ({ name, faults }) => {
    const rows = read(`results/reference/${name}.md`)
      .split('\n')
      .filter((line) => line.startsWith('|'));
    expect(rows).toHaveLength(2 + faults);
    for (const row of rows) expect(delivery).toContain(row);
    expect(read(`results/reference/${name}.md`)).not.toContain('FAILED');
  });

  test('names the figures of the outage', () => {
    const { sent, rows, distinct, unacked } = JSON.parse(read('results/reference/outage.json')) as Record<
      string,
      number
    >;
    expect({ rows, distinct, unacked }).toEqual({ rows: sent, distinct: sent, unacked: 0 });
    expect(delivery).toContain(`All ${(sent as number).toLocaleString('en-US')} messages`);
  });
});

describe('docs/lab.md', () => {
  test.each(['ingest', 'ingest-frame100'])('quotes the reference run %s as its report has it', (name) => {
    const rows = read(`results/reference/${name}.md`)
      .split('\n')
      .filter((line) => line.startsWith('|'));
    expect(rows.length).toBeGreaterThan(7);
    for (const row of rows) expect(read('docs/lab.md')).toContain(row);
  });
});

describe('the pages of the stores', () => {
  const messageStore = read('docs/message-store.md');

  test.each([
    ['docs/message-store.md', MessageStore, 10],
    ['docs/event-store.md', EventStore, 6],
  ] as const)('%s names every method', (page, { prototype }, least) => {
    const methods = Object.getOwnPropertyNames(prototype).filter(
      // Those that hand the JSON on as text are for the HTTP interface.
      (name) => name !== 'constructor' && !name.endsWith('Records') && !name.endsWith('Record'),
    );
    expect(methods.length).toBeGreaterThan(least);
    for (const name of methods) expect(read(page)).toMatch(new RegExp(`\`${name}[\`(]`));
  });

  test('name every method of /rpc, and no other', async () => {
    const never = () => Promise.reject(new Error('nothing is asked for'));
    const ports = { store: never, namespaces: never, health: never, onFailure() {} };
    const { body } = await answerRpc('["no.method"]', { ...ports, randomBytes: () => new Uint8Array() });
    const methods = [...(/there are ([^"]*)/.exec(body as string)?.[1] ?? '').matchAll(/\w+\.\w+/g)].map(
      String,
    );
    expect(methods.length).toBeGreaterThan(10);
    const named = [...messageStore.matchAll(/`\["(\w+\.\w+)"/g)].map(([, name]) => name);
    expect(named.toSorted()).toEqual(methods.toSorted());
  });
});

describe('PROTOCOL.md', () => {
  test('shows an error frame as the server sends it', () => {
    const { refusals, refusedCount } = decodeFrame('{"a":1}\n{"a":2}\nbad');
    expect(protocol).toContain(encodeErrorFrame(refusals, refusedCount));
  });

  test('has a conversation of sluice.v1 that a shard has in just that way', async () => {
    const example = /```\n(→ [\s\S]*?)```/.exec(protocol)?.[1] ?? '';
    // A frame begins at an arrow; what the client sends may go on in the lines below.
    const frames = [...example.matchAll(/^([→←]) ([\s\S]*?)\n(?=[→←]| {2}closed)/gm)].map(
      ([, who, text]) => ({
        who,
        text: (text as string).replaceAll(/^ {2}/gm, ''),
      }),
    );
    expect(frames.map(({ who }) => who).join('')).toBe('→←→←→←←');
    const welcome = JSON.parse(frames[1]?.text ?? '{}') as {
      producer: string;
      epoch: number;
      session: string;
    };

    const table = freshName('protocol');
    const connection = await database.open();
    await rowsOf(connection, createBenchTable(table, 'jsonb'));
    const timers = new FakeTimers(welcome.epoch);
    const pipeline = new Pipeline({
      sink: benchSink({ table, column: 'jsonb', options: {} }),
      openConnection: () => database.open(),
      timers,
      random: Math.random,
      sqlite: new NodeSqlite(),
      randomId: () => welcome.session.slice('1.'.length),
    });
    const said: string[] = [];
    let closedWith: number | undefined;
    const peer = {
      send: (frame: string) => void said.push(frame),
      close: (code: number) => {
        closedWith = code;
      },
    };
    const session = pipeline.openSession(peer, {
      producer: welcome.producer,
      protocol: 'sluice.v1',
      nowMs: timers.now(),
    });
    for (const { who, text } of frames) {
      if (who === '→') {
        session.receive(text, timers.now());
        timers.advance(2);
      } else {
        expect(said.shift()).toBe(text);
        // What follows in the example comes after the messages are committed.
        if (said.length === 0) {
          pipeline.flush();
          await pipeline.drained();
        }
      }
    }
    expect(said).toEqual([]);
    expect(closedWith).toBe(Number(/closed with (\d+)/.exec(example)?.[1]));
    expect(await rowsOf(connection, `select payload from sluice_bench_${table}`)).toHaveLength(2);
  });

  test('shows the frames of sluice.v1 as the server sends them', () => {
    const credit = encodeCredit({ messages: MAX_CREDIT_MESSAGES, bytes: MAX_CREDIT_BYTES });
    expect(protocol).toContain(encodeAck(1250, 1180, credit, true));
    expect(protocol).toContain(encodeNack('invalid_json', false, '…', { from: 1232, to: 1232 }));
    expect(protocol).toContain(encodeGap(1300, 1310));
    expect(protocol).toContain(encodeFlow(encodeCredit(NO_CREDIT), 'outbox_full'));
  });

  test('lists the close codes that end a socket of sluice.v1', () => {
    const rows = [...protocol.matchAll(/^\| (4\d{3}) \| ([^|]*) \| ([^|]*) \|/gm)];
    const codesOf = (names: string): ErrorCode[] =>
      [...names.matchAll(/`(\w+)`/g)].map(([, code]) => code as ErrorCode);
    const listed = rows.flatMap(([, close, names]) =>
      codesOf(names as string).map((code) => [code, Number(close)]),
    );
    expect(listed.toSorted()).toEqual(V1_CLOSES.map((code) => [code, closeCode(code)]).toSorted());
  });

  test('gives every error its status', () => {
    const section = protocol.slice(protocol.indexOf('# Errors over HTTP'));
    const rows = [...section.matchAll(/^\| (`[^|]+`) \| (\d{3})/gm)];
    expect(rows.length).toBeGreaterThan(8);
    for (const [, codes, status] of rows) {
      for (const [, code] of (codes as string).matchAll(/`(\w+)`/g)) {
        expect({ code, status: httpStatus(code as never) }).toEqual({ code, status: Number(status) });
      }
    }
  });
});

describe('package.json', () => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<
    string,
    Record<string, string>
  >;

  test('pins exact versions', () => {
    const versions = Object.values({ ...dependencies, ...devDependencies });
    expect(versions.length).toBeGreaterThan(15);
    for (const version of versions) expect(version).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
  });

  test('installs one workerd and one Miniflare', () => {
    const { packages } = JSON.parse(read('package-lock.json')) as {
      packages: Record<string, { version: string }>;
    };
    for (const name of ['workerd', 'miniflare', 'wrangler', 'vitest']) {
      expect(Object.keys(packages).filter((path) => path.endsWith(`node_modules/${name}`))).toEqual([
        `node_modules/${name}`,
      ]);
    }
  });
});

function read(path: string): string {
  return readFileSync(join(REPOSITORY, path), 'utf8');
}
