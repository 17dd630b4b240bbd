import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readAddressedMessage } from '../../../src/messages/addressed-message.ts';
import { checkJson, JSON_ESCAPED, JSON_PLAIN } from '../../../src/protocol/check-json.ts';

describe('a message that names its stream', () => {
  test('has its parts, as they came', () => {
    const id = '0189c7b0-0000-7000-8000-000000000000';
    expect(
      readAddressedMessage(
        `{"stream":"account-123","type":"Deposited","data":{"amount":9007199254740993 , "n":1e400},"metadata":{"a":[1]},"id":"${id}"}`,
      ),
    ).toEqual({
      stream: 'account-123',
      type: 'Deposited',
      data: '{"amount":9007199254740993 , "n":1e400}',
      metadata: '{"a":[1]}',
      id,
    });
  });

  test('needs no more than a stream and a type; null is as good as nothing', () => {
    const bare = { stream: 'a-1', type: 'T', data: '{}', metadata: null, id: undefined };
    expect(readAddressedMessage('{"stream":"a-1","type":"T"}')).toEqual(bare);
    expect(readAddressedMessage('{"stream":"a-1","type":"T","metadata":null,"id":null}')).toEqual(bare);
    // A data of null is a value.
    expect(readAddressedMessage('{"stream":"a-1","type":"T","data":null}').data).toBe('null');
  });

  test('is read whatever its blanks, escapes and order', () => {
    expect(
      readAddressedMessage(
        ' \t{ "data" :\r[ "}]\\"" , {"a":"\\\\"} ] , "\\u0074ype" : "T\\u00e4" , "stream":"a-\\"1" } ',
      ),
    ).toEqual({
      stream: 'a-"1',
      type: 'Tä',
      data: '[ "}]\\"" , {"a":"\\\\"} ]',
      metadata: null,
      id: undefined,
    });
  });

  test.each([
    ['5', 'invalid_message', 'not a JSON object'],
    ['[]', 'invalid_message', 'not a JSON object'],
    ['"text"', 'invalid_message', 'not a JSON object'],
    ['{}', 'invalid_stream_name', 'names no stream'],
    ['{"stream":null,"type":"T"}', 'invalid_stream_name', 'names no stream'],
    ['{"stream":5,"type":"T"}', 'invalid_message', "The message's stream is no string: 5"],
    ['{"stream":"a-1"}', 'invalid_message', 'no type'],
    ['{"stream":"a-1","type":""}', 'invalid_message', 'no type'],
    ['{"stream":"a-1","type":["T"]}', 'invalid_message', "The message's type is no string"],
    ['{"stream":"a-1","type":"T","id":7}', 'invalid_message', "The message's id is no string"],
    ['{"stream":"a-1","type":"T","meta":{}}', 'invalid_message', 'has the member "meta"'],
    ['{"stream":"a-1","type":"T","expectedVersion":3}', 'invalid_message', 'nobody waits for the answer'],
    ['{"stream":"a-1","type":"T","type":"U"}', 'invalid_message', 'has the member type twice'],
    ['{"stream":"a-1","type":"T","t\\u0079pe":"U"}', 'invalid_message', 'has the member type twice'],
  ])('is refused: %s', (payload, code, text) => {
    expect(() => readAddressedMessage(payload)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(text) }),
    );
  });

  test('is read as JSON.parse reads it', () => {
    const blanks = fc.constantFrom('', ' ', '\t', ' \r');
    fc.assert(
      fc.property(
        fc.record({
          stream: fc.string({ minLength: 1 }),
          type: fc.string({ minLength: 1 }),
          data: fc.jsonValue(),
          metadata: fc.jsonValue(),
        }),
        fc.array(blanks, { minLength: 16, maxLength: 16 }),
        fc.integer({ min: 0, max: 3 }),
        (message, space, turn) => {
          const entries = Object.entries(message);
          const turned = [...entries.slice(turn), ...entries.slice(0, turn)];
          const members = turned.map(
            ([name, value], index) =>
              `${space[index]}${JSON.stringify(name)}${space[index + 4]}:${space[index + 8]}${JSON.stringify(value)}${space[index + 12]}`,
          );
          const payload = `{${members.join(',')}}`;
          fc.pre([JSON_PLAIN, JSON_ESCAPED].includes(checkJson(payload) as never));
          const read = readAddressedMessage(payload);
          expect({
            ...read,
            data: JSON.parse(read.data),
            metadata: read.metadata === null ? null : JSON.parse(read.metadata),
          }).toEqual({ ...JSON.parse(payload), id: undefined });
        },
      ),
    );
  });
});
