/**
 * Copies of an identity: an ack is true by content, whichever holder comes back, and with what state. The clients here are as simple as can
 * be and keep to PROTOCOL.md; each has a state that may be copied at any moment, running or stored.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { benchSink } from '../../../lab/suites/ingest/bench-sink.ts';
import type { Session } from '../../../src/ingest/intake.ts';
import { Pipeline } from '../../../src/ingest/pipeline.ts';
import { decodeRuns } from '../../../src/outbox/group.ts';
import { FakeTimers } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';

/** Plays of each kind. More find more: `IDENTITY_RUNS=100000`. */
const RUNS = Number(process.env.IDENTITY_RUNS ?? 200);

type Frame = Record<string, unknown> & { t: string };

/** A shard whose database is away: its outbox keeps all that it ever took. */
class World {
  readonly sqlite = new NodeSqlite();
  readonly timers = new FakeTimers(1_000_000);
  pipeline!: Pipeline;
  /** Contents that some holder was acked. */
  readonly acked = new Set<string>();
  #contents = 0;
  #names = 0;

  constructor() {
    this.restart();
  }

  restart(): void {
    this.pipeline = new Pipeline({
      sink: benchSink({ table: 'unused', column: 'jsonb', options: { lingerMs: 0 } }),
      openConnection: () => Promise.reject(new Error('away')),
      timers: this.timers,
      random: () => 0.5,
      sqlite: this.sqlite,
      randomId: () => this.name(),
    });
  }

  /** A text that nobody else ever got. */
  name(): string {
    this.#names += 1;
    return `n${this.#names}`;
  }

  content(): string {
    this.#contents += 1;
    return `"content ${this.#contents}"`;
  }

  /** All that was ever taken, as often as it was. */
  taken(): string[] {
    return this.sqlite
      .run<{ runs: string; body: string }>('select runs, body from outbox_groups order by key')
      .flatMap(({ runs, body }) => {
        const lines = body.split('\n');
        expect(decodeRuns(runs).reduce((rows, run) => rows + run.rows, 0)).toBe(lines.length);
        return lines;
      });
  }
}

/** What one instance of a client has sent or will send: the place of a content is its sequence. */
interface Log {
  instance: string;
  session: string | undefined;
  acked: number;
  contents: string[];
}

/** A client, running. All of its state but the socket is plain data, so that it can be copied. */
class Holder {
  readonly #world: World;
  /** What older instances have left, and what this one has taken. */
  readonly older: Log[];
  own: Log;
  epoch: number | undefined;
  /** How far it ever sent of its own instance, on whatever connection. */
  sentEver = 0;
  /** Contents of which it said that their fate is unknown. */
  readonly unknown: string[];
  isOver = false;
  /** As clients were before sessions: it believes that all of its epoch is its own. */
  isNaive = false;
  #session: Session | undefined;
  #log: Log | undefined;
  #sent = 0;

  constructor(
    world: World,
    state: { older: Log[]; own: Log; epoch?: number | undefined; unknown?: string[]; sentEver?: number },
  ) {
    this.#world = world;
    this.older = structuredClone(state.older);
    this.own = structuredClone(state.own);
    this.epoch = state.epoch;
    this.unknown = [...(state.unknown ?? [])];
    this.sentEver = state.sentEver ?? 0;
  }

