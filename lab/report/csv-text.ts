/** Comma-separated values (RFC 4180), safe to open in a spreadsheet. */

/** A number with a fixed count of decimals. */
export interface Decimal {
  value: number;
  digits: number;
}

export type Cell = string | number | boolean | Decimal | null | undefined;

/** Lines of cells, each line ended by CR LF. */
export function csvText(lines: readonly (readonly Cell[])[]): string {
  return lines.map((cells) => `${cells.map(csvCell).join(',')}\r\n`).join('');
}

/**
 * A cell, quoted where it has to be. Empty: there is no such figure.
 *
 * Words that a spreadsheet would take for a formula begin with an apostrophe (OWASP, "CSV Injection"): the reason why a
 * step broke may be the text of a foreign server. Numbers stay numbers, also those below zero.
 */
function csvCell(value: Cell): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object') return value.value.toFixed(value.digits);
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
