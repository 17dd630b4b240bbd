/** Patterns of names, in which `*` stands for any characters, also for none. */

/**
 * Tells whether a name fits a pattern. The parts between the `*` are looked for from left to right, and no place is tried a
 * second time: patterns come in with tokens, and a regular expression made of one could take for ever.
 */
export function matchesPattern(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return name === first;
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last))
    return false;
  const end = name.length - last.length;
  let from = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, from);
    if (found === -1 || found + part.length > end) return false;
    from = found + part.length;
  }
  return true;
}