  /** The same running program once more, as of a machine whose memory was copied. */
  twin(): Holder {
    const twin = new Holder(this.#world, this);
    twin.isOver = this.isOver;
    twin.cut();
    return twin;
  }

  /** What a program finds that starts from a copy of this one's storage. */
  started(): Holder {
    const left = [...this.older, this.own].filter(({ acked, contents }) => acked < contents.length);
    return new Holder(this.#world, { older: left, own: newLog(this.#world), unknown: this.unknown });
  }

  take(): void {
    if (!this.isOver) this.own.contents.push(this.#world.content());
  }

  cut(): void {
    this.#session?.end();
    this.#session = undefined;
    this.#log = undefined;
  }

  /** @param isWelcomeLost the socket is lost before the answer to its hello comes */
  connect(isWelcomeLost: boolean): void {
    if (this.isOver) return;
    this.cut();
    const log = this.older[0] ?? this.own;
    this.#log = log;
    const { pipeline, timers } = this.#world;
    const session = pipeline.openSession(
      {
        send: (frame) => {
          if (this.#session === session && !isWelcomeLost) this.#hear(JSON.parse(frame) as Frame, log);
        },
        close: (code) => {
          if (this.#session !== session || isWelcomeLost) return;
          this.cut();
          if (code === 4409 || code === 4410) this.isOver = true;
        },
      },
      { producer: 'p', protocol: 'sluice.v1', nowMs: timers.now() },
    );
    this.#session = session;
    session.receive(JSON.stringify({ t: 'hello', ...this.#intent(log) }), timers.now());
    if (isWelcomeLost) this.cut();
  }

  #intent(log: Log): object {
    const next = log.acked + 1;
    if (log !== this.own) return { recover: true, instance: log.instance, session: log.session, next };
    if (log.session === undefined) return { instance: log.instance };
    return { resume: true, epoch: this.epoch, session: log.session, next };
  }

  #hear(frame: Frame, log: Log): void {
    if (frame.t === 'welcome') {
      this.#sent = log.acked;
      const { stored, sure } = frame as unknown as { stored: number; sure: number | undefined };
      if (log !== this.own) this.#setAside(log, sure ?? stored, stored);
      if (frame.session !== undefined) log.session = frame.session as string;
      if (log === this.own) {
        this.epoch = frame.epoch as number;
        if (!this.isNaive) this.#standAside(frame.stored as number);
      }
    }
    if (frame.t === 'ack') {
      const stored = Math.min(frame.stored as number, this.#sent);
      for (const content of log.contents.slice(log.acked, stored))
        if (content !== '-') this.#world.acked.add(content);
      log.acked = Math.max(log.acked, stored);
      this.#dropDelivered(log);
    }
  }

  #dropDelivered(log: Log): void {
    if (log === this.own || log.acked < log.contents.length) return;
    this.older.shift();
    this.cut();
  }

  // More is stored than it ever sent in its instance: a copy went on in the session that both had. What lies between may be the
  // copy's, and is no longer to be given.
  #standAside(stored: number): void {
    this.#setAside(this.own, this.sentEver, stored);
    while (this.own.contents.length < stored) this.own.contents.push('-');
    this.sentEver = Math.max(this.sentEver, stored);
  }

  // What a copy may have sent under the same numbers.
  #setAside(log: Log, sure: number, stored: number): void {
    for (let at = Math.max(sure, log.acked); at < Math.min(stored, log.contents.length); at += 1) {
      if (log.contents[at] !== '-') this.unknown.push(log.contents[at] as string);
      log.contents[at] = '-';
    }
  }

  /** Sends up to so many messages; nothing where there is no socket. */
  send(count: number): void {
    const log = this.#log;
    const session = this.#session;
    if (session === undefined || log === undefined) return;
    const lines = log.contents.slice(this.#sent, this.#sent + count);
    if (lines.length === 0) return;
    const seq = this.#sent + 1;
    this.#sent += lines.length;
    if (log === this.own) this.sentEver = Math.max(this.sentEver, this.#sent);
    session.receive(
      `{"t":"batch","seq":${seq},"n":${lines.length}}\n${lines.join('\n')}`,
      this.#world.timers.now(),
    );
  }

  /** Everything that is still to be delivered from here. */
  get pending(): string[] {
    return [...this.older, this.own].flatMap(({ acked, contents }) => contents.slice(acked));
  }
}

function newLog(world: World): Log {
  return { instance: world.name(), session: undefined, acked: 0, contents: [] };
}

type Step =
  | { do: 'take' | 'connect' | 'lose welcome' | 'cut' | 'twin' | 'start' | 'crash'; who: number }
  | { do: 'send'; who: number; count: number }
  | { do: 'store' | 'restart'; who: number };

const who = fc.nat({ max: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('take' as const), who }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('send' as const), who, count: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('connect' as const), who }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('store' as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose welcome' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('twin' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('start' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), who }) },
);

/** What a program that is never copied may go through. */
const isOfOne = ({ do: act }: Step): boolean => act !== 'twin' && act !== 'start';
const trouble: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom('connect' as const, 'lose welcome' as const, 'crash' as const, 'take' as const),
  who,
});

interface Told {
  taken: string[];
  acked: string[];
  /** Neither taken nor told as unknown nor waiting in anybody's storage. */
  gone: string[];
  /** Told as unknown. */
  unknown: string[];
}

function play(steps: readonly Step[]): Told {
  const world = new World();
  const holders = [new Holder(world, { older: [], own: newLog(world) })];
  const made = new Set<string>();
  /** The copies of running programs, and the session that each was copied in. */
  const twins = new Map<Holder, string | undefined>();
  for (const each of steps) {
    const holder = holders[each.who % holders.length] as Holder;
    if (each.do === 'take') holder.take();
    else if (each.do === 'connect' || each.do === 'lose welcome') holder.connect(each.do === 'lose welcome');
    else if (each.do === 'send') holder.send(each.count);
    else if (each.do === 'cut') holder.cut();
    else if (each.do === 'store') world.pipeline.storeGroup();
    else if (each.do === 'restart') {
      for (const other of holders) other.cut();
      world.restart();
    } else if (each.do === 'twin') {
      if (holders.length === 6) continue;
      const twin = holder.twin();
      holders.push(twin);
      for (const one of [twin, holder]) twins.set(one, holder.own.session);
      // A program that is copied while it runs, and whose copy starts again from its own disk before it was welcomed: nothing
      // tells it from the program that it is a copy of (DESIGN.md).
    } else if (!twins.has(holder) || twins.get(holder) !== holder.own.session) {
      if (each.do === 'start' && holders.length === 6) continue;
      if (each.do === 'start') holders.push(holder.started());
      else {
        holder.cut();
        holders.splice(holders.indexOf(holder), 1, holder.started());
      }
    }
    for (const { own } of holders) for (const content of own.contents) if (content !== '-') made.add(content);
  }
  world.pipeline.storeGroup();
  const taken = world.taken();
  const known = new Set([...taken, ...holders.flatMap(({ pending, unknown }) => [...pending, ...unknown])]);
  return {
    taken,
    acked: [...world.acked],
    gone: [...made].filter((content) => !known.has(content)),
    unknown: holders.flatMap(({ unknown }) => unknown),
  };
}

describe('copies of an identity', () => {
  test('whatever comes back: acked is taken, nothing is taken twice, nothing is gone without a word', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
        const { taken, acked, gone } = play(steps);
        expect(new Set(taken).size, 'each once').toBe(taken.length);
        expect(acked.filter((content) => !taken.includes(content))).toEqual([]);
        expect(gone).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  test('one that is never copied knows the fate of all that it sent, however often it starts again', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(step.filter(isOfOne), trouble), { minLength: 5, maxLength: 60 }),
        (steps) => {
          const { taken, acked, gone, unknown } = play(steps);
          expect(new Set(taken).size, 'each once').toBe(taken.length);
          expect(acked.filter((content) => !taken.includes(content))).toEqual([]);
          expect([gone, unknown]).toEqual([[], []]);
        },
      ),
      { numRuns: RUNS },
    );
  });

  const all = (text: string): Step[] =>
    text.split(', ').map((word) => {
      const [action, holder] = word.split(' ') as [string, string];
      return { do: action === 'lose' ? 'lose welcome' : action, who: Number(holder), count: 9 } as Step;
    });

  test('the older of two running copies is fenced, and the newer one is not disturbed', () => {
    const told = play(
      all(
        'take 0, connect 0, send 0, store 0, twin 0, cut 0, connect 1, take 1, send 1, store 1, take 0, connect 0, send 0, take 1, send 1, store 1',
      ),
    );
    expect(told).toMatchObject({ taken: ['"content 1"', '"content 2"', '"content 4"'], gone: [] });
    expect(told.acked).toEqual(told.taken);
  });

  test('the control: without the session in the resume, the older copy is acked what the newer one sent', () => {
    const world = new World();
    const first = new Holder(world, { older: [], own: newLog(world) });
    first.connect(false);
    const second = first.twin();
    first.cut();
    second.connect(false);
    second.take();
    second.send(1);
    world.pipeline.storeGroup();
    // As a server sees it that looks at the epoch alone, and a client that looks at nothing.
    first.own.session = second.own.session;
    first.isNaive = true;
    first.take();
    first.connect(false);
    first.send(1);
    world.pipeline.storeGroup();
    expect(world.taken()).toEqual(['"content 1"']);
    expect([...world.acked]).toEqual(['"content 1"', '"content 2"']);
  });

  test('a welcome that got lost fences nobody', () => {
    const told = play(
      all('take 0, connect 0, send 0, store 0, lose 0, lose 0, connect 0, take 0, send 0, store 0'),
    );
    expect(told.acked).toEqual(['"content 1"', '"content 2"']);
    const first = play(all('take 0, lose 0, lose 0, connect 0, send 0, store 0'));
    expect(first.acked).toEqual(['"content 1"']);
  });

  test('what an older instance left is told apart from what it has delivered, also after a restart of the shard', () => {
    const told = play(
      all(
        'take 0, take 0, connect 0, send 0, store 0, take 0, take 0, send 0, cut 0, restart 0, start 0, take 1, connect 1, send 1, store 1, connect 1, send 1, store 1',
      ),
    );
    expect(told.taken).toEqual(['"content 1"', '"content 2"', '"content 3"', '"content 4"', '"content 5"']);
    expect(told.acked).toEqual(told.taken);
  });

  const RECOVERED_TWICE = [
    ['the second in the same start', 'connect 0'],
    ['each in a start', 'crash 0, connect 0'],
  ] as const;
  test('welcomes that get lost leave room for the session that somebody has', () => {
    const lost = Array(12).fill('lose 0').join(', ');
    const told = play(all(`take 0, connect 0, send 0, ${lost}, crash 0, connect 0, send 0, store 0`));
    expect(told).toEqual({ taken: ['"content 1"'], acked: ['"content 1"'], gone: [], unknown: [] });
    const both = play(all(`take 0, connect 0, send 0, lose 0, crash 0, ${lost}, connect 0, send 0, store 0`));
    expect(both).toEqual(told);
  });

  test.each(RECOVERED_TWICE)('a recovery knows what an earlier one has sent, %s', (_, again) => {
    // The welcome of the second session is lost, so that only the first is in the storage.
    const told = play(
      all(`connect 0, lose 0, take 0, crash 0, connect 0, send 0, ${again}, send 0, store 0`),
    );
    expect(told).toEqual({ taken: ['"content 1"'], acked: ['"content 1"'], gone: [], unknown: [] });
  });
});
