/** Types of columns: texts that each takes, and texts that each refuses. What the matrix of types and writers is made of. */

/** Names a type as SQL does: with its schema, quoted, with its modifier. */
export interface TypeCase {
  type: string;
  good: readonly string[];
  /** Texts that are refused, with their SQLSTATE. */
  bad: readonly (readonly [text: string, sqlState: string])[];
}

/** A schema that no search path names, with capitals, a space and a quote. */
export const ELSEWHERE = 'Else "where"';
const elsewhere = (name: string) => `"Else ""where""".${name}`;

/**
 * Types of a database of the user's own. The embedded Postgres has no PostGIS: `"geo"` is like its `geometry` in what matters
 * here. It is a base type of another schema whose arrays have another delimiter, with a modifier that its input takes.
 */
export const CREATE_TYPES = [
  `create schema "Else ""where"""`,
  ...['hstore', 'citext', 'ltree', 'cube', 'seg', 'isn', 'intarray'].map(
    (name) => `create extension ${name} schema "Else ""where"""`,
  ),
  `create type ${elsewhere('"select"')} as enum ('a', 'B "x"', 'it''s', 'null', 'ö,{}')`,
  `create type mood as enum ('sad', 'ok')`,
  `create domain ${elsewhere('"Code"')} as varchar(3)`,
  `create domain ${elsewhere('"user"')} as text check (value <> 'root')`,
  `create domain ${elsewhere('"Flags"')} as bit(3)`,
  `create domain ${elsewhere('hours')} as interval hour`,
  `create domain ${elsewhere('"Doc"')} as jsonb check (jsonb_typeof(value) = 'object')`,
  `create domain ${elsewhere('codes')} as varchar(3)[] check (cardinality(value) < 3)`,
  `create domain ${elsewhere('amount')} as numeric(5,2) not null`,
  `create domain ${elsewhere('inner_code')} as ${elsewhere('"Code"')} check (value <> 'no')`,
  `create type ${elsewhere('"Pair"')} as (a varchar(3), "B" ${elsewhere('"select"')}[])`,
  `create domain ${elsewhere('paired')} as ${elsewhere('"Pair"')} check ((value).a <> 'no')`,
  `create type ${elsewhere('"Span"')} as range (subtype = float8, multirange_type_name = ${elsewhere('"Spans"')})`,
  `create type ${elsewhere('"geo"')}`,
  `create function ${elsewhere('geo_in')}(cstring, oid, integer) returns ${elsewhere('"geo"')}
     language internal immutable strict as 'varcharin'`,
  `create function ${elsewhere('geo_out')}(${elsewhere('"geo"')}) returns cstring
     language internal immutable strict as 'varcharout'`,
  `create function ${elsewhere('geo_typmod')}(cstring[]) returns integer language internal immutable strict as 'varchartypmodin'`,
  `create type ${elsewhere('"geo"')} (input = ${elsewhere('geo_in')}, output = ${elsewhere('geo_out')},
     typmod_in = ${elsewhere('geo_typmod')}, delimiter = ':', like = varchar)`,
  `create function ${elsewhere('geo_length')}(${elsewhere('"geo"')}, integer, boolean) returns ${elsewhere('"geo"')}
     language internal immutable strict as 'varchar'`,
  `create cast (${elsewhere('"geo"')} as ${elsewhere('"geo"')}) with function ${elsewhere('geo_length')} as implicit`,
];

const TEXTS = [
  '',
  ' ',
  'a',
  "it's",
  '"',
  '\\',
  '\\N',
  '\\.',
  'NULL',
  '{}',
  '{a,"b"}',
  'a\tb\r\nc',
  'ö 日本 😀',
  '\u0001\u2028',
];
const NUL: readonly [string, string] = ['a\0b', '22021'];

const integers = (bits: bigint) => {
  const top = 2n ** (bits - 1n);
  return {
    good: [`${-top}`, `${top - 1n}`, '0', '-0', ' 7 ', '+1', '007', '1_000', '0x1F', '0b11', '0o17'],
    bad: [
      [`${top}`, '22003'],
      [`${-top - 1n}`, '22003'],
      ['', '22P02'],
      ['1.0', '22P02'],
      ['1e3', '22P02'],
      ['x', '22P02'],
      ['NULL', '22P02'],
      NUL,
    ],
  } as const;
};

