import { describe, expect, test } from 'vitest';
import { emptyIntakeStats } from '../../src/ingest/counting-intake.ts';
import { type Evidence, judge, type Scrape } from './judge.ts';
import { Ledger } from './ledger.ts';
import { messageText, type StoredMessage } from './message.ts';
import { Random } from './random.ts';

const EPOCH = 1_795_000_000_000;

/** Ten acked messages of two producers, each in its row, and figures that fit. */
class Case {
  readonly ledger = new Ledger();
  rows: StoredMessage[] = [];
  deadLetters: StoredMessage[] = [];
  scrapes: Scrape[] = [];

  constructor() {
    const random = new Random(1);
    for (let n = 0; n < 5; n += 1) {
      for (const producer of ['a', 'b']) {
        const name = { producer, client: 0, n };
        // The last one of each would be refused by Postgres, if it were asked to.
        const text = messageText(name, random, { isPoison: n === 4 });
        const entry = this.ledger.sent(name, text);
        this.ledger.acked(entry, 'stored', { epoch: EPOCH, sequence: n + 1 });
        this.rows.push({ producer, epoch: EPOCH, sequence: n + 1, payload: text });
      }
    }
  }

  /** The row of a producer's message. */
  row(producer: string, n: number): StoredMessage {
    return this.rows.find((row) => row.producer === producer && row.sequence === n + 1) as StoredMessage;
  }

  entry(producer: string, n: number) {
    const entry = this.ledger.find({ producer, client: 0, n });
    if (entry === undefined) throw new Error(`${producer} never sent ${n}`);
    return entry;
  }

  remove(row: StoredMessage): void {
    this.rows = this.rows.filter((other) => other !== row);
  }

  /** Figures of a shard that saw all of it. */
  scrape(change: Partial<Scrape> = {}): Scrape {
    const committed = this.rows.length;
    const dead = this.deadLetters.length;
    return {
      ...emptyIntakeStats(),
      sinceMs: 1,
      received: committed + dead,
      committed,
      dead,
      deadLetters: dead,
      ...change,
    };
  }

  judge(change: Partial<Evidence> = {}) {
    return judge({
      entries: this.ledger.entries,
      rows: this.rows,
      deadLetters: this.deadLetters,
      scrapes: this.scrapes.length > 0 ? this.scrapes : [this.scrape()],
      bounds: { bufferedBytes: 1_000, outboxBytes: 1_000 },
      ...change,
    });
  }
}

