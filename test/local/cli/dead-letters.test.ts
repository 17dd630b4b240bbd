import { describe, expect, test } from 'vitest';
import { commandLine, type Ended } from '../../support/command-line.ts';
import { fakeWorker } from '../../support/fake-worker.ts';

const cli = commandLine();

const worker = fakeWorker();

/** Runs a command against the Worker, for its sink `messages` unless another is named; `env` without a token unless it has one. */
function run(
  command: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Ended> {
  const all = [...command.split(' '), ...args];
  const isForShard = /^(dead-letters (list|show|retry|drop)|shard (resume|drain))\b/.test(all.join(' '));
  if (isForShard && !all.includes('--sink')) all.push('--sink', 'messages');
  return cli.run([...all, '--url', worker.url], { SLUICE_OPERATOR_TOKEN: '', ...env });
}

const TOTALS = { count: 1, bytes: 1_039, maxRows: 10_000, maxBytes: 1_000_000, isFull: false };
const LETTER = {
  id: 7,
  producer: 'dev-7f3a',
  epoch: 1_795_266_606_000,
  sequence: 9_007_199_254_740_991,
  receivedAt: '2026-11-21T13:10:07.001Z',
  failedAt: '2026-11-21T13:10:07.042Z',
  sqlState: '22P02',
  by: 'postgres',
  reason: 'invalid input syntax for type integer: "x"',
  detail: null,
  hint: null,
  table: 'readings',
  column: 'celsius',
  constraint: null,
};
const EXCERPT = { ...LETTER, excerpt: '{"n":"x"}', payloadBytes: 9 };

describe('dead-letters list', () => {
  test('asks for the first page of shard 0 and prints a table', async () => {
    worker.answers = [
      {
        body: {
          letters: [
            EXCERPT,
            { ...EXCERPT, id: 8, by: null, sqlState: null, column: null },
            { ...EXCERPT, id: 9, column: null, constraint: 'above_zero' },
          ],
          next: 8,
          totals: TOTALS,
        },
      },
    ];
    const { exitCode, stdout, stderr } = await run('dead-letters list');
    expect(stderr).toBe('');
    expect(exitCode).toBe(0);
    expect(worker.asked).toEqual([
      {
        method: 'GET',
        path: '/admin/messages/0/dead-letters',
        authorization: undefined,
        body: undefined,
      },
    ]);
    const lines = stdout.split('\n');
    expect(lines[0]).toBe('messages, shard 0: 1 dead letter, 1,039 bytes');
    expect(lines[1]).toMatch(
      /^id {2}failed at {17}producer {2}epoch {10}sequence {10}bytes {2}by {8}state {2}where {7}reason$/,
    );
    expect(lines[2]).toBe(
      '7   2026-11-21T13:10:07.042Z  dev-7f3a  1795266606000  9007199254740991  9      postgres  22P02  celsius     invalid input syntax for type integer: "x"',
    );
    expect(lines[3]).toContain('  -         -      -           invalid input');
    expect(lines[4]).toContain('  above_zero  invalid input');
    expect(lines[5]).toBe('There are more: --after 8');
  });

  test('asks as it is told, with the token of the variable, and says where no room is left', async () => {
    worker.answers = [{ body: { letters: [], next: null, totals: { ...TOTALS, count: 0, isFull: true } } }];
    const args = ['--sink', 'a/b', '--shard', '3', '--after', '9', '--limit', '2'];
    const { exitCode, stdout } = await run('dead-letters list', args, {
      SLUICE_OPERATOR_TOKEN: 'from-variable',
    });
    expect(exitCode).toBe(0);
    expect(worker.asked).toMatchObject([
      { path: '/admin/a%2Fb/3/dead-letters?after=9&limit=2', authorization: 'Bearer from-variable' },
    ]);
    expect(stdout).toContain('0 dead letters, 1,039 bytes. FULL: the shard has stopped writing');
    expect(stdout.split('\n')).toHaveLength(2);
  });

  test('--json prints the answer and nothing else; the flag --token wins', async () => {
    const page = { letters: [EXCERPT], next: null, totals: TOTALS };
    worker.answers = [{ body: page }];
    const { stdout } = await run('dead-letters list', ['--json', '--token', 'from-flag'], {
      SLUICE_OPERATOR_TOKEN: 'from-variable',
    });
    expect(JSON.parse(stdout)).toEqual(page);
    expect(worker.asked).toMatchObject([{ authorization: 'Bearer from-flag' }]);
  });

  test('nothing that a message holds reaches the terminal as a command', async () => {
    const evil = '\u001b]0;owned\u0007\u009b2J\n\u202ereversed';
    const page = { letters: [{ ...EXCERPT, reason: evil, excerpt: evil }], next: null, totals: TOTALS };
    worker.answers = [{ body: page }, { body: page }, { body: { ...LETTER, payload: evil } }];
    for (const args of [['list'], ['list', '--json'], ['show', '7']]) {
      const { stdout } = await run('dead-letters', args);
      expect(stdout).toContain('\\u001b]0;owned');
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
      expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
      if (args.includes('--json')) expect(JSON.parse(stdout)).toEqual(page);
    }
  });
});

describe('dead-letters summary', () => {
  const summaryOf = (sink: string) => ({
    sink,
    count: 1,
    isFull: true,
    shards: [
      { shard: 0, ...TOTALS },
      { shard: 1, ...TOTALS, count: 10_000, isFull: true },
      { shard: 2, ...TOTALS, state: 'stopped', code: 'checkpoint_missing', buffered: 3 },
    ],
  });

  test('prints the shards of every sink that the Worker tells of', async () => {
    const sinks = { messages: {}, 'old readings': {} };
    worker.answers = [
      { body: { sinks } },
      { body: summaryOf('messages') },
      { body: summaryOf('old readings') },
      { body: { sinks } },
      { body: summaryOf('messages') },
      { body: summaryOf('old readings') },
    ];
    const { exitCode, stdout } = await run('dead-letters summary');
    expect(exitCode).toBe(0);
    expect(worker.asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /stats',
      'GET /admin/messages/dead-letters',
      'GET /admin/old%20readings/dead-letters',
    ]);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(7);
    expect(lines[1]).toBe('messages      0      1        10000  1039   1000000');
    expect(lines[2]).toMatch(/^messages {6}1 {6}10000 .* FULL: /);
    expect(lines[3]).toMatch(/^messages {6}2 .* stopped \(checkpoint_missing\)$/);
    expect(lines[5]).toMatch(/^old readings {2}1 {6}10000 .* FULL: /);
    const json = await run('dead-letters summary --json');
    expect(JSON.parse(json.stdout)).toEqual({ sinks: [summaryOf('messages'), summaryOf('old readings')] });
  });

  test('prints only the sink that is asked for', async () => {
    worker.answers = [{ body: summaryOf('messages') }, { body: summaryOf('messages') }];
    const { stdout } = await run('dead-letters summary --sink messages');
    expect(stdout.trimEnd().split('\n')).toHaveLength(4);
    expect(worker.asked).toMatchObject([{ method: 'GET', path: '/admin/messages/dead-letters' }]);
    const json = await run('dead-letters summary --sink messages --json');
    expect(JSON.parse(json.stdout)).toEqual(summaryOf('messages'));
  });
});

