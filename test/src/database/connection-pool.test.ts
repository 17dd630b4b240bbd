import { describe, expect, test } from 'vitest';
import type { Connection } from '../../../src/database/connection.ts';
import { ConnectionPool, type ConnectionPoolOptions } from '../../../src/database/connection-pool.ts';
import { FakeTimers } from '../../support/fake-timers.ts';

/** A connection that does nothing but be open. */
class Line {
  isOpen = true;
  readonly name: number;

  constructor(name: number) {
    this.name = name;
  }

  close(): void {
    this.isOpen = false;
  }
}

function poolWith(options: Partial<ConnectionPoolOptions> = {}) {
  const lines: Line[] = [];
  const pool = new ConnectionPool({
    open: async () => {
      const line = new Line(lines.length);
      lines.push(line);
      return line as unknown as Connection;
    },
    timers: new FakeTimers(),
    ...options,
  });
  /** A use that lasts until it is ended, and says which connection it got. */
  const hold = () => {
    const end = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<number>();
    const done = pool.use(async (connection) => {
      begun.resolve((connection as unknown as Line).name);
      await end.promise;
    });
    done.catch(() => {});
    return { begun: begun.promise, end, done };
  };
  const nameOf = (): Promise<number> => pool.use(async (connection) => (connection as unknown as Line).name);
  return { pool, lines, hold, nameOf };
}

describe('ConnectionPool', () => {
  test('opens nothing before the first use, and one connection for uses that follow each other', async () => {
    const { lines, nameOf } = poolWith();
    expect(lines).toHaveLength(0);
    expect([await nameOf(), await nameOf(), await nameOf()]).toEqual([0, 0, 0]);
    expect(lines).toHaveLength(1);
  });

  test('uses at the same time have their own connections; what is more than there are waits, in order', async () => {
    const { lines, hold, pool } = poolWith({ size: 2 });
    const first = hold();
    const second = hold();
    expect(await Promise.all([first.begun, second.begun])).toEqual([0, 1]);
    const order: string[] = [];
    const third = pool.use(async () => void order.push('third'));
    const fourth = pool.use(async () => void order.push('fourth'));
    await Promise.resolve();
    expect(order).toEqual([]);
    second.end.resolve();
    await Promise.all([third, fourth]);
    expect(order).toEqual(['third', 'fourth']);
    expect(lines).toHaveLength(2);
    first.end.resolve();
    await first.done;
  });

  test('a failure is that of its use only, and the next one waiting gets its turn', async () => {
    const { hold, nameOf, lines } = poolWith({ size: 1 });
    const failing = hold();
    await failing.begun;
    const next = nameOf();
    failing.end.reject(new Error('failed'));
    await expect(failing.done).rejects.toThrow('failed');
    // Nobody knows what state the connection is in, so it is another one.
    expect(await next).toBe(1);
    expect(lines.map(({ isOpen }) => isOpen)).toEqual([false, true]);
  });

  test('so much may wait, and no more', async () => {
    const { hold, nameOf } = poolWith({ size: 1, maxWaiting: 1 });
    const first = hold();
    await first.begun;
    const waiting = nameOf();
    await expect(nameOf()).rejects.toMatchObject({
      code: 'database_unreachable',
      message: 'All 1 connections are in use, and 1 pieces of work wait for one already',
    });
    first.end.resolve();
    expect(await waiting).toBe(0);
    expect(await nameOf()).toBe(0);
  });

  test('closes what it has, and opens again for what comes then', async () => {
    const { pool, nameOf, lines } = poolWith();
    await nameOf();
    pool.close();
    expect(lines.map(({ isOpen }) => isOpen)).toEqual([false]);
    expect(await nameOf()).toBe(1);
  });

  test.each([[{ size: 0 }], [{ size: 1.5 }], [{ maxWaiting: -1 }], [{ maxWaiting: Number.NaN }]])(
    'refuses %o',
    (options) => {
      expect(() => poolWith(options)).toThrow(expect.objectContaining({ code: 'invalid_options' }));
    },
  );
});
