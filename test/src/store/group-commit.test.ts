import { describe, expect, test } from 'vitest';
import { GroupCommit, type GroupCommitLimits } from '../../../src/store/group-commit.ts';

const WIDE: GroupCommitLimits = {
  maxGroupRows: 1_000,
  maxGroupBytes: 1_000_000,
  maxWaitingRows: 10_000,
  maxWaitingBytes: 10_000_000,
};

interface Run {
  commands: readonly string[];
  finish: () => void;
  fail: (error: unknown) => void;
}

/** Groups whose runs end when the test says so. */
function held(limits: Partial<GroupCommitLimits> = {}) {
  const runs: Run[] = [];
  const grouping = new GroupCommit<string, string>(
    (commands) =>
      new Promise((resolve, reject) => {
        runs.push({
          commands,
          finish: () => resolve(commands.map((command) => command.toUpperCase())),
          fail: reject,
        });
      }),
    { ...WIDE, ...limits },
  );
  const submit = (command: string, rows = 1, bytes = 1): Promise<string> =>
    grouping.submit(command, rows, bytes);
  const groups = (): string[] => runs.map(({ commands }) => commands.join(''));
  return { runs, grouping, submit, groups };
}

/** Lets all microtasks run. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('grouping', () => {
  test('what is submitted in one turn goes together; what comes during a run is the next', async () => {
    const { runs, submit, groups } = held();
    const first = [submit('a'), submit('b')];
    expect(groups(), 'nothing runs inside of submit').toEqual([]);
    await turn();
    expect(groups()).toEqual(['ab']);
    const second = [submit('c'), submit('d'), submit('e')];
    await turn();
    expect(groups(), 'one run at a time').toEqual(['ab']);
    runs[0]?.finish();
    expect(await Promise.all(first)).toEqual(['A', 'B']);
    await turn();
    expect(groups()).toEqual(['ab', 'cde']);
    runs[1]?.finish();
    expect(await Promise.all(second)).toEqual(['C', 'D', 'E']);
  });

  test('a command that finds nothing running starts without a timer', async () => {
    const { submit, groups } = held();
    void submit('a');
    await Promise.resolve();
    await Promise.resolve();
    expect(groups()).toEqual(['a']);
  });

  test('a group ends at its rows, at its bytes, and a command beyond goes alone', async () => {
    const { runs, submit, groups } = held({ maxGroupRows: 10, maxGroupBytes: 100 });
    const all = [
      submit('a', 6),
      submit('b', 4),
      submit('c', 1),
      submit('d', 1, 99),
      submit('e', 1, 100),
      submit('f', 50),
      submit('g', 1, 1_000),
      submit('h'),
      submit('i'),
    ];
    for (let index = 0; index < 6; index += 1) {
      await turn();
      runs[index]?.finish();
    }
    await Promise.all(all);
    expect(groups()).toEqual(['ab', 'cd', 'e', 'f', 'g', 'hi']);
  });

  test('what a group leaves behind still counts as waiting', async () => {
    const { runs, submit } = held({
      maxGroupRows: 2,
      maxWaitingRows: 4,
      maxWaitingBytes: 40,
      maxGroupBytes: 20,
    });
    const running = submit('a', 1, 10);
    await turn();
    const waiting = ['b', 'c', 'd', 'e'].map((command) => submit(command, 1, 10));
    runs[0]?.finish();
    await running;
    await turn();
    waiting.push(submit('f', 1, 10), submit('g', 1, 10));
    await expect(submit('h', 1, 0), 'd to g wait').rejects.toMatchObject({ code: 'buffer_full' });
    await expect(submit('h', 0, 10), 'd to g wait').rejects.toMatchObject({ code: 'buffer_full' });
    for (let run = 1; run <= 3; run += 1) {
      runs[run]?.finish();
      await turn();
    }
    expect(await Promise.all(waiting)).toEqual(['B', 'C', 'D', 'E', 'F', 'G']);
    const again = ['i', 'j', 'k', 'l'].map((command) => submit(command, 1, 10));
    await expect(submit('m', 1, 1), 'four wait, and no fewer').rejects.toMatchObject({ code: 'buffer_full' });
    await turn();
    runs[4]?.finish();
    await turn();
    runs[5]?.finish();
    expect(await Promise.all(again)).toEqual(['I', 'J', 'K', 'L']);
  });

  test('a failed run rejects its own commands and no others', async () => {
    const { runs, submit } = held();
    const first = Promise.allSettled([submit('a'), submit('b')]);
    await turn();
    const second = submit('c');
    const error = new Error('the database is away');
    runs[0]?.fail(error);
    expect(await first).toEqual([
      { status: 'rejected', reason: error },
      { status: 'rejected', reason: error },
    ]);
    await turn();
    runs[1]?.finish();
    expect(await second).toBe('C');
  });

  test('a run that throws at once is a failed run', async () => {
    const grouping = new GroupCommit<string, string>(() => {
      throw new Error('at once');
    }, WIDE);
    await expect(grouping.submit('a', 1, 1)).rejects.toThrow('at once');
    await expect(grouping.submit('b', 1, 1)).rejects.toThrow('at once');
  });

  test.each([
    ['rows', { maxWaitingRows: 3 }, 1, 1],
    ['bytes', { maxWaitingBytes: 30 }, 0, 10],
  ])(
    'refuses what would wait beyond its %s, and takes again once there is room',
    async (_, limits, rows, bytes) => {
      const { runs, submit } = held(limits);
      const running = submit('a', rows, bytes);
      await turn();
      const waiting = [submit('b', rows, bytes), submit('c', rows, bytes), submit('d', rows, bytes)];
      await expect(submit('e', rows, bytes)).rejects.toMatchObject({ code: 'buffer_full' });
      runs[0]?.finish();
      await running;
      await turn();
      const again = submit('f', rows, bytes);
      runs[1]?.finish();
      await turn();
      runs[2]?.finish();
      expect(await Promise.all([...waiting, again])).toEqual(['B', 'C', 'D', 'F']);
    },
  );

  test('a command above the limits of waiting is taken where nothing else waits', async () => {
    const { runs, submit } = held({ maxWaitingRows: 3 });
    const large = submit('a', 100);
    await turn();
    runs[0]?.finish();
    expect(await large).toBe('A');
  });

  test('is idle once nothing runs and nothing waits', async () => {
    const { runs, grouping, submit } = held();
    await grouping.idle();
    void submit('a');
    let isIdle = false;
    const idle = grouping.idle().then(() => {
      isIdle = true;
    });
    await turn();
    void submit('b');
    runs[0]?.finish();
    await turn();
    expect(isIdle, 'b is still on its way').toBe(false);
    runs[1]?.finish();
    await idle;
  });
});
