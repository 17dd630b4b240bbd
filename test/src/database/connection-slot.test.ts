import { sql } from 'drizzle-orm';
import { describe, expect, test } from 'vitest';
import type { Connection } from '../../../src/database/connection.ts';
import { ConnectionSlot, type ConnectionSlotOptions } from '../../../src/database/connection-slot.ts';
import { ConnectionWatch } from '../../../src/database/connection-watch.ts';
import { freshName, testDatabase } from '../../support/connect.ts';
import { FakeTimers } from '../../support/fake-timers.ts';
import { eventually } from '../../support/patience.ts';

/** A connection that does nothing but be open. */
class Line {
  isOpen = true;
  closed = 0;
  cancelled = 0;
  readonly name: number;

  constructor(name: number) {
    this.name = name;
  }

  cancel(): void {
    // After the end, the server cannot be told any more whose statement it was.
    if (this.isOpen) this.cancelled += 1;
  }

  close(): void {
    this.isOpen = false;
    this.closed += 1;
  }
}

function slotWith(options: Partial<ConnectionSlotOptions> = {}) {
  const lines: Line[] = [];
  const timers = new FakeTimers();
  const slot = new ConnectionSlot({
    open: async () => {
      const line = new Line(lines.length);
      lines.push(line);
      return line as unknown as Connection;
    },
    timers,
    idleMs: 5_000,
    ...options,
  });
  /** Which connection a use gets. */
  const use = (work: () => PromiseLike<unknown> = async () => {}): Promise<number> =>
    slot.use(async (connection) => {
      await work();
      return (connection as unknown as Line).name;
    });
  return { slot, lines, timers, use };
}

const failing = (code?: string) => async () => {
  throw Object.assign(new Error('failed'), code === undefined ? {} : { code });
};

describe('ConnectionSlot', () => {
  test('opens nothing before the first use', async () => {
    const { slot, lines, use } = slotWith();
    expect([slot.isOpen, lines.length]).toEqual([false, 0]);
    await use();
    expect([slot.isOpen, lines.length]).toEqual([true, 1]);
  });

  test('uses one connection again and again', async () => {
    const { lines, use, timers } = slotWith();
    for (let n = 0; n < 5; n += 1) {
      expect(await use()).toBe(0);
      timers.advance(4_999);
    }
    expect(lines).toHaveLength(1);
  });

  test('closes it after idleMs without use, and opens another at the next', async () => {
    const { slot, lines, timers, use } = slotWith();
    await use();
    timers.advance(4_999);
    expect(slot.isOpen).toBe(true);
    timers.advance(1);
    expect([slot.isOpen, lines[0]?.closed]).toEqual([false, 1]);
    expect(await use()).toBe(1);
  });

  test('does not close it while it is in use, however long that takes', async () => {
    const { slot, timers, use } = slotWith();
    await use();
    await use(async () => timers.advance(60_000));
    expect(slot.isOpen).toBe(true);
    timers.advance(5_000);
    expect(slot.isOpen).toBe(false);
  });

  test.each([undefined, 'ECONNRESET', 'EPIPE', '08006', '08P01', '57P01', '57P02', '57P03'])(
    'closes it after a failure with code %s: the connection is lost or in doubt',
    async (code) => {
      const { lines, timers, use } = slotWith();
      await expect(use(failing(code))).rejects.toThrow('failed');
      expect(lines[0]?.closed).toBe(1);
      expect(timers.pending).toBe(0);
      expect(await use()).toBe(1);
    },
  );

  test.each(['22P02', '22001', '23505', '42P01', '40001', '57014', 'P0001'])(
    'keeps it after a failure with code %s: the server reported it and is still there',
    async (code) => {
      const { slot, lines, timers, use } = slotWith();
      await expect(use(failing(code))).rejects.toThrow('failed');
      expect(slot.isOpen).toBe(true);
      expect(await use()).toBe(0);
      await expect(use(failing(code))).rejects.toThrow('failed');
      timers.advance(5_000);
      expect(lines.map(({ closed }) => closed)).toEqual([1]);
    },
  );

  test('closes it after a failure that the server reported before it went away', async () => {
    const { lines, timers, use } = slotWith();
    const dying = use(async () => {
      (lines[0] as Line).isOpen = false;
      await failing('22P02')();
    });
    await expect(dying).rejects.toThrow('failed');
    expect([lines[0]?.closed, timers.pending]).toEqual([1, 0]);
    expect(await use()).toBe(1);
  });

  test('opens another where the one it holds was lost while idle', async () => {
    const { slot, lines, use } = slotWith();
    await use();
    (lines[0] as Line).isOpen = false;
    expect(slot.isOpen).toBe(false);
    expect(await use()).toBe(1);
    expect(lines[0]?.closed).toBe(1);
  });

  test('gives up a use that takes too long, closes the connection, and goes on with another', async () => {
    const { lines, use } = slotWith({ useTimeLimitMs: 1 });
    await expect(use(() => new Promise(() => {}))).rejects.toMatchObject({ code: 'time_limit' });
    expect([lines[0]?.cancelled, lines[0]?.closed]).toEqual([1, 1]);
    expect(await use()).toBe(1);
  });

  test('does not cancel a statement that failed by itself', async () => {
    const { lines, use } = slotWith();
    await expect(use(failing())).rejects.toThrow('failed');
    expect([lines[0]?.cancelled, lines[0]?.closed]).toEqual([0, 1]);
  });

  test('a connection that cannot be opened is the failure of that use alone', async () => {
    let tries = 0;
    const { use, slot } = slotWith({
      open: async () => {
        tries += 1;
        if (tries === 1) throw new Error('unreachable');
        return new Line(tries) as unknown as Connection;
      },
    });
    await expect(use()).rejects.toThrow('unreachable');
    expect(slot.isOpen).toBe(false);
    expect(await use()).toBe(2);
  });

  test('close() closes it at once and cancels the timer; without a connection it does nothing', async () => {
    const { slot, lines, timers, use } = slotWith();
    slot.close();
    await use();
    slot.close();
    expect([slot.isOpen, lines[0]?.closed, timers.pending]).toEqual([false, 1, 0]);
  });
});