describe('the oracle', () => {
  test('has nothing to say where every promise was kept', () => {
    expect(new Case().judge()).toMatchObject({
      pass: true,
      failures: [],
      sent: 10,
      acked: 10,
      committed: 10,
      dead: 0,
      lost: 0,
      doubled: 0,
      altered: 0,
      outOfOrder: 0,
    });
  });

  test('takes a dead letter for a promise kept', () => {
    const found = new Case();
    const row = found.row('b', 4);
    found.remove(row);
    found.deadLetters.push(row);
    expect(found.judge()).toMatchObject({ pass: true, committed: 9, dead: 1, lost: 0 });
  });

  test('lets an unacked message be there or not', () => {
    for (const isThere of [true, false]) {
      const found = new Case();
      const entry = found.entry('a', 4);
      entry.outcome = { state: 'unacked', code: 'killed' };
      if (!isThere) found.remove(found.row('a', 4));
      expect(found.judge()).toMatchObject({ pass: true, sent: 10, acked: 9, lost: 0 });
    }
  });

  test.each<[what: string, code: string, isInStorage: boolean]>([
    ['is still in a storage', 'killed', true],
    ['was told to be in doubt', 'fate_unknown', false],
  ])('lets a message be nowhere that a storage had and that %s', (_, code, isInStorage) => {
    const found = new Case();
    const entry = found.entry('a', 4);
    Object.assign(entry, { isKept: true, outcome: { state: 'unacked', code } });
    found.remove(found.row('a', 4));
    expect(found.judge({ keptByStorages: isInStorage ? [entry.text] : [] })).toMatchObject({ pass: true });
  });

  test('lets what was sent as new by decision be there twice, and not three times', () => {
    const found = new Case();
    found.ledger.decided({ producer: 'a', client: 0, n: 4 }, { act: 'sent-as-new' });
    const copy = { ...found.row('a', 4), epoch: EPOCH + 1 };
    found.rows.push(copy);
    expect(found.judge()).toMatchObject({ pass: true, doubled: 0 });
    found.rows.push({ ...copy, sequence: 6 });
    expect(found.judge()).toMatchObject({ pass: false, doubled: 1 });
  });

  test('asks for order within each epoch where older ones are sent beside newer ones', () => {
    const found = new Case();
    const entry = found.entry('b', 4);
    entry.outcome = { state: 'acked', level: 'stored', atMs: 0, epoch: EPOCH - 1, sequence: 5 };
    found.row('b', 4).epoch = EPOCH - 1;
    expect(found.judge()).toMatchObject({ pass: false, outOfOrder: 1 });
    expect(found.judge({ epochsInterleave: true })).toMatchObject({ pass: true, outOfOrder: 0 });
  });

  test('counts what came again and was recognised, over every life of the shard, as no failure', () => {
    const found = new Case();
    found.scrapes = [
      found.scrape({ sinceMs: 1, received: 3, duplicate: 3, committed: 0 }),
      found.scrape({ sinceMs: 1, received: 5, duplicate: 5, committed: 0 }),
      found.scrape({ sinceMs: 2, received: 12, duplicate: 2 }),
    ];
    expect(found.judge()).toMatchObject({ pass: true, duplicate: 7 });
  });

  describe.each<
    [what: string, figure: 'lost' | 'doubled' | 'altered' | 'outOfOrder', breach: (found: Case) => void]
  >([
    ['a message that was acked and is nowhere', 'lost', (found) => found.remove(found.row('a', 3))],
    [
      'a message that was said to be a dead letter and is none',
      'lost',
      (found) => {
        found.remove(found.row('a', 4));
        found.entry('a', 4).outcome = { state: 'refused', code: 'dead_letter' };
      },
    ],
    ['a row that is there twice', 'doubled', (found) => found.rows.splice(2, 0, found.row('a', 1))],
    [
      'a message that is a row and a dead letter',
      'doubled',
      (found) => found.deadLetters.push(found.row('a', 4)),
    ],
    [
      'a row with another text',
      'altered',
      (found) => {
        const row = found.row('b', 2);
        row.payload = row.payload.replace('"k":"', '"k":"x');
      },
    ],
    [
      'a row of another producer',
      'altered',
      (found) => {
        found.row('b', 2).producer = 'c';
      },
    ],
    [
      'a row under another sequence than was acked',
      'altered',
      (found) => {
        found.row('b', 4).sequence = 7;
      },
    ],
    [
      'a row that nobody sent',
      'altered',
      (found) => found.rows.push({ producer: 'a', epoch: EPOCH, sequence: 6, payload: '{"n":6}' }),
    ],
    [
      'another content under the sequence that was acked',
      'lost',
      (found) => {
        // As where a copy of a client has sent other messages under the same numbers.
        const name = { producer: 'a', client: 1, n: 0 };
        const other = found.ledger.sent(name, messageText(name, new Random(2)));
        other.outcome = { state: 'acked', level: 'stored', atMs: 0, epoch: EPOCH, sequence: 3 };
      },
    ],
    [
      'a message that was in a storage and is nowhere, without a word',
      'lost',
      (found) => {
        found.remove(found.row('a', 3));
        Object.assign(found.entry('a', 3), { isKept: true, outcome: { state: 'unacked', code: 'killed' } });
      },
    ],
    [
      'a row that was refused',
      'altered',
      (found) => {
        found.entry('a', 2).outcome = { state: 'refused', code: 'invalid_json' };
      },
    ],
    [
      'two rows of a producer in the wrong order',
      'outOfOrder',
      (found) => {
        const [first, second] = [
          found.rows.indexOf(found.row('a', 1)),
          found.rows.indexOf(found.row('a', 2)),
        ];
        [found.rows[first], found.rows[second]] = [
          found.rows[second] as StoredMessage,
          found.rows[first] as StoredMessage,
        ];
      },
    ],
    [
      'sequences that say another order than the messages',
      'outOfOrder',
      (found) => {
        const [first, second] = [found.row('a', 1), found.row('a', 2)];
        [first.payload, second.payload] = [second.payload, first.payload];
      },
    ],
    [
      'an older epoch behind a newer one',
      'outOfOrder',
      (found) => {
        const entry = found.entry('b', 4);
        entry.outcome = { state: 'acked', level: 'stored', atMs: 0, epoch: EPOCH - 1, sequence: 5 };
        found.row('b', 4).epoch = EPOCH - 1;
      },
    ],
  ])('finds %s', (_, figure, breach) => {
    test(`as ${figure}`, () => {
      const found = new Case();
      breach(found);
      const verdict = found.judge();
      expect(verdict.pass).toBe(false);
      expect(verdict[figure]).toBeGreaterThan(0);
      expect(verdict.failures.join('\n')).toMatch(/[ab]\/0\/\d|nobody sent|epoch/);
    });
  });

  test.each<[what: string, pattern: RegExp, breach: (found: Case) => void]>([
    [
      'a message that was never answered',
      /unanswered/,
      (found) => {
        found.entry('a', 0).outcome = { state: 'sent' };
      },
    ],
    [
      'a good message among the dead letters',
      /condemned/,
      (found) => {
        const row = found.row('a', 1);
        found.remove(row);
        found.deadLetters.push(row);
      },
    ],
    [
      'counters that do not add up, at any moment',
      /miscounted: 11 received are not 10 committed/,
      (found) => {
        found.scrapes = [found.scrape({ received: 11 }), found.scrape()];
      },
    ],
    [
      'a shard that counts more rows than there are',
      /miscounted: 11 rows/,
      (found) => {
        found.scrapes = [found.scrape({ received: 11, committed: 11 })];
      },
    ],
    [
      'a dead letter that is counted and not there',
      /miscounted: 1 dead letters/,
      (found) => {
        found.scrapes = [found.scrape({ deadLetters: 1 })];
      },
    ],
    [
      'a backlog that is still there',
      /not drained: 2 messages/,
      (found) => {
        found.scrapes = [found.scrape({ buffered: 2, received: 12 })];
      },
    ],
    [
      'memory beyond its bound',
      /over a bound: 1001 bytes in memory/,
      (found) => {
        found.scrapes = [found.scrape({ bufferedBytes: 1_001 }), found.scrape()];
      },
    ],
    [
      'an outbox beyond its bound',
      /over a bound: 1001 bytes in the outbox/,
      (found) => {
        found.scrapes = [found.scrape({ outboxBytes: 1_001 }), found.scrape()];
      },
    ],
  ])('finds %s', (_, pattern, breach) => {
    const found = new Case();
    breach(found);
    const { pass, failures } = found.judge();
    expect({ pass, said: failures.join('\n') }).toEqual({
      pass: false,
      said: expect.stringMatching(pattern),
    });
  });

  describe('of two tables', () => {
    test('has nothing to say where both have the same rows, in whatever order of producers', () => {
      const found = new Case();
      const copies = found.rows.toSorted((one, other) => one.producer.localeCompare(other.producer));
      expect(found.judge({ copies })).toMatchObject({ pass: true, failures: [] });
    });

    test.each<
      [what: string, figure: 'lost' | 'doubled' | 'outOfOrder', breach: (rows: StoredMessage[]) => void]
    >([
      ['a message that the second one lacks', 'lost', (rows) => rows.splice(3, 1)],
      [
        'a message that only the second one has, though nobody acked it',
        'lost',
        (rows) => rows.push({ producer: 'c', epoch: EPOCH, sequence: 1, payload: 'never acked' }),
      ],
      [
        'a text that is another one in the second',
        'lost',
        (rows) => rows.splice(0, 1, { ...rows[0], payload: '{}' } as StoredMessage),
      ],
      ['a message that is twice in the second', 'doubled', (rows) => rows.push(rows.at(-1) as StoredMessage)],
      ['another order in the second', 'outOfOrder', (rows) => rows.reverse()],
    ])('finds %s', (_, figure, breach) => {
      const found = new Case();
      const copies = [...found.rows];
      breach(copies);
      const verdict = found.judge({ copies });
      expect(verdict.pass).toBe(false);
      expect(verdict[figure]).toBeGreaterThan(0);
    });
  });

  test('finds a shard that was never asked', () => {
    expect(new Case().judge({ scrapes: [] }).pass).toBe(false);
  });
});