describe('dead-letters show', () => {
  test('prints all of the payload, digit by digit', async () => {
    const payload = `{"n":9007199254740993,"text":"${'x'.repeat(300)}"}`;
    worker.answers = [{ body: { ...LETTER, payload } }, { body: { ...LETTER, payload } }];
    const { exitCode, stdout } = await run('dead-letters show 7');
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`payload     ${payload}\n`);
    expect(stdout).toContain('column      celsius\n');
    expect(stdout).not.toContain('constraint');
    expect(stdout).toContain('sequence    9007199254740991\n');
    const json = await run('dead-letters show 7 --json');
    expect(JSON.parse(json.stdout)).toEqual({ ...LETTER, payload });
    expect(worker.asked).toMatchObject([
      { method: 'GET', path: '/admin/messages/0/dead-letters/7' },
      { method: 'GET', path: '/admin/messages/0/dead-letters/7' },
    ]);
  });

  test('of one that is not there exits 1 and says what there is', async () => {
    worker.answers = [
      { status: 404, body: { code: 'unknown_dead_letter', detail: 'There is no dead letter 8' } },
    ];
    expect(await run('dead-letters show 8')).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'sluice: There is no dead letter 8 (npm run dead-letters -- list shows those there are)\n',
    });
  });
});

describe('dead-letters retry', () => {
  const done = { retried: 1, refused: 0, missing: [], remaining: 0, isFull: false };

  test('of ids, and of one with another payload, passes them on', async () => {
    worker.answers = [{ body: { ...done, retried: 2 } }, { body: done }];
    const two = await run('dead-letters retry 7 9');
    expect(two).toEqual({
      exitCode: 0,
      stdout: 'messages, shard 0: 2 dead letters to be written again\n',
      stderr: '',
    });
    const edited = await run('dead-letters retry 7', ['--payload', '{"n":1}']);
    expect(edited.exitCode).toBe(0);
    expect(worker.asked).toMatchObject([
      { method: 'POST', path: '/admin/messages/0/dead-letters/retry', body: { ids: [7, 9] } },
      { body: { ids: [7], payload: '{"n":1}' } },
    ]);
  });

  test('of all goes on until as many are retried as there were, though each fails again', async () => {
    // Three are there; with each call the ones before are back.
    worker.answers = Array.from({ length: 5 }, () => ({ body: { ...done, retried: 1, remaining: 2 } }));
    const { exitCode, stdout } = await run('dead-letters retry --all --json');
    expect(JSON.parse(stdout)).toEqual({ retried: 3, refused: 0, missing: [], remaining: 0, isFull: false });
    expect(exitCode).toBe(0);
    expect(worker.asked.map(({ body }) => body)).toEqual([{ ids: 'all' }, { ids: 'all' }, { ids: 'all' }]);
  });

  test('of a reason, a column or a time goes on until as many are retried as there were', async () => {
    worker.answers = [{ body: { ...done, retried: 1_000, remaining: 5 } }, { body: { ...done, retried: 5 } }];
    const { exitCode, stdout } = await run(
      'dead-letters retry --reason 22P02 --column celsius --since 2026-11-21',
    );
    expect([exitCode, stdout]).toEqual([0, 'messages, shard 0: 1,005 dead letters to be written again\n']);
    const where = { reason: '22P02', column: 'celsius', since: '2026-11-21' };
    expect(worker.asked.map(({ body }) => body)).toEqual([{ where }, { where }]);
    expect((await run('dead-letters retry 7 --reason 22P02')).exitCode).toBe(2);
    expect(worker.asked).toHaveLength(2);
  });

  test('stops where the outbox is full, says how many are left, and exits 1', async () => {
    worker.answers = [
      { body: { ...done, retried: 5, remaining: 10 } },
      { body: { ...done, retried: 3, remaining: 7, isFull: true } },
    ];
    const { exitCode, stdout } = await run('dead-letters retry --all');
    expect(stdout).toBe(
      'messages, shard 0: 8 dead letters to be written again\n7 dead letters left, the outbox has no room for more: try again when it has written\n',
    );
    expect(exitCode).toBe(1);
    expect(worker.asked).toHaveLength(2);
  });

  test('of ones that are not there says so and exits 1', async () => {
    worker.answers = [{ body: { ...done, missing: [9, 12] } }];
    const { exitCode, stdout } = await run('dead-letters retry 7 9 12');
    expect(stdout).toContain('1 dead letter to be written again\nNot there: 9, 12 (');
    expect(exitCode).toBe(1);
  });

  test.each([
    ['NaN', /--payload: it is text with NaN, which JSON does not have; write null/],
    ['{\n  "n": 1\n}', /--payload: it is JSON over several lines; write each value on one line \(jq -c \.\)/],
  ])('of a payload that is %j names what it is, and asks nothing', async (payload, says) => {
    const { exitCode, stderr } = await run('dead-letters retry 7', ['--payload', payload]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringMatching(says) });
    expect(worker.asked).toEqual([]);
  });

  test('of a payload that is refused exits 1 with the reason', async () => {
    worker.answers = [
      { status: 400, body: { code: 'invalid_json', detail: 'The payload would be refused again' } },
    ];
    expect(await run('dead-letters retry 7 --payload x')).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'sluice: The payload would be refused again\n',
    });
  });
});

