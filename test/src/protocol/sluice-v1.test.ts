import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_FRAME_BYTES, MAX_FRAME_MESSAGES, MAX_NACK_TEXT_LENGTH } from '../../../src/core/limits.ts';
import type { RefusalCode } from '../../../src/protocol/frame.ts';
import {
  ACK_LEVELS,
  type BatchBody,
  type BatchHeader,
  encodeAck,
  encodeCredit,
  encodeFlow,
  encodeGap,
  encodeNack,
  encodeWelcome,
  readBatchBody,
  readClientFrame,
} from '../../../src/protocol/sluice-v1.ts';

const MAX_MESSAGE_BYTES = 64;
const LIMITS = { maxMessageBytes: MAX_MESSAGE_BYTES, takesReplacement: false };

function header(frame: string): BatchHeader {
  const read = readClientFrame(frame);
  if (read.t !== 'batch') throw new Error(`no batch: ${JSON.stringify(read)}`);
  return read;
}

/** The body of a whole frame. */
function bodyOf(frame: string, skip = 0): BatchBody | undefined {
  return readBatchBody(frame, header(frame), skip, LIMITS);
}

function batch(seq: number, lines: readonly string[], end = ''): string {
  return `{"t":"batch","seq":${seq},"n":${lines.length}}\n${lines.join('\n')}${end}`;
}

const REFUSED_LINES: [string, RefusalCode][] = [
  ['', 'invalid_json'],
  ['{', 'invalid_json'],
  ['1 2', 'invalid_json'],
  ['"\\u0000"', 'nul_character'],
  ['"\\ud800"', 'lone_surrogate'],
  ['1e400000', 'number_out_of_range'],
  [`"${'x'.repeat(MAX_MESSAGE_BYTES)}"`, 'message_too_large'],
];