describe("an operator's decision about a dead letter", () => {
  const MENDED = '{"producer":"a","client":0,"n":1,"k":"mended"}';

  /** A message that was a dead letter was retried with another text, and came in behind all others. */
  function mended(): Case {
    const found = new Case();
    const row = found.row('a', 1);
    found.ledger.decided({ producer: 'a', client: 0, n: 1 }, { act: 'retried', text: MENDED });
    found.remove(row);
    found.rows.push({ ...row, payload: MENDED });
    return found;
  }

  test('gives up its order and replaces its text', () => {
    expect(mended().judge()).toMatchObject({ pass: true, outOfOrder: 0, altered: 0, lost: 0 });
  });

  test('lets it be nowhere once it was dropped, whatever its producer was told', () => {
    for (const state of ['acked', 'refused'] as const) {
      const found = new Case();
      found.ledger.decided({ producer: 'a', client: 0, n: 4 }, { act: 'dropped' });
      if (state === 'refused') found.entry('a', 4).outcome = { state, code: 'dead_letter' };
      found.remove(found.row('a', 4));
      expect(found.judge()).toMatchObject({ pass: true, lost: 0 });
    }
  });

  test.each<[what: string, figure: 'lost' | 'altered' | 'doubled', breach: (found: Case) => void]>([
    ['lost on its way back', 'lost', (found) => found.remove(found.row('a', 1))],
    [
      'with the text that it had before',
      'altered',
      (found) => {
        found.row('a', 1).payload = found.entry('a', 1).text;
      },
    ],
    [
      'written, and still among the dead letters',
      'doubled',
      (found) => {
        const { text } = found.entry('a', 4);
        found.ledger.decided({ producer: 'a', client: 0, n: 4 }, { act: 'retried', text });
        found.deadLetters.push({ ...found.row('a', 4) });
      },
    ],
    [
      'dropped, and written all the same',
      'altered',
      (found) => found.ledger.decided({ producer: 'b', client: 0, n: 4 }, { act: 'dropped' }),
    ],
  ])('does not excuse a message that is %s', (_, figure, breach) => {
    const found = mended();
    breach(found);
    const verdict = found.judge();
    expect(verdict.pass).toBe(false);
    expect(verdict[figure]).toBeGreaterThan(0);
  });
});