describe('dead-letters drop', () => {
  test('passes on ids, and --all', async () => {
    worker.answers = [{ body: { dropped: 1, missing: [9] } }, { body: { dropped: 2_000, missing: [] } }];
    const some = await run('dead-letters drop 7 9');
    expect(some.stdout).toContain('messages, shard 0: 1 dead letter dropped\nNot there: 9 (');
    expect(some.exitCode).toBe(1);
    const all = await run('dead-letters drop --all --shard 2');
    expect(all.stdout).toBe('messages, shard 2: 2,000 dead letters dropped\n');
    expect(all.exitCode).toBe(0);
    expect(worker.asked).toMatchObject([
      { method: 'POST', path: '/admin/messages/0/dead-letters/drop', body: { ids: [7, 9] } },
      { method: 'POST', path: '/admin/messages/2/dead-letters/drop', body: { ids: 'all' } },
    ]);
  });
});

describe('shard', () => {
  const state = {
    isPaused: false,
    code: null,
    message: null,
    buffered: 0,
    sockets: 1,
    deadLetters: TOTALS,
  };

  test('resume exits 0 where the shard writes, and 1 with the reason where it is still stopped', async () => {
    const stopped = {
      ...state,
      isPaused: true,
      code: 'dead_letters_full',
      message: 'Drop some',
      buffered: 3,
    };
    worker.answers = [{ body: state }, { body: stopped }, { body: stopped }];
    expect(await run('shard resume')).toEqual({
      exitCode: 0,
      stdout: 'messages, shard 0: writing\n0 messages not written yet, 1 socket, 1 dead letter\n',
      stderr: '',
    });
    const still = await run('shard resume');
    expect(still.stdout).toContain(
      'messages, shard 0: stopped (dead_letters_full): Drop some\n3 messages not',
    );
    expect(still.exitCode).toBe(1);
    const json = await run('shard resume --json');
    expect(JSON.parse(json.stdout)).toEqual(stopped);
    expect(json.exitCode).toBe(1);
    expect(worker.asked[0]).toMatchObject({ method: 'POST', path: '/admin/messages/0/resume', body: {} });
  });

  test('resume shows whose messages the database has lost, and passes on what is to become of them', async () => {
    const missing = {
      messages: 1_500,
      sinceMs: Date.UTC(2026, 10, 30, 12, 0, 0),
      held: 1_200,
      ranges: Array.from({ length: 25 }, (_, index) => ({
        producer: `p${index}`,
        epoch: 7,
        firstSequence: 11,
        lastSequence: 50,
        messages: 40,
      })),
      unlisted: 200,
    };
    const stopped = {
      ...state,
      isPaused: true,
      code: 'checkpoint_behind',
      message: 'The database is in the past',
      missing,
    };
    worker.answers = [{ body: stopped }, { body: state }, { body: state }];
    const { stdout, exitCode } = await run('shard resume');
    expect(exitCode).toBe(1);
    const lines = stdout.trimEnd().split('\n');
    expect(lines[2]).toBe(
      'missing in the database since 2026-11-30T12:00:00.000Z: 1,500 messages, of which the shard still has 1,200',
    );
    expect(lines[3]).toBe('  p0, epoch 7: sequences 11 to 50');
    expect(lines.slice(-2)).toEqual([
      '  and 400 messages of others',
      'say --write-again to write what the shard still has, or --give-up to go on without',
    ]);
    expect((await run('shard resume --write-again')).exitCode).toBe(0);
    expect((await run('shard resume --give-up --shard 1')).exitCode).toBe(0);
    expect(worker.asked).toMatchObject([
      { path: '/admin/messages/0/resume', body: {} },
      { path: '/admin/messages/0/resume', body: { missing: 'write-again' } },
      { path: '/admin/messages/1/resume', body: { missing: 'give-up' } },
    ]);
    const both = await run('shard resume --give-up --write-again');
    expect(both.exitCode).toBe(2);
    expect(worker.asked).toHaveLength(3);
  });

  test('pause and flush exit 1 where what was asked for is not so', async () => {
    const paused = {
      ...state,
      isPaused: true,
      code: 'paused_by_operator',
      message: 'An operator has paused it',
    };
    worker.answers = [paused, state, state, paused].map((body) => ({ body }));
    const first = await run('shard pause --sink messages');
    expect([first.exitCode, first.stdout]).toEqual([
      0,
      expect.stringContaining('paused (paused_by_operator): An operator has paused it'),
    ]);
    expect((await run('shard pause --sink messages')).exitCode).toBe(1);
    expect((await run('shard flush --sink messages')).exitCode).toBe(0);
    expect((await run('shard flush --sink messages')).exitCode).toBe(1);
    expect(worker.asked).toMatchObject([
      { method: 'POST', path: '/admin/messages/0/pause', body: {} },
      { path: '/admin/messages/0/pause' },
      { path: '/admin/messages/0/flush', body: {} },
      { path: '/admin/messages/0/flush' },
    ]);
  });

  test('drain says whether sockets are to be closed, and exits 1 where something is left', async () => {
    worker.answers = [{ body: state }, { body: { ...state, buffered: 1 } }];
    expect((await run('shard drain --sink messages --shard 1')).exitCode).toBe(0);
    expect((await run('shard drain --close-sockets')).exitCode).toBe(1);
    expect(worker.asked).toMatchObject([
      { method: 'POST', path: '/admin/messages/1/drain', body: { closeSockets: false } },
      { method: 'POST', path: '/admin/messages/0/drain', body: { closeSockets: true } },
    ]);
  });
});