describe('the header of a batch', () => {
  test('is read, and says where the messages begin', () => {
    const frame = '{"t":"batch","seq":1201,"n":3}\n1\n2\n3';
    expect(readClientFrame(frame)).toEqual({ t: 'batch', seq: 1201, n: 3, bodyStart: 31 });
    expect(frame.slice(31)).toBe('1\n2\n3');
  });

  test('may be spelled in any way that is JSON, with fields that nobody knows', () => {
    const frame = ' { "n" : 1 , "later" : [true] , "seq" : 1.2e1 , "t" : "b\\u0061tch" }\r\n7';
    expect(readClientFrame(frame)).toEqual({ t: 'batch', seq: 12, n: 1, bodyStart: frame.length - 1 });
    expect(bodyOf(frame)).toMatchObject({ payloads: ['7'] });
  });

  // What is written at the places of the two numbers. The usual spelling is read without parsing, and a space behind
  // the brace makes the same object take the long way.
  const number = fc.oneof(
    fc.nat().map(String),
    fc.nat({ max: 12 }).map(String),
    fc.maxSafeInteger().map(String),
    fc.constantFrom(
      ...[
        '',
        '0',
        '00',
        '01',
        '007',
        '-1',
        '1.0',
        '1.5',
        '1e3',
        '1e999',
        '10000',
        '10001',
        '010000',
        '99999',
      ],
      ...[
        '999999999999999',
        '1000000000000000',
        '9007199254740991',
        '9007199254740992',
        'null',
        '"1"',
        '[1]',
      ],
      ...[' 1', '1 ', '1,"n":2', '１', '1}'],
    ),
  );
  test('means the same by the short way and by the long one', () => {
    fc.assert(
      fc.property(
        number,
        number,
        fc.constantFrom('}\n1', '}\n', '}', ',"x":1}\n1', '}\r\n1', '}}\n1', ''),
        (seq, n, rest) => {
          const fields = `"t":"batch","seq":${seq},"n":${n}${rest}`;
          const short = readClientFrame(`{${fields}`);
          const long = readClientFrame(`{ ${fields}`);
          if (long.t === 'batch') expect(short).toEqual({ ...long, bodyStart: long.bodyStart - 1 });
          else expect(short).toEqual(long);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  test.each(['01', '007', '00', '0'])('with a number spelled %s is not JSON, or no sequence', (number) => {
    expect(readClientFrame(`{"t":"batch","seq":${number},"n":1}\n1`)).toMatchObject({
      code: 'invalid_frame',
    });
    expect(readClientFrame(`{"t":"batch","seq":1,"n":${number}}\n1`)).toMatchObject({
      code: 'invalid_frame',
    });
  });

  test.each([
    '{"t":"batch","n":1}\n1',
    '{"t":"batch","seq":1}\n1',
    '{"t":"batch","seq":0,"n":1}\n1',
    '{"t":"batch","seq":-1,"n":1}\n1',
    '{"t":"batch","seq":1.5,"n":1}\n1',
    '{"t":"batch","seq":"1","n":1}\n1',
    '{"t":"batch","seq":9007199254740992,"n":1}\n1',
    '{"t":"batch","seq":1,"n":0}\n',
    `{"t":"batch","seq":1,"n":${MAX_FRAME_MESSAGES + 1}}\n1`,
    '{"t":"batch","seq":1,"n":1}',
    '{"t":"batch","seq":1,"n":1',
    '{"t":"batch","seq":1,"n":1} x\n1',
  ])('that cannot be right is an invalid frame: %s', (frame) => {
    expect(readClientFrame(frame)).toMatchObject({ t: 'bad', code: 'invalid_frame' });
  });

  test('names no sequence above 2^53 - 1, not even for the last of its messages', () => {
    const last = Number.MAX_SAFE_INTEGER;
    expect(readClientFrame(batch(last, ['1']))).toMatchObject({ t: 'batch', seq: last });
    expect(readClientFrame(batch(last - 1, ['1', '2']))).toMatchObject({ t: 'batch' });
    expect(readClientFrame(batch(last, ['1', '2']))).toMatchObject({ t: 'bad', code: 'invalid_frame' });
  });
});

describe('the other frames', () => {
  test.each([
    ['{"t":"ping"}', { t: 'ping' }],
    ['{"t":"flush","x":1}', { t: 'flush' }],
    ['{"t":"bye"}\n', { t: 'bye' }],
    ['{"t":"pong","id":7}', { t: 'pong', id: 7 }],
    ['{"t":"pong","id":0}', { t: 'pong', id: 0 }],
    ['{"t":"auth","token":"a.b-c_"}', { t: 'auth', token: 'a.b-c_' }],
  ])('%s', (frame, read) => {
    expect(readClientFrame(frame)).toEqual(read);
  });

  const begin = { t: 'hello', producer: undefined, intent: 'begin', epoch: undefined, instance: undefined };
  test.each([
    ['{"t":"hello"}', { ...begin, ack: 'stored' }],
    ['{"t":"hello","ack":"none"}', { ...begin, ack: 'none' }],
    ['{"t":"hello","ack":"committed","producer":"p"}', { ...begin, ack: 'committed', producer: 'p' }],
    ['{"t":"hello","epoch":9007199254740991}', { ...begin, ack: 'stored', epoch: 9_007_199_254_740_991 }],
    ['{"t":"hello","instance":"a-B_9"}', { ...begin, ack: 'stored', instance: 'a-B_9' }],
    // What is of use to another kind of hello only, and what later work builds.
    ['{"t":"hello","next":5,"session":"1.x"}', { ...begin, ack: 'stored' }],
    ['{"t":"hello","class":"high"}', { ...begin, ack: 'stored' }],
    ['{"t":"hello","token":"secret"}', { ...begin, ack: 'stored', token: 'secret' }],
    [
      '{"t":"hello","epoch":3,"resume":true,"next":5,"session":"2.x"}',
      { t: 'hello', producer: undefined, ack: 'stored', intent: 'resume', epoch: 3, session: '2.x', next: 5 },
    ],
    [
      '{"t":"hello","recover":true,"instance":"i","next":5}',
      {
        t: 'hello',
        producer: undefined,
        ack: 'stored',
        intent: 'recover',
        instance: 'i',
        session: undefined,
        next: 5,
      },
    ],
  ])('%s', (frame, read) => {
    expect(readClientFrame(frame)).toEqual(read);
  });

  test.each([
    '{"t":"hello","ack":"all"}',
    '{"t":"hello","ack":null}',
    '{"t":"hello","producer":7}',
    '{"t":"hello","token":""}',
    '{"t":"hello","token":"a b"}',
    '{"t":"hello","token":null}',
    '{"t":"hello","epoch":0}',
    '{"t":"hello","epoch":"3"}',
    '{"t":"hello","epoch":9007199254740992}',
    '{"t":"hello","resume":1}',
    '{"t":"hello","recover":"true"}',
    '{"t":"hello","next":0}',
    '{"t":"hello","instance":""}',
    '{"t":"hello","instance":7}',
    `{"t":"hello","instance":"${'x'.repeat(65)}"}`,
    '{"t":"hello","instance":"a b"}',
    '{"t":"hello","session":"a/b"}',
    '{"t":"hello","resume":true}',
    '{"t":"hello","resume":true,"epoch":3,"session":"1.x"}',
    '{"t":"hello","resume":true,"next":3,"session":"1.x"}',
    '{"t":"hello","resume":true,"epoch":3,"next":3}',
    '{"t":"hello","recover":true,"instance":"i"}',
    '{"t":"hello","recover":true,"next":3}',
    '{"t":"hello","resume":true,"recover":true,"epoch":3,"next":3,"session":"1.x","instance":"i"}',
  ])('a hello that cannot be understood is told apart: %s', (frame) => {
    expect(readClientFrame(frame)).toMatchObject({ t: 'bad', code: 'invalid_hello' });
  });

  test.each([
    ['{"t":"pong"}', 'invalid_frame'],
    ['{"t":"pong","id":-1}', 'invalid_frame'],
    ['', 'invalid_frame'],
    ['[]', 'invalid_frame'],
    ['null', 'invalid_frame'],
    ['"hello"', 'invalid_frame'],
    ['{"a":1}{"t":"ping"}', 'invalid_frame'],
    ['{}', 'unknown_type'],
    ['{"t":"Hello"}', 'unknown_type'],
    ['{"t":1}', 'unknown_type'],
  ])('%s is none: %s', (frame, code) => {
    expect(readClientFrame(frame)).toMatchObject({ t: 'bad', code });
  });

  test('one above the limit is none', () => {
    const fitting = `{"t":"ping","x":"${'x'.repeat(MAX_FRAME_BYTES)}`.slice(0, MAX_FRAME_BYTES - 2);
    expect(readClientFrame(`${fitting}"}`)).toEqual({ t: 'ping' });
    expect(readClientFrame(`${fitting}x"}`)).toMatchObject({ t: 'bad', code: 'frame_too_large' });
    // In bytes, not in characters.
    expect(readClientFrame('é'.repeat(MAX_FRAME_BYTES / 2 + 1))).toMatchObject({ code: 'frame_too_large' });
  });

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 't'])(
    'a type or a field called %s is like any other',
    (name) => {
      expect(readClientFrame(`{"t":"${name}"}`)).toMatchObject({ t: 'bad', code: 'unknown_type' });
      expect(readClientFrame(`{"${name}":{"t":"ping"}}`)).toMatchObject({ t: 'bad', code: 'unknown_type' });
      expect(readClientFrame(`{"__proto__":{"${name}":"bye","seq":1,"n":1}}`)).toMatchObject({ t: 'bad' });
      expect(readClientFrame(`{"t":"hello","ack":"${name}"}`)).toMatchObject({ t: 'bad' });
      expect(({} as Record<string, unknown>).seq).toBeUndefined();
    },
  );

  test.each([100, 10_000, 400_000])('%i levels of nesting throw nothing', (depth) => {
    const deep = `${'['.repeat(depth)}${']'.repeat(depth)}`;
    expect(readClientFrame(`{"t":${deep}}`)).toMatchObject({ t: 'bad' });
    expect(readClientFrame(`{"t":"hello","ack":${deep}}`)).toMatchObject({ t: 'bad' });
    expect(readClientFrame(`{"t":"ping","x":${deep}}`).t).toMatch(/ping|bad/);
    expect(readClientFrame('['.repeat(2 * depth))).toMatchObject({ t: 'bad' });
    const read = bodyOf(`{"t":"batch","seq":1,"n":1}\n${deep}`);
    expect(read?.refused).toHaveLength(1);
  });

  test('no text makes it throw, and what it answers a bad frame is short', () => {
    const piece = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.json(),
      fc.constantFrom(
        '{"t":',
        '"batch"',
        '"hello"',
        ',"seq":',
        '1',
        ',"n":',
        '"ack":',
        '}',
        '\n',
        '"',
        '\\',
        '\ud800',
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const frame = pieces.join('');
        const read = readClientFrame(frame);
        if (read.t === 'bad')
          expect(encodeNack('unknown_type', false, read.message).length).toBeLessThan(2_000);
        if (read.t === 'batch') readBatchBody(frame, read, 0, LIMITS);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('the messages of a batch', () => {
  test('come as they were written', () => {
    expect(bodyOf(batch(1, ['{"b": 9007199254740993, "a": 1.0}']))).toEqual({
      payloads: ['{"b": 9007199254740993, "a": 1.0}'],
      plain: [true],
      text: '{"b": 9007199254740993, "a": 1.0}',
      refused: [],
    });
    expect(bodyOf(batch(1, ['1', '"\\n"', '3'], '\n'))).toEqual({
      payloads: ['1', '"\\n"', '3'],
      plain: [true, false, true],
      text: '1\n"\\n"\n3',
      refused: [],
    });
  });

  test.each(REFUSED_LINES)('the line %j alone is refused as %s', (line, code) => {
    // An empty line is one only where something ends it.
    expect(bodyOf(batch(1, [line], '\n'))).toEqual({
      payloads: [],
      plain: [],
      text: undefined,
      refused: [{ offset: 0, code }],
    });
  });

  test.each([
    [1, ''],
    [1, '1\n2'],
    [2, '1'],
    [2, '1\n'],
    [2, '1\n2\n3'],
    [2, '1\n2\n\n'],
    [3, '1\n2\n'],
  ])('%i of them are not %j', (n, text) => {
    expect(bodyOf(`{"t":"batch","seq":1,"n":${n}}\n${text}`)).toBeUndefined();
  });

  // Each line with what becomes of it.
  const line = fc.oneof(
    { weight: 4, arbitrary: fc.json({ maxDepth: 1 }).filter((text) => text.length < 40) },
    { weight: 2, arbitrary: fc.constantFrom('1', '"a"', '"\\n"', '"é😀"', '[1,\t2]', '{"a":1}\r', '\t7') },
    { weight: 1, arbitrary: fc.constantFrom(...REFUSED_LINES.map(([text]) => text)) },
  );
  const reasons = new Map(REFUSED_LINES);

  test('are those that are good and were not taken before; all that are refused are named', () => {
    fc.assert(
      fc.property(
        fc.array(line, { minLength: 1, maxLength: 20 }),
        fc.nat({ max: 20 }),
        fc.boolean(),
        (given, skipped, hasEnd) => {
          // Without a newline at the end, an empty last line cannot be seen.
          const lines = !hasEnd && given.at(-1) === '' ? [...given, '1'] : given;
          const skip = Math.min(skipped, lines.length - 1);
          const frame = batch(1, lines, hasEnd ? '\n' : '');
          const body = bodyOf(frame, skip) as BatchBody;
          const rest = lines.slice(skip);
          expect(body.payloads).toEqual(rest.filter((text) => !reasons.has(text)).map((text) => text.trim()));
          expect(body.plain).toEqual(body.payloads.map((text, index) => isPlain(rest, reasons, text, index)));
          expect(body.refused).toEqual(
            lines.flatMap((text, offset) =>
              reasons.has(text) ? [{ offset, code: reasons.get(text) as RefusalCode }] : [],
            ),
          );
          // What spares joining them again has to be what that would make.
          if (body.text !== undefined) expect(body.text).toBe(body.payloads.join('\n'));
          else
            expect(skip > 0 || body.refused.length > 0 || rest.some((text) => text !== text.trim())).toBe(
              true,
            );
          // One line more or less than it says is no batch.
          expect(
            bodyOf(frame.replace(`"n":${lines.length}}`, `"n":${lines.length + 1}}`), skip),
          ).toBeUndefined();
          if (lines.length > 1) {
            const fewer = frame.replace(`"n":${lines.length}}`, `"n":${lines.length - 1}}`);
            expect(bodyOf(fewer, Math.min(skip, lines.length - 2))).toBeUndefined();
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  function isPlain(
    lines: readonly string[],
    refused: Map<string, string>,
    _: string,
    index: number,
  ): boolean {
    const good = lines.filter((text) => !refused.has(text))[index] as string;
    return !/[\\\p{Cc}]/u.test(good);
  }

  test('a batch may hold the most that it may', () => {
    const lines = Array.from({ length: MAX_FRAME_MESSAGES }, (_, index) => String(index));
    expect(bodyOf(batch(1, lines))?.payloads).toEqual(lines);
  });
});

describe('what the server sends', () => {
  const whole = fc.nat({ max: Number.MAX_SAFE_INTEGER });
  const credit = fc.record({ messages: whole, bytes: whole });

  test('acks, flows and gaps say what they were made of', () => {
    fc.assert(
      fc.property(whole, whole, credit, (taken, committed, given) => {
        const text = encodeCredit(given);
        expect(JSON.parse(encodeAck(taken, committed, text, true))).toEqual({
          t: 'ack',
          stored: taken,
          committed,
          credit: given,
        });
        expect(JSON.parse(encodeAck(taken, committed, text, false))).toEqual({
          t: 'ack',
          taken,
          committed,
          credit: given,
        });
        expect(JSON.parse(encodeFlow(text, 'outbox_full'))).toEqual({
          t: 'flow',
          credit: given,
          reason: 'outbox_full',
        });
        expect(JSON.parse(encodeGap(taken, committed))).toEqual({
          t: 'gap',
          expected: taken,
          got: committed,
        });
      }),
    );
  });

  test('a welcome says all that the law lists', () => {
    fc.assert(
      fc.property(
        whole,
        whole,
        credit,
        fc.constantFrom(...ACK_LEVELS),
        fc.boolean(),
        fc.option(fc.record({ from: whole, to: whole }), { nil: undefined }),
        (epoch, taken, given, ack, hasOutbox, missing) => {
          const welcome = JSON.parse(
            encodeWelcome(
              {
                producer: 'dev-7f3a',
                epoch,
                session: '4.x',
                known: true,
                ack,
                taken,
                committed: 3,
                missing,
                sure: 2,
                credit: given,
                maxMessageBytes: 99,
                delivery: 'exactly-once',
              },
              hasOutbox,
            ),
          );
          expect(welcome).toEqual({
            t: 'welcome',
            producer: 'dev-7f3a',
            epoch,
            session: '4.x',
            known: true,
            ack,
            [hasOutbox ? 'stored' : 'taken']: taken,
            committed: 3,
            ...(missing === undefined ? {} : { missing }),
            sure: 2,
            credit: given,
            limits: { frameBytes: MAX_FRAME_BYTES, messageBytes: 99, frameMessages: MAX_FRAME_MESSAGES },
            delivery: 'exactly-once',
          });
        },
      ),
    );
  });

  const said = fc.option(fc.string({ unit: 'binary', maxLength: 128 }));
  test('a nack is one line of JSON, whatever its sentence holds, and no longer than it may be', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 2 * MAX_NACK_TEXT_LENGTH }),
        fc.boolean(),
        fc.option(fc.record({ from: whole, to: whole }), { nil: undefined }),
        fc.option(fc.record({ by: said, column: said, constraint: said, sqlState: said }), {
          nil: undefined,
        }),
        (message, temporary, range, details) => {
          const frame = encodeNack('dead_letter', temporary, message, range, details);
          expect(frame).not.toMatch(/[\n\r]/);
          expect(frame.isWellFormed()).toBe(true);
          expect(JSON.parse(frame)).toEqual({
            t: 'nack',
            ...range,
            code: 'dead_letter',
            temporary,
            message: message.slice(0, MAX_NACK_TEXT_LENGTH),
            ...Object.fromEntries(Object.entries(details ?? {}).filter(([, value]) => value !== null)),
          });
        },
      ),
    );
  });
});