describe('ConnectionSlot with a real Postgres', () => {
  const database = testDatabase('tcp');

  test('keeps the connection through a refused row, and replaces one that the server ended', async () => {
    const timers = new FakeTimers();
    const slot = new ConnectionSlot({ open: () => database.open(), timers });
    const pid = () =>
      slot.use(async ({ db }) => {
        const result = await db.execute(sql`select pg_backend_pid() as pid`);
        return (result as unknown as { rows: { pid: number }[] }).rows[0]?.pid;
      });
    const first = await pid();
    await expect(slot.use(({ db }) => db.execute(sql`select 'x'::int`))).rejects.toThrow();
    await expect(
      slot.use((connection) => connection.copy(`copy ${freshName('no')} from stdin`, [])),
    ).rejects.toThrow();
    expect(await pid()).toBe(first);

    const killer = await database.open();
    await killer.db.execute(sql`select pg_terminate_backend(${first})`);
    await eventually(() => expect(slot.isOpen).toBe(false));
    expect(await pid()).not.toBe(first);
    slot.close();
  });

  test('runs a query of Drizzle exactly once', async () => {
    const slot = new ConnectionSlot({ open: () => database.open(), timers: new FakeTimers() });
    const table = freshName('once');
    await slot.use(({ db }) => db.execute(sql.raw(`create table ${table} (n int)`)));
    await slot.use(({ db }) => db.execute(sql.raw(`insert into ${table} values (1)`)));
    const result = await slot.use(({ db }) => db.execute(sql.raw(`select * from ${table}`)));
    expect((result as unknown as { rows: unknown[] }).rows).toEqual([{ n: 1 }]);
    slot.close();
  });
});

describe('something asked beside the work', () => {
  const ask = async (connection: Connection): Promise<number> => (connection as unknown as Line).name;

  test('is not asked where no connection is open', () => {
    const { slot, lines } = slotWith();
    expect(slot.useAside(ask, 1_000)).toBeUndefined();
    expect(lines).toEqual([]);
  });

  test('is asked at once while the connection is idle, work waits for it, and it keeps nothing open', async () => {
    const { slot, lines, use, timers } = slotWith();
    await use();
    timers.advance(3_000);
    const order: string[] = [];
    let answer: () => void = () => {};
    const asideMs = 1_000;
    const aside = async (): Promise<void> => {
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      order.push('asked');
    };
    const asked = slot.useAside(aside, asideMs);
    expect(slot.useAside(ask, 1_000), 'one at a time').toBeUndefined();
    const work = use(async () => void order.push('worked'));
    answer();
    await Promise.all([asked, work]);
    expect(order).toEqual(['asked', 'worked']);
    await slot.useAside(ask, 1_000);
    timers.advance(5_000);
    expect([slot.isOpen, lines.map(({ closed }) => closed)]).toEqual([false, [1]]);
  });

  test('is asked after the work that is under way, and before the next', async () => {
    const { slot, use } = slotWith();
    await use();
    const order: string[] = [];
    let end: () => void = () => {};
    const first = use(async () => {
      await new Promise<void>((resolve) => {
        end = resolve;
      });
      order.push('first');
    });
    const asked = slot.useAside(async () => void order.push('asked'), 1_000);
    end();
    await first;
    await use(async () => void order.push('second'));
    await asked;
    expect(order).toEqual(['first', 'asked', 'second']);
  });

  test('rejects where the connection was closed before its turn came; work goes on with another', async () => {
    const { slot, use } = slotWith();
    await use();
    const first = use(failing());
    const asked = slot.useAside(ask, 1_000);
    await expect(first).rejects.toThrow('failed');
    await expect(asked).rejects.toMatchObject({ code: 'database_unreachable' });
    expect(await use()).toBe(1);
  });
});

test('a watch knows what slots are doing, and hears when a connection is closed', async () => {
  const watch = new ConnectionWatch();
  let closed = 0;
  watch.onClosed = () => {
    closed += 1;
  };
  const { slot, use, timers } = slotWith({ watch });
  slotWith({ watch });
  expect(watch.figures).toEqual({ open: 0, busy: 0, waiting: 0, limit: 2 });
  const work = use(async () => expect(watch.figures).toEqual({ open: 1, busy: 1, waiting: 0, limit: 2 }));
  expect(watch.figures).toEqual({ open: 0, busy: 0, waiting: 1, limit: 2 });
  await work;
  expect([watch.figures, watch.isAnyOpen, watch.opened]).toEqual([
    { open: 1, busy: 0, waiting: 0, limit: 2 },
    true,
    1,
  ]);
  timers.advance(5_000);
  slot.close();
  expect([closed, watch.isAnyOpen, watch.durations.count]).toEqual([1, false, 1]);
  const away = slotWith({ watch, open: () => Promise.reject(new Error('away')) });
  await expect(away.use()).rejects.toThrow('away');
  expect([watch.failed, closed]).toEqual([1, 1]);
});