describe('wrong options end with one line on stderr, exit 2, and nothing asked', () => {
  test.each([
    { args: ['dead-letters', 'retry'], says: /Name the ids of dead letters, or give --all/ },
    { args: ['dead-letters', 'drop', '7', '--all'], says: /Name the ids of dead letters, or give --all/ },
    {
      args: ['dead-letters', 'drop', '7', 'x'],
      says: /"x" as the id of a dead letter: a whole number from 1/,
    },
    { args: ['dead-letters', 'drop', '9007199254740993'], says: /as the id of a dead letter/ },
    { args: ['dead-letters', 'show'], says: /missing required argument 'id'/ },
    { args: ['dead-letters', 'retry', '7', '8', '--payload', '1'], says: /--payload replaces one message/ },
    { args: ['dead-letters', 'retry', '--all', '--payload', '1'], says: /--payload replaces one message/ },
    {
      args: ['dead-letters', 'list', '--shard', '256'],
      says: /"256" for shard: a whole number from 0 to 255/,
    },
    { args: ['dead-letters', 'list', '--sink', ''], says: /empty --sink/ },
    { args: ['dead-letters', 'lsit'], says: /unknown command 'lsit'/ },
    { args: ['shard', 'resume', '--json', '--nonsense'], says: /unknown option '--nonsense'/ },
  ])('$args', async ({ args: [command = '', ...args], says }) => {
    const { exitCode, stdout, stderr } = await run(command, args);
    expect(stderr.trimEnd().split('\n')).toEqual([expect.stringMatching(says)]);
    expect(stdout).toBe('');
    expect(exitCode).toBe(2);
    expect(worker.asked).toEqual([]);
  });

  test('a wrong address or token is not repeated', async () => {
    const runs = [
      ['shard', 'resume', '--url', 'http://someone:topsecret@127.0.0.1:1'],
      ['shard', 'resume', '--url', worker.url, '--token', 'topsecret\nX-Other: 1'],
      ['shard', 'resume', '--url', worker.url, '--token', 'topsecret…'],
    ];
    for (const args of runs) {
      const { exitCode, stdout, stderr } = await cli.run(args);
      expect(exitCode).toBe(2);
      expect(stderr).toMatch(/^sluice: .*--(url|token).*\n$/);
      expect(stdout + stderr).not.toContain('topsecret');
    }
    expect(worker.asked).toEqual([]);
  });
});

