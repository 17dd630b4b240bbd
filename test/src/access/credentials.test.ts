import { describe, expect, test } from 'vitest';
import { checkToken, readCredentials, tokenProtocol } from '../../../src/access/credentials.ts';
import { MAX_TOKEN_LENGTH } from '../../../src/core/limits.ts';

function read(headers: Record<string, string>, query = '') {
  return readCredentials(new Request(`http://sluice/ws/messages${query}`, { headers }));
}

const protocol = (value: string) => ({ 'sec-websocket-protocol': value });
const base64url = (bytes: string | Uint8Array) => Buffer.from(bytes).toString('base64url');

describe('what a request says of who it is', () => {
  test.each<[string, Record<string, string>, string, object]>([
    ['nothing', {}, '', {}],
    ['the header', { authorization: 'Bearer abc.def' }, '', { token: 'abc.def' }],
    ['the header in other letters', { authorization: 'bearer   abc  ' }, '', { token: 'abc' }],
    ['a subprotocol', protocol(`sluice.v1, sluice.token.${base64url('abc.def')}`), '', { token: 'abc.def' }],
    ['a subprotocol before', protocol(`sluice.token.${base64url('~!')},sluice.raw`), '', { token: '~!' }],
    ['a ticket', {}, '?producer=a&ticket=abc.def', { ticket: 'abc.def' }],
    ['another scheme is left to others', { authorization: 'Basic YTpi' }, '', {}],
    ['another scheme that begins alike', { authorization: 'BearerToken x' }, '', {}],
    ['other subprotocols', protocol('sluice.v1, sluice.tokens, token'), '', {}],
  ])('by %s', (_, headers, query, expected) =>
    expect(read(headers, query)).toEqual({ token: undefined, ticket: undefined, ...expected }),
  );

  const token = `sluice.token.${base64url('abc')}`;
  test.each<[string, Record<string, string>, string]>([
    ['header and subprotocol', { authorization: 'Bearer a', ...protocol(token) }, ''],
    ['header and ticket', { authorization: 'Bearer a' }, '?ticket=b'],
    ['subprotocol and ticket', protocol(token), '?ticket=b'],
    ['two subprotocols', protocol(`${token}, ${token}`), ''],
    ['two tickets', {}, '?ticket=a&ticket=a'],
  ])('but not in two ways: %s', (_, headers, query) =>
    expect(() => read(headers, query)).toThrow(expect.objectContaining({ code: 'invalid_options' })),
  );

  const SECRET = 'dont-tell';
  test.each<[string, Record<string, string>, string]>([
    ['an empty header', { authorization: 'Bearer' }, ''],
    ['two headers', { authorization: `Bearer ${SECRET}, Bearer ${SECRET}` }, ''],
    ['a header with a letter of Latin-1', { authorization: `Bearer ${SECRET}é` }, ''],
    ['an empty subprotocol', protocol('sluice.token.'), ''],
    ['padding', protocol(`sluice.token.${Buffer.from(`${SECRET}x`).toString('base64')}`), ''],
    ['the letters of base64', protocol('sluice.token.a+b/'), ''],
    ['bits that are left over', protocol('sluice.token.YR'), ''],
    ['one character too many', protocol('sluice.token.YWJjZ'), ''],
    ['no UTF-8', protocol(`sluice.token.${base64url(new Uint8Array([0x61, 0xff]))}`), ''],
    ['UTF-8 of more than ASCII', protocol(`sluice.token.${base64url(`${SECRET}é`)}`), ''],
    ['a NUL', protocol(`sluice.token.${base64url(`${SECRET}\0`)}`), ''],
    ['an empty ticket', {}, '?ticket='],
    ['a ticket with a space', {}, `?ticket=${SECRET}%20`],
    ['a long header', { authorization: `Bearer ${SECRET.repeat(1000)}` }, ''],
    ['a long subprotocol', protocol(`sluice.token.${base64url(SECRET.repeat(1000))}`), ''],
    ['a long ticket', {}, `?ticket=${SECRET.repeat(1000)}`],
  ])('and not by %s, which is not repeated', (_, headers, query) => {
    expect(() => read(headers, query)).toThrow(expect.objectContaining({ code: 'unauthorized' }));
    expect(() => read(headers, query)).toThrow(expect.not.stringContaining(SECRET));
  });

  test('a token may have as many characters as are allowed, in each way: the control', () => {
    const longest = 'x'.repeat(MAX_TOKEN_LENGTH);
    expect(read({ authorization: `Bearer ${longest}` }).token).toBe(longest);
    expect(read(protocol(`sluice.v1, ${tokenProtocol(longest)}`)).token).toBe(longest);
    expect(read({}, `?ticket=${longest}`).ticket).toBe(longest);
    expect(checkToken(longest)).toBe(longest);
    expect(() => checkToken(`${longest}x`)).toThrow(/too long/);
  });
});
