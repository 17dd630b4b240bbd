/** What the event store's texts may be. */

/** What is wrong with a text that is to be a type or a tag; undefined where nothing is. */
export function labelFault(label: unknown, maxLength: number): string | undefined {
  if (typeof label !== 'string') return 'is not a text';
  if (label === '') return 'is empty';
  if (label.length > maxLength) return `is longer than ${maxLength} characters`;
  return textFault(label);
}

/** What a text has that Postgres cannot keep; undefined where it has nothing of that. */
export function textFault(text: string): string | undefined {
  if (text.includes('\0')) return 'has a NUL character';
  if (!text.isWellFormed()) return 'has a lone surrogate';
  return undefined;
}
