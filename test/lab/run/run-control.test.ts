import { describe, expect, test } from 'vitest';
import { type OpenRun, RunControl, type RunFollower } from '../../../lab/run/run-control.ts';
import { type RunEvent, RunStore } from '../../../lab/run/run-store.ts';
import type { BenchProgress } from '../../../lab/run/runner.ts';
import type { Suite, SuiteHost } from '../../../lab/suite.ts';
import { SluiceError } from '../../../src/core/errors.ts';
import { optionTable } from '../../../src/core/option-table.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';

const PARAMETERS = optionTable({
  size: { kind: 'integer', min: 1, max: 100, default: 10, description: 'Size' },
});

const SUITE: Suite<typeof PARAMETERS> = {
  name: 'fake',
  title: 'A suite for tests',
  unit: 'things',
  parameters: PARAMETERS,
  presets: { quick: {}, full: {} },
  variants: ({ size }) =>
    (size === 98 ? Array.from({ length: 1_001 }, (_, index) => `v${index}`) : ['a', 'b']).map((name) => ({
      name,
      role: 'measured',
      description: '',
    })),
  unitsPerRep: () => 10,
  sharesOf: [],
  columns: [],
  notes: () => [],
};

type Run = SuiteHost['run'];

const CLEAN = { sent: 10, refused: 0, found: 10, lost: 0, duplicated: 0, outOfOrder: 0 };
const FINE: Run = async () => ({ units: 10, elapsedMs: 100, metrics: {}, audit: CLEAN });

/** A place whose objects come and go over one storage, as a Durable Object's do. */
class Place {
  readonly sqlite = new NodeSqlite(':memory:');
  readonly seen: string[] = [];
  readonly failures: unknown[] = [];
  run: Run = FINE;
  open: (run: string) => Promise<void> = async () => {};
  close: () => Promise<void> = async () => {};
  wakes = 0;
  #ids = 0;

  /** An object as it is after a start: nothing in memory. */
  control(): RunControl {
    const note = (what: string): void => void this.seen.push(what);
    const open = async (run: string): Promise<OpenRun> => {
      await this.open(run);
      note(`open ${run}`);
      return {
        host: {
          warmUp: async () => note('warm-up'),
          run: (variant, rep, ...more) => {
            note(`${variant.name}${rep}`);
            return this.run(variant, rep, ...more);
          },
          close: async () => {
            await this.close();
            note('host closed');
          },
        },
        server: undefined,
        facts: { tool: { name: 'sluice' }, machine: { where: 'here' }, database: {} },
        close: async () => note('closed'),
      };
    };
    return new RunControl({
      store: new RunStore(this.sqlite),
      suites: {
        fake: {
          suite: SUITE as unknown as Suite,
          defaults: { size: 5 },
          check: ({ size }) => {
            if (size === 99) throw new SluiceError('invalid_options', 'Too much for this place');
          },
          open: (_, __, run) => open(run),
        },
      },
      wake: () => {
        this.wakes += 1;
      },
      now: () => 1_000,
      randomId: () => `r${++this.#ids}`,
      onFailure: (error) => this.failures.push(error),
    });
  }
}

async function finish(control: RunControl, place: Place): Promise<void> {
  while (place.wakes > 0) {
    place.wakes = 0;
    await control.step();
  }
}

function follower(): RunFollower & { events: RunEvent[]; progresses: BenchProgress[]; isClosed: boolean } {
  return {
    events: [],
    progresses: [],
    isClosed: false,
    event(event) {
      this.events.push(event);
    },
    progress(progress) {
      this.progresses.push(progress);
    },
    close() {
      this.isClosed = true;
    },
  };
}

