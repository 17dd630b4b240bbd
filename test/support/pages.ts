/** The pages (README.md and docs/), their blocks of code, and the commands in these. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from '../../local/repository.ts';

/** Every page, by its path from the root. */
export const PAGES = [
  'README.md',
  ...readdirSync(join(REPOSITORY, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

export interface Block {
  page: string;
  /** The word behind the opening fence; empty where there is none. */
  language: string;
  text: string;
  /** What the comment above names: a file of `examples/` or of what `init` writes, with `#` a part of it. */
  quotes: string | undefined;
}

export function readPage(path: string): string {
  return readFileSync(join(REPOSITORY, path), 'utf8');
}

/** The fenced blocks of all pages, in their order. */
export function allBlocks(): Block[] {
  return PAGES.flatMap((page) => blocksOf(page, readPage(page)));
}

/** The fenced blocks of a page. `<!-- examples/file -->` (or what `init` writes) in the line above says what a block is a copy of. */
export function blocksOf(page: string, markdown: string): Block[] {
  const pattern =
    /(?:^<!-- ((?:examples|local\/cli\/init\/template)\/\S+) -->\n)?^```(\w*)\n([\s\S]*?)^```$/gm;
  return [...markdown.matchAll(pattern)].map(([, quotes, language = '', text = '']) => ({
    page,
    language,
    text,
    quotes,
  }));
}

/**
 * What a block that quotes `path` has to hold: the file, or the part of it between the lines `// #region name` and
 * `// #endregion`, without the indentation that all of its lines share.
 *
 * @throws Error where the file has no such part
 */
export function quotedText(path: string): string {
  const [file = '', part] = path.split('#');
  const text = readPage(file);
  if (part === undefined) return `${text.trim()}\n`;
  const found = new RegExp(`^\\s*(?://|#) #region ${part}\\n([\\s\\S]*?)^\\s*(?://|#) #endregion`, 'm').exec(
    text,
  );
  if (found === null) throw new Error(`${file} has no part ${part}`);
  const lines = (found[1] as string).split('\n');
  const indents = lines.filter((line) => line !== '').map((line) => /^ */.exec(line)?.[0].length ?? 0);
  return `${lines
    .map((line) => line.slice(Math.min(...indents)))
    .join('\n')
    .trim()}\n`;
}

/**
 * The commands of a block of shell, each as it would be typed, without the comment after it. A command goes on in the next
 * line within quotes, within braces, after a backslash and after a pipe.
 */
export function commandsOf(text: string): string[] {
  const commands: string[] = [];
  let command = '';
  let quote = '';
  let depth = 0;
  const end = (): void => {
    if (command.trim() !== '') commands.push(command.trim());
    command = '';
  };
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] as string;
    if (quote !== '') {
      if (character === quote) quote = '';
    } else if (character === "'" || character === '"') quote = character;
    else if (character === '\\') {
      command += character;
      at += 1;
      command += text[at] ?? '';
      continue;
    } else if (character === '{' && /(^|\s)$/.test(command)) depth += 1;
    else if (character === '}' && depth > 0) depth -= 1;
    else if (character === '#' && /(^|\s)$/.test(command)) {
      const next = text.indexOf('\n', at);
      at = (next === -1 ? text.length : next) - 1;
      continue;
    } else if (character === '\n' && depth === 0 && !/\|\s*$/.test(command)) {
      end();
      continue;
    }
    command += character;
  }
  end();
  return commands;
}

/** Words of a simple command as a shell splits them, up to a pipe or a redirection. Assignments before it are left out. */
export function wordsOf(command: string): string[] {
  const joined = command.replaceAll('\\\n', ' ');
  const words = [...joined.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) =>
    word.replaceAll(/'([^']*)'|"([^"]*)"/g, (_, single?: string, double?: string) => single ?? double ?? ''),
  );
  const end = words.findIndex((word) => ['|', '<', '>', '&&'].includes(word));
  const own = end === -1 ? words : words.slice(0, end);
  const first = own.findIndex((word) => !/^\w+=/.test(word));
  return first === -1 ? [] : own.slice(first);
}
