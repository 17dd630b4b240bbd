import { describe, expect, test } from 'vitest';
import {
  closeCode,
  type ErrorCode,
  errorText,
  httpStatus,
  isSluiceError,
  SluiceError,
  toProblem,
} from '../../../src/core/errors.ts';

/** Codes are names on the wire: one that is missing here was added, one that is gone was renamed. */
const TABLE: Record<ErrorCode, [status: number, closeCode: number]> = {
  invalid_options: [400, 4400],
  unsupported_subprotocol: [400, 1002],
  unauthorized: [401, 4401],
  origin_not_allowed: [403, 4403],
  bench_disabled: [403, 1008],
  operators_closed: [403, 1008],
  unknown_sink: [404, 4404],
  unknown_shard: [404, 1008],
  unknown_dead_letter: [404, 1008],
  not_found: [404, 1008],
  bench_running: [409, 1013],
  upgrade_required: [426, 1002],
  invalid_configuration: [500, 1011],
  internal: [500, 1011],
  database_unreachable: [503, 1013],
  database_refused: [503, 1013],
  time_limit: [504, 1013],
  binary_frame: [400, 1003],
  frame_too_large: [413, 1009],
  message_too_large: [413, 1009],
  invalid_utf8: [400, 1007],
  invalid_json: [400, 1007],
  nul_character: [400, 1007],
  lone_surrogate: [400, 1007],
  number_out_of_range: [400, 1007],
  nesting_too_deep: [400, 1007],
  buffer_full: [503, 1013],
  memory_full: [503, 1013],
  invalid_frame: [400, 4400],
  unknown_type: [400, 4400],
  invalid_hello: [400, 4400],
  hello_required: [400, 4400],
  fenced: [409, 4410],
  hello_timeout: [408, 4408],
  replaced: [409, 4409],
  over_credit: [429, 4429],
  rate_limited: [429, 4429],
  too_many_connections: [429, 4429],
  shard_failed: [500, 4500],
  shard_unavailable: [503, 4503],
  authorization_unavailable: [503, 4503],
  slow_reader: [503, 4504],
  too_many_errors: [429, 1008],
  dead_letter: [422, 4400],
  checkpoint_behind: [503, 4503],
  checkpoint_ahead: [503, 4503],
  checkpoint_missing: [503, 4503],
  dead_letters_full: [503, 4503],
  paused_by_operator: [503, 4503],
  sink_failed: [500, 4500],
  send_buffer_full: [503, 4400],
  client_closed: [503, 1000],
  message_dropped: [503, 4400],
  message_refused: [400, 4400],
  connection_lost: [503, 1006],
  fate_unknown: [409, 4410],
  storage_in_use: [409, 4409],
  forbidden: [403, 4403],
  invalid_stream_name: [400, 1008],
  invalid_category: [400, 1008],
  invalid_message: [400, 1008],
  invalid_namespace: [400, 1008],
  unknown_namespace: [404, 1008],
  namespace_exists: [409, 1008],
  append_conflict: [409, 1008],
  duplicate_event_id: [409, 1008],
  invalid_event: [400, 1008],
  invalid_query: [400, 1008],
  version_conflict: [409, 1008],
  position_exists: [409, 1008],
  duplicate_message_id: [409, 1008],
  too_many_subscribers: [429, 1013],
  schema_version: [503, 1013],
  store_closed: [503, 1001],
  audit_failed: [500, 1011],
  aborted: [500, 1001],
};
const CODES = Object.keys(TABLE) as ErrorCode[];

describe('the error table', () => {
  test.each(CODES)('%s has its status and its close code', (code) => {
    expect([httpStatus(code), closeCode(code)]).toEqual(TABLE[code]);
  });

  test('a full buffer and an absent database ask to come again later, wrong input does not', () => {
    expect([closeCode('buffer_full'), closeCode('database_unreachable'), closeCode('invalid_json')]).toEqual([
      1013, 1013, 1007,
    ]);
  });
});

describe('isSluiceError', () => {
  test.each(CODES)('knows %s by its code, whatever its class', (code) => {
    expect(isSluiceError(new SluiceError(code, 'text'))).toBe(true);
    expect(isSluiceError(Object.assign(new Error('text'), { code }))).toBe(true);
  });

  test.each([
    [new Error('text')],
    [Object.assign(new Error('text'), { code: 'ECONNRESET' })],
    [Object.assign(new Error('text'), { code: 22 })],
    [{ code: 'internal', message: 'text' }],
    ['internal'],
    [undefined],
    [null],
  ])('takes %o for none', (value) => {
    expect(isSluiceError(value)).toBe(false);
  });
});

describe('toProblem', () => {
  test.each(CODES)('of %s has its status, a title and its text', (code) => {
    expect(toProblem(new SluiceError(code, 'what happened'))).toEqual({
      type: 'about:blank',
      title: expect.stringMatching(/^[A-Z][a-z]/),
      status: TABLE[code][0],
      code,
      detail: 'what happened',
    });
  });

  test('carries the details, which cannot replace what belongs to the problem', () => {
    const error = new SluiceError('invalid_options', 'text', {
      details: { option: 'shards', status: 200, code: 'x' },
    });
    expect(toProblem(error)).toMatchObject({ option: 'shards', status: 400, code: 'invalid_options' });
  });

  test.each([
    [new Error('password "secret" at 10.0.0.1')],
    [Object.assign(new Error('secret'), { code: '42P01', detail: 'secret' })],
    ['secret'],
    [{ secret: 'secret' }],
    [undefined],
  ])('of %o says that something failed, and nothing of it', (error) => {
    const problem = toProblem(error);
    expect(problem).toMatchObject({ status: 500, code: 'internal' });
    expect(JSON.stringify(problem)).not.toContain('secret');
  });

  test('does not show causes', () => {
    const error = new SluiceError('database_refused', 'It failed', { cause: new Error('secret') });
    expect(JSON.stringify(toProblem(error))).not.toContain('secret');
    expect(error.cause).toMatchObject({ message: 'secret' });
  });
});

describe('errorText', () => {
  test.each<[unknown, string]>([
    [new Error('a'), 'a'],
    [new Error('a', { cause: new Error('b', { cause: 'c' }) }), 'a: b: c'],
    [new Error('a: b', { cause: new Error('b') }), 'a: b'],
    [new TypeError(''), 'TypeError'],
    [new AggregateError([new Error('refused'), new Error('other')]), 'refused'],
    [new Error('two\n  lines'), 'two lines'],
    ['text', 'text'],
    [undefined, ''],
    [null, ''],
  ])('of %o is %j', (error, text) => {
    expect(errorText(error)).toBe(text);
  });

  test('ends, for causes in a circle and for very long texts', () => {
    const circle = new Error('a');
    circle.cause = circle;
    expect(errorText(circle)).toBe('a');
    expect(errorText(new Error('x'.repeat(10_000)))).toHaveLength(500);
  });
});