describe('a run', () => {
  test('is carried out step by step, closes what it opened, and has its result', async () => {
    const place = new Place();
    const control = place.control();
    const { id, status, total } = control.start({ suite: 'fake', reps: '2' });
    expect({ id, status, total }).toEqual({ id: 'r1', status: 'queued', total: 4 });
    await finish(control, place);
    expect(place.seen.slice(0, 2)).toEqual(['open r1', 'warm-up']);
    expect(place.seen.slice(2, 6).toSorted()).toEqual(['a1', 'a2', 'b1', 'b2']);
    expect(place.seen.slice(6)).toEqual(['host closed', 'closed']);
    const { result } = control.result('r1');
    expect(result).toMatchObject({
      suite: 'fake',
      state: 'complete',
      config: { size: 5, reps: 2 },
      machine: { where: 'here' },
    });
    expect(result.variants.map(({ reps }) => reps.length)).toEqual([2, 2]);
  });

  test('survives the end of the object after any step: nothing is lost, and nothing runs twice', async () => {
    const place = new Place();
    place.control().start({ suite: 'fake', reps: 3 });
    for (let step = 0; place.wakes > 0; step += 1) {
      place.wakes = 0;
      expect(step).toBeLessThan(20);
      await place.control().step();
    }
    const ran = place.seen.filter((what) => /^[ab]\d$/.test(what));
    expect(ran.toSorted()).toEqual(['a1', 'a2', 'a3', 'b1', 'b2', 'b3']);
    expect(place.seen.filter((what) => what.startsWith('open')).length).toBeGreaterThan(1);
    const { result } = place.control().result('r1');
    expect(result.state).toBe('complete');
    expect(result.variants.map(({ reps }) => reps.length)).toEqual([3, 3]);
  });

  test('repeats the step in which the object ended, and no more than three times', async () => {
    const place = new Place();
    place.control().start({ suite: 'fake', reps: 1 });
    await place.control().step();
    place.run = () => new Promise(() => {});
    for (let attempt = 0; attempt < 3; attempt += 1) void place.control().step();
    // The steps that hang are in objects that are gone; these are the ones that they began.
    await new Promise(setImmediate);
    expect(place.seen.filter((what) => /^[ab]1$/.test(what))).toHaveLength(3);
    place.run = FINE;
    await place.control().step();
    const { result } = place.control().result('r1');
    expect(result.state).toBe('aborted');
    const listed = new RunStore(place.sqlite).get('r1');
    expect(listed).toMatchObject({ status: 'failed', error: expect.stringMatching(/started again 3 times/) });
  });

  test('is warmed up again where its object began again, and its repetitions count on', async () => {
    const place = new Place();
    place.control().start({ suite: 'fake', reps: 1 });
    const first = place.control();
    await first.step();
    await first.step();
    const second = place.control();
    await second.step();
    await finish(second, Object.assign(place, { wakes: 1 }));
    expect(place.seen.map((what) => what.replace(/^[ab]/, ''))).toEqual([
      ...['open r1', 'warm-up', '1'],
      ...['open r1', 'warm-up', '1', 'host closed', 'closed'],
    ]);
    const { result } = place.control().result('r1');
    expect(result.variants.flatMap(({ reps }) => reps.map(({ order }) => order)).toSorted()).toEqual([1, 2]);
  });

  test('takes a step without reading what the steps before have left', async () => {
    const place = new Place();
    const control = place.control();
    control.start({ suite: 'fake', reps: 5 });
    const read: string[] = [];
    const ask = place.sqlite.run.bind(place.sqlite);
    place.sqlite.run = (statement, ...bindings) => {
      if (/^select.* record /s.test(statement)) read.push(statement);
      return ask(statement, ...bindings);
    };
    for (let step = 0; step < 10; step += 1) await control.step();
    expect(read).toEqual([]);
    expect(control.result('r1').result.variants.flatMap(({ reps }) => reps)).toHaveLength(9);
    expect(read, 'the control').toHaveLength(1);
  });

  test('that hung twice is complete if the third time goes well', async () => {
    const place = new Place();
    place.control().start({ suite: 'fake', reps: 1 });
    await place.control().step();
    place.run = () => new Promise(() => {});
    for (let attempt = 0; attempt < 2; attempt += 1) void place.control().step();
    await new Promise(setImmediate);
    place.run = FINE;
    await finish(place.control(), Object.assign(place, { wakes: 1 }));
    expect(new RunStore(place.sqlite).get('r1').status).toBe('complete');
  });

  test('fails with the error of its host, closed and with what it had', async () => {
    const place = new Place();
    const control = place.control();
    control.start({ suite: 'fake', reps: 1 });
    place.run = async () => {
      throw new SluiceError('database_unreachable', 'The database is gone');
    };
    await finish(control, place);
    expect(new RunStore(place.sqlite).get('r1')).toMatchObject({
      status: 'failed',
      error: 'The database is gone',
    });
    expect(place.seen.slice(-2)).toEqual(['host closed', 'closed']);
    expect(control.start({ suite: 'fake' }).id, 'the next one may begin').toBe('r2');
  });

  test('that cannot be opened fails, too', async () => {
    const place = new Place();
    place.open = async () => {
      throw new SluiceError('database_unreachable', 'Nobody there');
    };
    const control = place.control();
    control.start({ suite: 'fake' });
    await finish(control, place);
    expect(new RunStore(place.sqlite).get('r1')).toMatchObject({ status: 'failed', error: 'Nobody there' });
  });

  test('that lost messages is invalid', async () => {
    const place = new Place();
    place.run = async () => ({
      units: 10,
      elapsedMs: 1,
      metrics: {},
      audit: { ...CLEAN, found: 9, lost: 1 },
    });
    const control = place.control();
    control.start({ suite: 'fake', reps: 1 });
    await finish(control, place);
    expect(new RunStore(place.sqlite).get('r1').status).toBe('invalid');
    expect(control.result('r1').result.state).toBe('invalid');
  });

  test.each([
    [{ suite: 'other' }, /one of fake is allowed/],
    [{ suite: 'constructor' }, /one of fake is allowed/],
    [{ suite: 'fake', colour: 'red' }, /Unknown option colour: known are size, reps, seed/],
    [{ suite: 'fake', reps: 0 }, /reps/],
    [{ suite: 'fake', size: 'big' }, /size/],
    [{ suite: 'fake', size: 99 }, /Too much for this place/],
    [
      { suite: 'fake', size: 98, reps: 50 },
      /50050 steps: at most 1000 are allowed, which are variants × reps/,
    ],
  ])('asked for with %j is refused and leaves nothing', (given, message) => {
    const place = new Place();
    expect(() => place.control().start(given)).toThrow(message);
    expect(new RunStore(place.sqlite).list()).toEqual([]);
    expect(place.wakes).toBe(0);
  });
});