const FLOATS = ['0', '-0', '1.5', '-1.5e-7', 'NaN', 'Infinity', '-inf', ' 1 ', '.5', '5.'];
const BAD_NUMBERS = [
  ['', '22P02'],
  ['1,5', '22P02'],
  ['--1', '22P02'],
  ['1 2', '22P02'],
] as const;
const JSON_TEXTS = [
  '{}',
  'null',
  '[1, 1.10, 1e2]',
  '"a\\tb\\\\\\u00e4"',
  ' {"b":1,"a":"\'{}"} ',
  '9007199254740993',
  '"日本 😀"',
];
const BAD_JSON = [
  ['', '22P02'],
  ['{a:1}', '22P02'],
  ['NaN', '22P02'],
  ["{'a':1}", '22P02'],
  ['{} {}', '22P02'],
] as const;
const NO_INPUT = [['x', '0A000']] as const;

export const TYPES: readonly TypeCase[] = [
  // Numbers.
  { type: 'smallint', ...integers(16n) },
  { type: 'integer', ...integers(32n) },
  { type: 'bigint', ...integers(64n) },
  {
    type: 'numeric',
    good: [...FLOATS, '0.100000000000000000000000000001', `1${'0'.repeat(200)}`, '1e-16000', '1_0.5', '0xFF'],
    bad: [...BAD_NUMBERS, ['1e-20000', '22003'], ['1e200000', '22003']],
  },
  {
    type: 'numeric(5,2)',
    good: [
      '999.99',
      '-999.994',
      '1.005',
      'NaN',
      '1e-20000',
      `0.${'0'.repeat(16_400)}1`,
      `1.${'0'.repeat(16_400)}`,
      '0',
    ],
    bad: [...BAD_NUMBERS, ['1000', '22003'], ['999.995', '22003'], ['Infinity', '22003']],
  },
  { type: 'numeric(3,-2)', good: ['12345', '49', '99949'], bad: [['99950', '22003']] },
  {
    type: 'real',
    good: [...FLOATS, '3.4028235e38', '1e-45'],
    bad: [...BAD_NUMBERS, ['1e39', '22003'], ['1e-60', '22003']],
  },
  {
    type: 'double precision',
    good: [...FLOATS, '1.7976931348623157e308', '5e-324', '0.1000000000000000055511151231257827'],
    bad: [...BAD_NUMBERS, ['1e400', '22003'], ['1e-400', '22003']],
  },
  {
    type: 'money',
    good: ['1.25', '-$1,234.56', '(3)', '92233720368547758.07'],
    bad: [
      ['x', '22P02'],
      ['92233720368547758.08', '22003'],
    ],
  },
  {
    type: 'oid',
    good: ['0', '4294967295', '-1'],
    bad: [
      ['4294967296', '22003'],
      ['x', '22P02'],
    ],
  },
  { type: 'xid', good: ['0', '4294967295'], bad: [['x', '22P02']] },
  { type: 'xid8', good: ['0', '18446744073709551615'], bad: [['x', '22P02']] },
  { type: 'cid', good: ['0', '7'], bad: [['x', '22P02']] },
  { type: 'tid', good: ['(0,1)', '(4294967295,65535)'], bad: [['(0', '22P02']] },
  {
    type: 'boolean',
    good: ['true', 'f', ' yes ', 'OFF', '1'],
    bad: [
      ['', '22P02'],
      ['2', '22P02'],
      ['NULL', '22P02'],
    ],
  },

  // Texts.
  { type: 'text', good: TEXTS, bad: [NUL] },
  { type: 'character varying', good: TEXTS, bad: [NUL] },
  {
    type: 'character varying(3)',
    good: ['', 'abc', 'ab    ', '日本語', '"\\{', '😀😀😀'],
    bad: [['abcd', '22001'], ['    x', '22001'], NUL],
  },
  {
    type: 'character(3)',
    good: ['', 'a', 'abc', 'abc   ', ' a', '日'],
    bad: [
      ['abcd', '22001'],
      ['abc x', '22001'],
    ],
  },
  { type: 'bpchar', good: ['', 'a  ', 'abcdef'], bad: [NUL] },
  { type: '"char"', good: ['', 'a', 'ab', '\\101', '"', '{', '\\'], bad: [NUL] },
  { type: 'name', good: ['', 'a', 'x'.repeat(80), '日'.repeat(40)], bad: [NUL] },
  {
    type: 'bytea',
    good: ['', '\\x', '\\xDEadbeef', '\\x de ad', 'abc', '\\000\\\\', 'a\\134'],
    bad: [
      ['\\xabc', '22023'],
      ['\\xzz', '22023'],
      ['\\9', '22P02'],
    ],
  },
  {
    type: 'xml',
    good: ['<a/>', '<a b="c">\\ "{x}" ö</a>', 'text only', '<?xml version="1.0"?><a/>', ''],
    bad: [
      ['<a>', '2200N'],
      ['<a', '2200N'],
    ],
  },
  { type: 'json', good: JSON_TEXTS, bad: BAD_JSON },
  { type: 'jsonb', good: JSON_TEXTS, bad: [...BAD_JSON, ['"\\u0000"', '22P05'], ['1e400000', '22003']] },
  {
    type: 'jsonpath',
    good: ['$.a', '$."a b"[*] ? (@ > 1)'],
    bad: [
      ['$.', '42601'],
      ['', '22P02'],
    ],
  },
  {
    type: 'uuid',
    good: ['3fa85f64-5717-4562-b3fc-2c963f66afa6', '{3FA85F6457174562B3FC2C963F66AFA6}'],
    bad: [
      ['3fa85f64', '22P02'],
      ['', '22P02'],
    ],
  },
  {
    type: 'tsvector',
    good: ['', "a:1 'b c':2A,3B", "'it''s' \\\\x"],
    bad: [
      ["'a", '42601'],
      ['a:x', '42601'],
    ],
  },
  {
    type: 'tsquery',
    good: ['', "a & !('b c' | d:*A)", 'a <-> b'],
    bad: [
      ['a &', '42601'],
      ['a b', '42601'],
    ],
  },
  { type: 'pg_lsn', good: ['0/0', 'FFFFFFFF/FFFFFFFF'], bad: [['x', '22P02']] },
  { type: 'txid_snapshot', good: ['10:20:10,14'], bad: [['20:10:', '22P02']] },
  { type: 'pg_snapshot', good: ['10:20:10,14'], bad: [['20:10:', '22P02']] },
  { type: 'refcursor', good: ['', 'a "b"'], bad: [NUL] },
  {
    type: 'aclitem',
    good: ['=r/sluice'],
    bad: [
      ['nobody_of_that_name=r/sluice', '42704'],
      ['x', '22P02'],
    ],
  },

  // Times.
  {
    type: 'date',
    good: [
      '2024-02-29',
      '4713-01-01 BC',
      '5874897-12-31',
      'infinity',
      '-infinity',
      'epoch',
      '02/03/2024',
      '2024-02-29 23:59:59+14',
    ],
    bad: [
      ['2023-02-29', '22008'],
      ['5874898-01-01', '22008'],
      ['x', '22007'],
      ['', '22007'],
      ['31/31/2024', '22008'],
    ],
  },
  {
    type: 'time',
    good: ['00:00', '24:00:00', '23:59:59.9999999', '040506', '4:05 PM'],
    bad: [
      ['24:00:01', '22008'],
      ['x', '22007'],
    ],
  },
  { type: 'time(0)', good: ['23:59:59.6', '12:00:00.4'], bad: [['25:00', '22008']] },
  {
    type: 'time with time zone',
    good: ['04:05:06-08', '04:05:06', '23:59:59+15:59:59'],
    bad: [
      ['04:05:06+99', '22009'],
      ['x', '22007'],
    ],
  },
  { type: 'time(3) with time zone', good: ['04:05:06.78949+02'], bad: [['x', '22007']] },
  {
    type: 'timestamp',
    good: [
      '2024-02-29 12:00:00.123456',
      '2024-02-29T12:00:00Z',
      '4714-11-24 00:00:00 BC',
      '294276-12-31 23:59:59.999999',
      'infinity',
      '-infinity',
      '03/04/2024 05:06',
      'epoch',
    ],
    bad: [
      ['294277-01-01', '22008'],
      ['2024-13-01', '22008'],
      ['x', '22007'],
      ['', '22007'],
      ['2024-01-01 00:00:00 Nowhere/Land', '22023'],
    ],
  },
  {
    type: 'timestamp(2)',
    good: ['2024-02-29 12:00:00.125', '2024-12-31 23:59:59.999'],
    bad: [['x', '22007']],
  },
  {
    type: 'timestamp with time zone',
    good: [
      '2024-02-29 12:00:00.123456+02',
      '2024-02-29 12:00:00',
      '2024-07-01 12:00 Europe/Berlin',
      'infinity',
      '-infinity',
      '03/04/2024 05:06',
    ],
    bad: [
      ['294277-01-01', '22008'],
      ['x', '22007'],
      ['2024-01-01 00:00:00+99', '22009'],
    ],
  },
  {
    type: 'timestamp(0) with time zone',
    good: ['2024-02-29 12:00:00.5+00', '1999-12-31 23:59:59.999+00'],
    bad: [['', '22007']],
  },
  {
    type: 'interval',
    good: [
      '1 day 2:03:04.5',
      'P1Y2M3DT4H5M6S',
      '5',
      '-1 2:03:04',
      '@ 1 hour ago',
      '1-2',
      'infinity',
      '-178000000 years',
    ],
    bad: [
      ['x', '22007'],
      ['200000000 years', '22008'],
      ['', '22007'],
    ],
  },
  { type: 'interval(2)', good: ['1.23456 s', '0.999'], bad: [['x', '22007']] },
  { type: 'interval hour', good: ['5', '1:30', '2 days 3:59', '-7'], bad: [['x', '22007']] },
  {
    type: 'interval minute to second(1)',
    good: ['1:30', '1:30.55', '5', '3 days 1:2:3'],
    bad: [['x', '22007']],
  },
  { type: 'interval year to month', good: ['3', '1-2', '14 months 3 days'], bad: [['1-13', '22015']] },

  // Bits.
  {
    type: 'bit',
    good: ['0', '1', 'B1'],
    bad: [
      ['', '22026'],
      ['01', '22026'],
      ['2', '22P02'],
    ],
  },
  {
    type: 'bit(3)',
    good: ['101', 'B010'],
    bad: [
      ['1011', '22026'],
      ['10', '22026'],
      ['xA', '22026'],
    ],
  },
  {
    type: 'bit varying',
    good: ['', '1', `${'10'.repeat(40)}`, 'xFf'],
    bad: [
      ['2', '22P02'],
      ['xg', '22P02'],
    ],
  },
  { type: 'bit varying(3)', good: ['', '101'], bad: [['1011', '22001']] },

  // Shapes. The elements of an array of box are separated by semicolons.
  {
    type: 'point',
    good: ['(1,2)', '1e10,-0', '(NaN,Infinity)'],
    bad: [
      ['(1', '22P02'],
      ['', '22P02'],
    ],
  },
  {
    type: 'line',
    good: ['{1,2,3}', '[(0,0),(1,1)]'],
    bad: [
      ['{0,0,1}', '22P02'],
      ['x', '22P02'],
    ],
  },
  { type: 'lseg', good: ['[(0,0),(1,1)]', '0,0,1,1'], bad: [['x', '22P02']] },
  {
    type: 'box',
    good: ['(2,2),(0,0)', '1,2,3,4'],
    bad: [
      ['(1,2)', '22P02'],
      ['1;2;3;4', '22P02'],
    ],
  },
  { type: 'path', good: ['[(0,0),(1,1)]', '((0,0),(1,1),(2,0))'], bad: [['[(0,0)', '22P02']] },
  { type: 'polygon', good: ['((0,0),(1,1),(2,0))', '0,0,1,1'], bad: [['x', '22P02']] },
  { type: 'circle', good: ['<(0,0),5>', '1,2,3'], bad: [['<(0,0),-5>', '22P02']] },

  // Networks.
  {
    type: 'inet',
    good: ['192.168.0.1', '10.1.2.3/8', '::1', '::ffff:1.2.3.4/128'],
    bad: [
      ['256.0.0.1', '22P02'],
      ['', '22P02'],
    ],
  },
  { type: 'cidr', good: ['10.0.0.0/8', '10', '::/0'], bad: [['10.1.0.0/8', '22P02']] },
  { type: 'macaddr', good: ['08:00:2b:01:02:03', '08002b010203'], bad: [['08:00', '22P02']] },
  { type: 'macaddr8', good: ['08:00:2b:01:02:03:04:05', '08:00:2b:01:02:03'], bad: [['x', '22P02']] },

  // Ranges.
  {
    type: 'int4range',
    good: ['empty', '[1,5]', '(,)', ' [1,2) '],
    bad: [
      ['[5,1]', '22000'],
      ['[1', '22P02'],
      ['[2147483647,2147483647]', '22003'],
      ['[a,b]', '22P02'],
    ],
  },
  { type: 'int8range', good: ['[1,9223372036854775807)', '[,5]'], bad: [['x', '22P02']] },
  { type: 'numrange', good: ['[0.1,NaN]', '(,1e5)'], bad: [['x', '22P02']] },
  {
    type: 'tsrange',
    good: ['[2024-01-01,"2024-02-01 00:00:01"]', '[03/04/2024,infinity]'],
    bad: [['[x,y]', '22007']],
  },
  {
    type: 'tstzrange',
    good: ['[2024-01-01 00:00,2024-02-01 00:00+02)'],
    bad: [['[2024-02-01,2024-01-01]', '22000']],
  },
  { type: 'daterange', good: ['[2024-01-01,2024-02-01]', '[,infinity]'], bad: [['[2024-02-30,]', '22008']] },
  {
    type: 'int4multirange',
    good: ['{}', '{[1,3),[2,5],(10,)}'],
    bad: [
      ['{[1,2}', '22P02'],
      ['[1,2]', '22P02'],
    ],
  },
  { type: 'int8multirange', good: ['{[1,2]}'], bad: [['x', '22P02']] },
  { type: 'nummultirange', good: ['{[0.1,0.2],[0.2,1]}'], bad: [['x', '22P02']] },
  { type: 'tsmultirange', good: ['{[2024-01-01,2024-01-02)}'], bad: [['{[x,y]}', '22007']] },
  { type: 'tstzmultirange', good: ['{["2024-01-01 00:00+01",infinity)}'], bad: [['x', '22P02']] },
  {
    type: 'datemultirange',
    good: ['{[2024-01-01,2024-01-02],[2024-01-02,2024-01-05]}'],
    bad: [['x', '22P02']],
  },

  // Names of objects, read along the search path.
  {
    type: 'regclass',
    good: ['pg_class', '"pg_catalog"."pg_type"', '-', '0', '1259'],
    bad: [
      ['no_such_table', '42P01'],
      ['a.b.c', '0A000'],
    ],
  },
  { type: 'regtype', good: ['integer', 'int4[]', '-', 'mood'], bad: [['no_such_type', '42704']] },
  {
    type: 'regproc',
    good: ['now', '-'],
    bad: [
      ['no_such_function', '42883'],
      ['abs', '42725'],
    ],
  },
  { type: 'regprocedure', good: ['abs(integer)'], bad: [['abs(text)', '42883']] },
  { type: 'regoper', good: ['||/'], bad: [['+', '42725']] },
  { type: 'regoperator', good: ['+(integer,integer)'], bad: [['+(mood,mood)', '42883']] },
  { type: 'regrole', good: ['sluice'], bad: [['nobody_of_that_name', '42704']] },
  { type: 'regnamespace', good: ['pg_catalog', '"Else ""where"""'], bad: [['no_such_schema', '3F000']] },
  { type: 'regconfig', good: ['english'], bad: [['no_such_configuration', '42704']] },
  { type: 'regdictionary', good: ['simple'], bad: [['no_such_dictionary', '42704']] },
  { type: 'regcollation', good: ['"C"', '"POSIX"'], bad: [['no_such_collation', '42704']] },

  // Arrays to all but their names.
  {
    type: 'int2vector',
    good: ['', '1 2 3'],
    bad: [
      ['x', '22P02'],
      ['70000', '22003'],
    ],
  },
  { type: 'oidvector', good: ['', '1 2'], bad: [['x', '22P02']] },

  // What only Postgres itself makes.
  { type: 'gtsvector', good: [], bad: NO_INPUT },
  { type: 'pg_node_tree', good: [], bad: NO_INPUT },
  { type: 'pg_ndistinct', good: [], bad: NO_INPUT },
  { type: 'pg_dependencies', good: [], bad: NO_INPUT },
  { type: 'pg_mcv_list', good: [], bad: NO_INPUT },
  { type: 'pg_brin_bloom_summary', good: [], bad: NO_INPUT },
  { type: 'pg_brin_minmax_multi_summary', good: [], bad: NO_INPUT },

  // Types of a user's own: enums, domains, composites, ranges, and those of extensions, most of them out of the search path.
  {
    type: 'mood',
    good: ['sad', 'ok'],
    bad: [
      ['happy', '22P02'],
      ['', '22P02'],
      ['Sad', '22P02'],
    ],
  },
  {
    type: elsewhere('"select"'),
    good: ['a', 'B "x"', "it's", 'null', 'ö,{}'],
    bad: [
      ['A', '22P02'],
      ['b', '22P02'],
    ],
  },
  { type: elsewhere('"Code"'), good: ['', 'abc', 'ab   '], bad: [['abcd', '22001']] },
  { type: elsewhere('"user"'), good: TEXTS, bad: [['root', '23514'], NUL] },
  {
    type: elsewhere('"Flags"'),
    good: ['101'],
    bad: [
      ['1011', '22026'],
      ['1', '22026'],
    ],
  },
  { type: elsewhere('hours'), good: ['5', '1:30'], bad: [['x', '22007']] },
  {
    type: elsewhere('"Doc"'),
    good: ['{}', '{"a": "\\\\ \\""}'],
    bad: [
      ['[]', '23514'],
      ['{', '22P02'],
    ],
  },
  {
    type: elsewhere('codes'),
    good: ['{}', '{abc,NULL}', '{"a,b"}'],
    bad: [
      ['{abcd}', '22001'],
      ['{a,b,c}', '23514'],
      ['{', '22P02'],
      ['a', '22P02'],
    ],
  },
  {
    type: elsewhere('inner_code'),
    good: ['abc'],
    bad: [
      ['abcd', '22001'],
      ['no', '23514'],
    ],
  },
  {
    type: elsewhere('"Pair"'),
    good: ['(,)', '(abc,"{a,""B \\\\""x\\\\"""",NULL}")'],
    bad: [
      ['(abcd,)', '22001'],
      ['(a,{x})', '22P02'],
      ['(a)', '22P02'],
      ['a', '22P02'],
    ],
  },
  {
    type: elsewhere('paired'),
    good: ["(abc,{it's})"],
    bad: [
      ['(abcd,)', '22001'],
      ['(no,)', '23514'],
      ['(,{b})', '22P02'],
    ],
  },
  { type: elsewhere('"Span"'), good: ['[1.5,NaN]', 'empty'], bad: [['[2,1]', '22000']] },
  { type: elsewhere('"Spans"'), good: ['{[1,2],[1.5,3]}'], bad: [['{[2,1]}', '22000']] },
  {
    type: elsewhere('hstore'),
    good: ['', 'a=>1, "b c"=>NULL', '"\\"q\\""=>"\\\\"'],
    bad: [
      ['a', '42601'],
      ['a=>', '42601'],
    ],
  },
  { type: elsewhere('citext'), good: TEXTS, bad: [NUL] },
  { type: elsewhere('ltree'), good: ['', 'Top.Science'], bad: [['a..b', '42601']] },
  { type: elsewhere('lquery'), good: ['Top.*{1,2}'], bad: [['*{', '42601']] },
  { type: elsewhere('cube'), good: ['(1,2,3)', '(0),(1)'], bad: [['(1,', '22P02']] },
  { type: elsewhere('seg'), good: ['1.0 .. 2.0', '<5'], bad: [['x', '42601']] },
  { type: elsewhere('isbn13'), good: ['978-0-11-000533-1'], bad: [['978-0-11-000533-4', '22P02']] },
  { type: elsewhere('query_int'), good: ['1&(2|3)'], bad: [['1&', '42601']] },
  { type: elsewhere('"geo"(5)'), good: ['', 'a:b', '"{:', 'x    '], bad: [['a:b:cd', '22001']] },
];
