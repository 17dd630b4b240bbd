/** SQL as text. */

/** A name as SQL writes it, whatever is in it. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as SQL writes it, however the server is set to read backslashes. It must hold no NUL. */
export function quoteText(text: string): string {
  return `E'${text.replaceAll(/['\\]/g, '$&$&')}'`;
}
