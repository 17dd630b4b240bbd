#!/usr/bin/env node
/**
 * Stands for psql where it is not installed, as far as the documentation uses it: an address, and one statement after -c. It
 * prints what psql prints: the names of the columns, the rows, and how many there are.
 */

import pg from 'pg';

const [address, flag, statement, ...others] = process.argv.slice(2);
if (flag !== '-c' || statement === undefined || others.length > 0)
  throw new Error(`This psql does not know ${process.argv.slice(2).join(' ')}`);

const client = new pg.Client({ connectionString: address });
await client.connect();
// Texts as Postgres sends them, as psql has them.
const { fields, rows } = await client.query({
  text: statement,
  rowMode: 'array',
  types: { getTypeParser: () => String },
});
await client.end();

const table = [fields.map(({ name }) => name), ...rows.map((row) => row.map((value) => value ?? ''))];
const widths = fields.map((_, column) => Math.max(...table.map((row) => row[column].length)));
const lines = table.map((row) => ` ${row.map((value, column) => value.padEnd(widths[column])).join(' | ')} `);
lines.splice(1, 0, widths.map((width) => '-'.repeat(width + 2)).join('+'));
console.log([...lines, `(${rows.length} row${rows.length === 1 ? '' : 's'})`, ''].join('\n'));
