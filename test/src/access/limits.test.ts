import { describe, expect, test } from 'vitest';
import { deploymentLimits, mergeLimits, readLimits } from '../../../src/access/limits.ts';

describe('limits', () => {
  test('are read as they are', () => {
    const limits = {
      tenant: { messagesPerSecond: 1_000, bytesPerSecond: 1e6, connections: 10, outboxShare: 0.25 },
      producer: { messagesPerSecond: 0.5 },
      connection: { bytesPerSecond: 1 },
      address: { connections: 1, requestsPerSecond: 5 },
    };
    expect(readLimits(limits, 'They')).toEqual(limits);
    expect(readLimits({}, 'They')).toEqual({});
    expect(readLimits({ tenant: undefined, producer: { connections: undefined } }, 'They')).toEqual({
      producer: {},
    });
  });

  test.each([
    [null, 'They is no table'],
    [[], 'They is no table'],
    ['x', 'They is no table'],
    [{ tenants: {} }, 'They has limits of "tenants": known are tenant, producer, connection, address'],
    [{ constructor: {} }, 'They has limits of "constructor"'],
    [{ tenant: 5 }, 'They says no limits at tenant'],
    [{ tenant: [] }, 'They says no limits at tenant'],
    [{ producer: { messages: 5 } }, 'They at producer has "messages": known are messagesPerSecond'],
    [{ producer: { toString: 5 } }, 'They at producer has "toString"'],
    [{ producer: { requestsPerSecond: 5 } }, 'They at producer has "requestsPerSecond"'],
    [{ connection: { connections: 5 } }, 'They at connection has "connections"'],
    [{ tenant: { messagesPerSecond: 0 } }, 'a number from 0.01 to 10000000 is allowed'],
    [{ tenant: { messagesPerSecond: -1 } }, 'a number from 0.01'],
    [{ tenant: { messagesPerSecond: '5' } }, 'has messagesPerSecond "5"'],
    [{ tenant: { messagesPerSecond: Number.NaN } }, 'a number from 0.01'],
    [{ tenant: { messagesPerSecond: Number.POSITIVE_INFINITY } }, 'a number from 0.01'],
    [{ tenant: { messagesPerSecond: null } }, 'has messagesPerSecond null'],
    [{ tenant: { bytesPerSecond: 1e11 } }, 'a number from 1 to 10000000000 is allowed'],
    [{ tenant: { connections: 1.5 } }, 'a whole number from 1 to 1000000 is allowed'],
    [{ tenant: { connections: 0 } }, 'a whole number from 1'],
    [{ tenant: { outboxShare: 1.1 } }, 'a number from 0.001 to 1 is allowed'],
    [{ address: { outboxShare: 0.5 } }, 'known are messagesPerSecond, bytesPerSecond, connections'],
    [{ address: { requestsPerSecond: 0 } }, 'a number from 0.01 to 1000000 is allowed'],
  ])('%j is refused, and says what is allowed', (given, sentence) => {
    expect(() => readLimits(given, 'They')).toThrow(
      expect.objectContaining({ code: 'invalid_options', message: expect.stringContaining(sentence) }),
    );
  });

  test('of a prototype are none', () => {
    const given = JSON.parse('{"__proto__":{"messagesPerSecond":1}}');
    expect(() => readLimits(given, 'They')).toThrow('__proto__');
    expect(readLimits(Object.create({ tenant: { connections: 0 } }), 'They')).toEqual({});
  });

  test('of the variable win over those of the code, number by number', () => {
    const code = { tenant: { messagesPerSecond: 10, connections: 5 }, address: { connections: 2 } };
    const variable = '{"tenant":{"messagesPerSecond":20},"producer":{"bytesPerSecond":100}}';
    expect(deploymentLimits(code, variable)).toEqual({
      tenant: { messagesPerSecond: 20, connections: 5 },
      producer: { bytesPerSecond: 100 },
      address: { connections: 2 },
    });
    expect(deploymentLimits(code, JSON.parse(variable))).toEqual(deploymentLimits(code, variable));
    expect(deploymentLimits(code, '')).toBe(code);
    expect(deploymentLimits(code, undefined)).toBe(code);
  });

  test.each(['{', '[]', 'true', '{"tenant":{"messagesPerSecond":0}}'])(
    'the variable %s is a fault of the deployment',
    (variable) => {
      expect(() => deploymentLimits({}, variable)).toThrow(
        expect.objectContaining({
          code: 'invalid_configuration',
          message: expect.stringContaining('The variable LIMITS'),
        }),
      );
    },
  );

  test('of a grant win over both', () => {
    const under = { producer: { messagesPerSecond: 10, bytesPerSecond: 5 } };
    expect(mergeLimits(under, { producer: { messagesPerSecond: 99 } })).toEqual({
      producer: { messagesPerSecond: 99, bytesPerSecond: 5 },
    });
    expect(mergeLimits(under, undefined)).toBe(under);
  });
});