describe('cancelling', () => {
  test('ends a run in the middle of a repetition; what is complete stays', async () => {
    const place = new Place();
    const control = place.control();
    control.start({ suite: 'fake', reps: 2 });
    await control.step();
    await control.step();
    place.run = () => new Promise(() => {});
    const hanging = control.step();
    await new Promise(setImmediate);
    expect((await control.cancel('r1')).status).toBe('aborted');
    await hanging;
    expect(place.seen.slice(-2)).toEqual(['host closed', 'closed']);
    const { result } = control.result('r1');
    expect(result.state).toBe('aborted');
    expect(result.variants.flatMap(({ reps }) => reps)).toHaveLength(1);
    place.wakes = 1;
    await finish(control, place);
    expect(new RunStore(place.sqlite).get('r1').status).toBe('aborted');
  });

  test('while it is being opened closes what is opened', async () => {
    const place = new Place();
    let opened = (): void => {};
    place.open = () =>
      new Promise((resolve) => {
        opened = resolve;
      });
    const control = place.control();
    control.start({ suite: 'fake' });
    const opening = control.step();
    await new Promise(setImmediate);
    await control.cancel('r1');
    opened();
    await opening;
    expect(place.seen).toEqual(['open r1', 'host closed', 'closed']);
    expect(new RunStore(place.sqlite).get('r1').status).toBe('aborted');
  });

  test('while it is being opened keeps nobody from the next one', async () => {
    const place = new Place();
    let opened = (): void => {};
    place.open = () =>
      new Promise((resolve) => {
        opened = resolve;
      });
    const control = place.control();
    control.start({ suite: 'fake', reps: 1 });
    const opening = control.step();
    await new Promise(setImmediate);
    await control.cancel('r1');
    control.start({ suite: 'fake', reps: 1 });
    // The call that the next run asked for comes while the other is still being opened.
    place.wakes = 0;
    await control.step();
    place.open = async () => {};
    opened();
    await opening;
    await finish(control, place);
    expect(new RunStore(place.sqlite).get('r2').status).toBe('complete');
  });

  test('has all closed before the next one opens anything', async () => {
    const place = new Place();
    const control = place.control();
    control.start({ suite: 'fake', reps: 1 });
    await control.step();
    let closed = (): void => {};
    place.close = () =>
      new Promise((resolve) => {
        closed = resolve;
      });
    const cancelled = control.cancel('r1');
    expect(control.start({ suite: 'fake', reps: 1 }).id).toBe('r2');
    const step = control.step();
    await new Promise(setImmediate);
    expect(place.seen).toEqual(['open r1', 'warm-up']);
    closed();
    await cancelled;
    await step;
    expect(place.seen).toEqual(['open r1', 'warm-up', 'host closed', 'closed', 'open r2', 'warm-up']);
  });

  test('is answered, and fails nothing, though the run is forgotten before all of it is closed', async () => {
    const place = new Place();
    let fail = (_: Error): void => {};
    place.open = () =>
      new Promise((_, reject) => {
        fail = reject;
      });
    const control = place.control();
    control.start({ suite: 'fake' });
    const opening = control.step();
    await new Promise(setImmediate);
    await control.cancel('r1');
    new RunStore(place.sqlite).delete('r1');
    fail(new Error('nobody there'));
    await opening;
    expect(place.failures).toHaveLength(1);

    place.open = async () => {};
    control.start({ suite: 'fake' });
    await control.step();
    const cancelled = control.cancel('r2');
    new RunStore(place.sqlite).delete('r2');
    expect(await cancelled).toMatchObject({ id: 'r2', status: 'aborted' });
  });

  test('a run that has ended changes nothing; one that is not there is refused', async () => {
    const place = new Place();
    const control = place.control();
    control.start({ suite: 'fake', reps: 1 });
    await finish(control, place);
    expect((await control.cancel('r1')).status).toBe('complete');
    await expect(control.cancel('r9')).rejects.toThrow(/no run "r9"/);
  });
});