describe('a reader that has gone (as in … | head)', () => {
  const page = { letters: Array.from({ length: 100 }, () => EXCERPT), next: null, totals: TOTALS };
  test.each([
    ['dead-letters list --sink messages', page],
    [
      'dead-letters summary --sink messages',
      { sink: 'messages', count: 1, isFull: false, shards: [{ shard: 0, ...TOTALS }] },
    ],
    ['dead-letters show 7 --sink messages --json', { ...LETTER, payload: '1' }],
    ['dead-letters drop 7 --sink messages', { dropped: 1, missing: [] }],
    ['export', '{}\n'.repeat(100_000)],
    ['bench schema', undefined],
    ['--help', undefined],
  ])('%s ends without a word, as if all had been read', async (command, body) => {
    worker.answers = body === undefined ? [] : [{ body }];
    const args = [...command.split(' '), ...(body === undefined ? [] : ['--url', worker.url])];
    const running = cli.start(args, { SLUICE_OPERATOR_TOKEN: '', SLUICE_STORE_TOKEN: '' });
    running.child.stdout?.destroy();
    const { exitCode, stderr } = await running.ended;
    expect(stderr).not.toMatch(/EPIPE|\bat |Error|broke off/);
    expect(exitCode).toBe(0);
  });
});

describe('without --sink', () => {
  const drained = { isPaused: false, buffered: 0, sockets: 0, deadLetters: { count: 0, isFull: false } };
  const commands = ['dead-letters list', 'dead-letters show 7', 'dead-letters drop 7', 'shard drain'];

  test.each([
    ['dead-letters list', { letters: [EXCERPT], next: null, totals: TOTALS }],
    ['dead-letters show 7', { ...LETTER, payload: '1' }],
    ['dead-letters retry 7', { retried: 1, missing: [], remaining: 0, isFull: false }],
    ['dead-letters drop 7', { dropped: 1, missing: [] }],
    ['shard resume', drained],
    ['shard drain', drained],
  ])('%s is for the only sink that the Worker has', async (command, body) => {
    worker.answers = [{ body: { sinks: { 'old readings': {} } } }, { body }];
    const { exitCode, stderr } = await cli.run([...command.split(' '), '--url', worker.url], {
      SLUICE_OPERATOR_TOKEN: 's3cret',
    });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(worker.asked.map(({ path }) => path)).toEqual([
      '/stats',
      expect.stringMatching(/^\/admin\/old%20readings\/0\//),
    ]);
    expect(worker.asked[0]).toMatchObject({ authorization: 'Bearer s3cret' });
  });

  test.each(commands)('%s names the sinks where there are several', async (command) => {
    worker.answers = [{ body: { sinks: { clicks: {}, readings: {} } } }];
    expect(await cli.run([...command.split(' '), '--url', worker.url])).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: 'sluice: The Worker has several sinks: name one with --sink (clicks, readings)\n',
    });
    expect(worker.asked).toHaveLength(1);
  });

  test('a wrong --shard is said before anything is asked', async () => {
    const { exitCode, stderr } = await cli.run(['shard', 'drain', '--shard', '256', '--url', worker.url]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringContaining('"256" for shard') });
    expect(worker.asked).toEqual([]);
  });
});

