/**
 * Columns of the terminal that stdout is, or those that the variable COLUMNS names. `Infinity` where stdout is a file or a
 * pipe: what reads it there wants whole lines.
 */
export function terminalWidth(): number {
  const named = Number(process.env.COLUMNS);
  return process.stdout.columns ?? (named > 0 ? named : Number.POSITIVE_INFINITY);
}