describe('a follower', () => {
  test('gets all events from the first to the last, and then the end', async () => {
    const place = new Place();
    const control = place.control();
    control.start({ suite: 'fake', reps: 1 });
    const reader = follower();
    control.follow('r1', 0, reader);
    await finish(control, place);
    expect(reader.events.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(reader.events.map(({ kind }) => kind)).toEqual([
      'state',
      'state',
      'state',
      'repetition',
      'repetition',
      'end',
    ]);
    expect(reader.isClosed).toBe(true);
    expect(reader.progresses.length).toBeGreaterThan(0);
  });

  test('that comes back gets what it has not seen, each once, also from an object that began again', async () => {
    const place = new Place();
    const control = place.control();
    control.start({ suite: 'fake', reps: 1 });
    const first = follower();
    const stop = control.follow('r1', 0, first);
    await control.step();
    await control.step();
    stop();
    const seen = first.events.at(-1)?.id ?? 0;
    const again = place.control();
    const second = follower();
    again.follow('r1', seen, second);
    place.wakes = 1;
    await finish(again, place);
    const ids = [...first.events, ...second.events].map(({ id }) => id);
    expect(ids).toEqual([1, 2, 3, 4, 5, 6]);
    expect(first.isClosed).toBe(false);
  });

  test('of a run that has ended gets its events and the end at once, even if it has seen them all', async () => {
    const place = new Place();
    const control = place.control();
    control.start({ suite: 'fake', reps: 1 });
    await finish(control, place);
    for (const [after, count] of [
      [0, 6],
      [6, 0],
    ] as const) {
      const reader = follower();
      control.follow('r1', after, reader);
      expect(reader.events).toHaveLength(count);
      expect(reader.isClosed).toBe(true);
    }
  });

  test('is one of a bounded number', () => {
    const place = new Place();
    const control = place.control();
    control.start({ suite: 'fake' });
    for (let count = 0; count < 50; count += 1) control.follow('r1', 0, follower());
    expect(() => control.follow('r1', 0, follower())).toThrow(/50 readers/);
  });
});
