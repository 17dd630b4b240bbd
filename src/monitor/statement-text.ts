/** The text of a statement for a report: on one line, short, and without the values in it, which are users' data. */

const SHORTENED_LENGTH = 160;

// In the order in which they have to be tried. A text that was cut off may end within a literal: `|$` ends it there.
const TOKENS = new RegExp(
  [
    /(?<quoted>"(?:[^"]|"")*(?:"|$))/,
    /(?<dollar>\$(?<tag>[A-Za-z_]\w*)?\$[\s\S]*?(?:\$\k<tag>\$|$))/,
    /(?<escaped>\b[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|\\?$))/,
    /(?<text>(?:\b(?:[bBxXnN]|[uU]&))?'(?:[^']|'')*(?:'|$))/,
    /(?<comment>--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))/,
    /(?<parameter>\$\d+)/,
    /(?<word>[\p{L}_][\p{L}\p{N}_$]*)/u,
    /(?<number>\d[\w.]*(?:(?<=[eE])[+-]\d+)?|\.\d\w*)/,
    /(?<space>\s+)/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'gu',
);

/** Rows of VALUES beyond the first, whose placeholders say nothing more. */
const FURTHER_ROWS = /(\((?:[^()'"]|\([^()]*\))*\))(?:\s*,\s*\((?:[^()'"]|\([^()]*\))*\))+(…)?/g;

/**
 * The statement with `?` for every literal. `pg_stat_statements` does the same for queries, but keeps what is in
 * utility statements, such as the password of a CREATE ROLE.
 *
 * @param query may be cut off anywhere
 * @param maxLength in UTF-16 code units, default 160; what is longer ends in `…`
 */
export function statementText(query: string, maxLength = SHORTENED_LENGTH): string {
  const text = query
    .replaceAll(TOKENS, (token, ...rest: unknown[]) => {
      const groups = rest.at(-1) as Record<string, string | undefined>;
      if (groups.comment !== undefined || groups.space !== undefined) return ' ';
      const isLiteral = [groups.dollar, groups.escaped, groups.text, groups.number].some(
        (group) => group !== undefined,
      );
      return isLiteral ? '?' : token;
    })
    .replaceAll(/ +/g, ' ')
    .trim()
    .replaceAll(
      /(\bvalues ?)(.*)/gi,
      (_, head: string, tail: string) => head + tail.replace(FURTHER_ROWS, '$1, …'),
    );
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 1).trimEnd()}…`;
}