describe('a Worker that does not help', () => {
  test.each([
    [401, 'unauthorized', /\(set SLUICE_OPERATOR_TOKEN, or give --token\)$/, 1],
    [403, 'operators_closed', /\(npm run dev does so for a local Worker\)$/, 1],
    [400, 'invalid_options', /what it says$/, 2],
    [404, 'unknown_shard', /what it says$/, 1],
    [503, 'database_unreachable', /what it says$/, 4],
    [418, 'a_code_of_the_future', /what it says$/, 1],
  ])('and answers %i %s', async (status, code, says, exit) => {
    worker.answers = [{ status, body: { code, detail: 'what it says' } }];
    const { exitCode, stdout, stderr } = await run('dead-letters list', ['--token', 'topsecret']);
    expect(stdout).toBe('');
    expect(stderr.trimEnd()).toMatch(says);
    expect(stderr).not.toContain('topsecret');
    expect(exitCode).toBe(exit);
  });

  test.each([
    [200, '<html>'],
    [502, '{}'],
  ])('because it is none: status %i, %j', async (status, body) => {
    worker.answers = [{ status, body }];
    const { exitCode, stdout, stderr } = await run('dead-letters list');
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toBe(
      `sluice: What answers at ${worker.url} is not a Sluice Worker (status ${status}): is --url right?\n`,
    );
  });

  test('because nothing is there', async () => {
    await worker.stop();
    const { exitCode, stderr } = await run('dead-letters list');
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /^sluice: Nothing answers at http:.*ECONNREFUSED.*is the Worker running\? \(npm run dev\)\n$/,
    );
  });
});

describe('a Worker whose router is mounted below a path', () => {
  test.each(['/app/sluice', '/app/sluice/'])('is asked there, with --url …%s', async (path) => {
    worker.url += path;
    worker.answers = [
      { body: { sinks: { readings: {} } } },
      { body: { sink: 'readings', count: 0, isFull: false, shards: [] } },
    ];
    const { exitCode, stderr } = await run('dead-letters summary');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(worker.asked.map((one) => one.path)).toEqual([
      '/app/sluice/stats',
      '/app/sluice/admin/readings/dead-letters',
    ]);
  });
});
