import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  isAmong,
  MAX_OPERATOR_TOKEN_LENGTH,
  MAX_OPERATOR_TOKENS,
  OperatorTokens,
} from '../../../src/access/operator-tokens.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const tokens = (text: string | undefined): OperatorTokens => new OperatorTokens(text, 'READ_TOKENS');

describe('a list of tokens', () => {
  it.each([undefined, '', ' ', ' ,\n, '])('that is %j has none, not the empty one either', (text) => {
    expect(tokens(text).isEmpty).toBe(true);
    for (const token of ['', ' ', ',']) expect(tokens(text).includes(token)).toBe(false);
  });

  it('has each of several, with white space or commas between them', () => {
    for (const text of ['one two three', 'one,two,three', '\n one,\ttwo ,\r\nthree, ']) {
      const list = tokens(text);
      expect(list.isEmpty).toBe(false);
      for (const token of ['one', 'two', 'three'])
        expect(list.includes(token), `${text}: ${token}`).toBe(true);
      for (const token of ['', 'on', 'onee', 'One', 'one two', 'one,two', ' one', 'two\n'])
        expect(list.includes(token), `${text}: ${token}`).toBe(false);
    }
  });

  it('has a token whose hash it holds, and not the hash itself', () => {
    for (const hash of [sha256('one'), sha256('one').toUpperCase()]) {
      const list = tokens(`sha256:${hash} two`);
      expect(list.includes('one')).toBe(true);
      expect(list.includes('two')).toBe(true);
      for (const token of [hash, `sha256:${hash}`, sha256('two')]) expect(list.includes(token)).toBe(false);
    }
  });

  it.each([
    ['a hash that is too short', `good sha256:${'a'.repeat(63)}`, /token number 2 .*64 hexadecimal digits/],
    ['a hash of other characters', `sha256:${'g'.repeat(64)}`, /token number 1 .*64 hexadecimal digits/],
    ['a hash in other spelling', `SHA256:${'a'.repeat(65)}`, /token number 1 .*64 hexadecimal digits/],
    ['characters of no header', 'geheim-ä', /no header carries/],
    ['a token that is too long', 'x'.repeat(MAX_OPERATOR_TOKEN_LENGTH + 1), /longer than 1024/],
    ['too many', 'word '.repeat(MAX_OPERATOR_TOKENS + 1), /33 tokens, and 32 are allowed/],
  ])('with %s is refused, and not repeated', (_, text, message) => {
    expect(() => tokens(text)).toThrow(
      expect.objectContaining({ code: 'invalid_configuration', message: expect.stringMatching(message) }),
    );
    try {
      tokens(text);
    } catch (error) {
      expect(String(error)).toContain('READ_TOKENS');
      for (const token of text.trim().split(' ')) expect(String(error)).not.toContain(`${token} `);
    }
  });

  it('takes the longest and the most that are allowed', () => {
    const longest = 'x'.repeat(MAX_OPERATOR_TOKEN_LENGTH);
    const most = Array.from({ length: MAX_OPERATOR_TOKENS - 1 }, (_, index) => `token-${index}`);
    const list = tokens([...most, longest].join(' '));
    for (const token of [...most, longest]) expect(list.includes(token)).toBe(true);
    expect(list.includes(`${longest}x`)).toBe(false);
  });
});

describe('the comparison', () => {
  /** Bytes that count how often they are read. */
  function counted(bytes: readonly number[]): { bytes: ArrayLike<number>; reads(): number } {
    let reads = 0;
    const proxy = new Proxy(bytes, {
      get(target, name) {
        if (name !== 'length') reads += 1;
        return Reflect.get(target, name);
      },
    });
    return { bytes: proxy, reads: () => reads };
  }

  it('looks at every byte of every token, whichever is right and however far', () => {
    const right = Array.from({ length: 32 }, (_, index) => index);
    const wrongAt = (place: number): number[] =>
      right.map((byte, index) => (index === place ? byte ^ 1 : byte));
    const cases: [list: number[][], found: boolean][] = [
      [[right, wrongAt(0), wrongAt(31)], true],
      [[wrongAt(0), wrongAt(31), right], true],
      [[right, right, right], true],
      [[wrongAt(0), wrongAt(0), wrongAt(0)], false],
      [[wrongAt(31), wrongAt(15), wrongAt(1)], false],
    ];
    for (const [list, found] of cases) {
      const those = list.map(counted);
      expect(
        isAmong(
          right,
          those.map(({ bytes }) => bytes),
        ),
      ).toBe(found);
      expect(those.map(({ reads }) => reads())).toEqual([32, 32, 32]);
    }
  });

  it('finds nothing in an empty list, and nothing of another length', () => {
    expect(isAmong([1, 2], [])).toBe(false);
    expect(isAmong([1, 2], [[1, 2, 3], [1]])).toBe(false);
    expect(isAmong([1, 2], [[1, 2]])).toBe(true);
  });
});
