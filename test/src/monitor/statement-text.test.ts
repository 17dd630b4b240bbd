import { describe, expect, test } from 'vitest';
import { statementText } from '../../../src/monitor/statement-text.ts';

describe('the text of a statement', () => {
  test.each([
    ["select 'o''brien', 1.5e+10, .5, -3", 'select ?, ?, ?, -?'],
    ["create role a password 'x''y' valid until '2026-01-01'", 'create role a password ? valid until ?'],
    ["select e'it\\'s', U&'\\0041', B'101', $$do 'it'$$, $tag$a $$ b$tag$", 'select ?, ?, ?, ?, ?'],
    ['insert into "Table 1" (a1, b_2) values ($1, $2)', 'insert into "Table 1" (a1, b_2) values ($1, $2)'],
    ['select a -- a secret 42\n, b /* and\nanother */ from t1', 'select a , b from t1'],
    [
      'insert into t (a, b) values ($1, now()), ($3, now()), ($5, now()) returning id',
      'insert into t (a, b) values ($1, now()), … returning id',
    ],
    // Cut off within a literal: what is left of it is still a value.
    ["copy t from '/home/me/secr", 'copy t from ?'],
    ["select e'half\\", 'select ?'],
    ['select $body$ begin secr', 'select ?'],
  ])('%s', (query, text) => expect(statementText(query)).toBe(text));

  test('is short', () => {
    const text = statementText(`select ${'column_name, '.repeat(1000)}1`);
    expect(text.length).toBeLessThanOrEqual(160);
    expect(text).toMatch(/^select column_name, .*…$/);
    expect(statementText('select one', 20)).toBe('select one');
  });
});
