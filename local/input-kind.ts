/**
 * Says what an input is that should be lines of JSON and is something else, so that an error can name what was seen:
 * a compressed file, UTF-16, a byte order mark, JSON over several lines, or a value that JSON does not have.
 */

import { TextDecoder } from 'node:util';

/** What was seen instead of lines of JSON, or instead of one JSON value. */
export interface UnexpectedInput {
  kind: 'compressed' | 'utf-16' | 'not utf-8' | 'byte order mark' | 'several lines' | 'array' | 'not json';
  /** What was seen, to come after "the input is" or "the payload is": `compressed with gzip`. */
  seen: string;
  /** What to do about it, as a command to the reader: `decompress it first (gunzip)`. */
  remedy: string;
}

/** How many bytes of an input `unexpectedLines` looks at, at most. */
export const INPUT_HEAD_BYTES = 4_096;

const COMPRESSED: readonly { name: string; tool: string; bytes: readonly number[] }[] = [
  { name: 'gzip', tool: 'gunzip', bytes: [0x1f, 0x8b] },
  { name: 'zstd', tool: 'zstd -d', bytes: [0x28, 0xb5, 0x2f, 0xfd] },
  { name: 'xz', tool: 'xz -d', bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { name: 'bzip2', tool: 'bunzip2', bytes: [0x42, 0x5a, 0x68] },
  { name: 'zip', tool: 'unzip -p', bytes: [0x50, 0x4b, 0x03, 0x04] },
];

/** Values that other languages print and JSON does not have. */
const FOREIGN_VALUES = /^[+-]?(NaN|Infinity|undefined|None|True|False|NULL)(?=[\s,;]|$)/;

/**
 * Looks at the first bytes of an input that should be lines of JSON, one object each.
 *
 * @param head the first bytes, `INPUT_HEAD_BYTES` of them or all that there are; what comes after them is not looked at
 * @returns what they are instead, or undefined where they may be lines of JSON (also for an empty input)
 */
export function unexpectedLines(head: Uint8Array): UnexpectedInput | undefined {
  const bytes = head.subarray(0, INPUT_HEAD_BYTES);
  const encoded = unexpectedEncoding(bytes);
  if (encoded !== undefined) return encoded;
  let text: string;
  try {
    // A character may be cut at the end of what is looked at.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true });
  } catch {
    return notUtf8;
  }
  const line = text.split('\n').find((one) => one.trim() !== '');
  if (line === undefined) return undefined;
  const first = line.trim();
  if (first === '[' || first.startsWith('[{') || first.startsWith('[ {')) {
    return {
      kind: 'array',
      seen: 'one JSON array',
      remedy: "write each of its elements on a line (jq -c '.[]')",
    };
  }
  // The first line may be longer than what is looked at: then it cannot be judged as a whole.
  const isWhole = text.includes('\n', text.indexOf(line)) || bytes.length < INPUT_HEAD_BYTES;
  return isWhole ? unexpectedValue(first, text.trimEnd().includes('\n')) : undefined;
}

/** The same for a text that should be one JSON value in one line. White space around it counts for nothing. */
export function unexpectedText(text: string): UnexpectedInput | undefined {
  const trimmed = text.trim();
  if (isJson(trimmed)) return /[\r\n]/.test(trimmed) ? severalLines : undefined;
  return unexpectedValue(trimmed, false);
}

function unexpectedEncoding(bytes: Uint8Array): UnexpectedInput | undefined {
  const compressed = COMPRESSED.find((one) => one.bytes.every((byte, index) => bytes[index] === byte));
  if (compressed !== undefined) {
    const { name, tool } = compressed;
    return { kind: 'compressed', seen: `compressed with ${name}`, remedy: `decompress it first (${tool})` };
  }
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return byteOrderMark;
  // JSON begins with two characters of ASCII, so a zero among the first two bytes is the half of one of them.
  const isLittle = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] !== 0 && bytes[1] === 0);
  const isBig = (bytes[0] === 0xfe && bytes[1] === 0xff) || (bytes[0] === 0 && bytes[1] !== 0);
  if (bytes.length < 2 || (!isLittle && !isBig)) return undefined;
  const encoding = isLittle ? 'UTF-16LE' : 'UTF-16BE';
  return {
    kind: 'utf-16',
    seen: `text in ${encoding}`,
    remedy: `write it as UTF-8 (iconv -f ${encoding} -t UTF-8)`,
  };
}

const byteOrderMark: UnexpectedInput = {
  kind: 'byte order mark',
  seen: 'text that begins with a byte order mark (EF BB BF)',
  remedy: "write it as UTF-8 without one (sed '1s/^\\xEF\\xBB\\xBF//')",
};

const notUtf8: UnexpectedInput = {
  kind: 'not utf-8',
  seen: 'not UTF-8',
  remedy: 'convert it (iconv -f LATIN1 -t UTF-8, if it is Latin-1)',
};

const severalLines: UnexpectedInput = {
  kind: 'several lines',
  seen: 'JSON over several lines',
  remedy: 'write each value on one line (jq -c .)',
};

/** @param hasMore whether other lines come after this one */
function unexpectedValue(line: string, hasMore: boolean): UnexpectedInput | undefined {
  if (isJson(line)) return undefined;
  const foreign = FOREIGN_VALUES.exec(line)?.[0];
  if (foreign !== undefined) return notJson(foreign);
  // A value inside an object, where no string can hold it.
  const outside = line.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""');
  const inside = /[:[,]\s*([+-]?(?:NaN|Infinity)|undefined|None|True|False)(?=\s*[,\]}])/.exec(outside)?.[1];
  if (inside !== undefined) return notJson(inside);
  if (hasMore && /^[{[]/.test(line) && (line === '{' || line.endsWith(',') || /[{[]$/.test(line)))
    return severalLines;
  if (/^\s*<(!doctype|html|\?xml)/i.test(line)) {
    return { kind: 'not json', seen: 'HTML or XML', remedy: 'send lines of JSON' };
  }
  if (/^\{\s*'/.test(line)) {
    return {
      kind: 'not json',
      seen: 'text with single quotes, as Python prints a dict',
      remedy: 'write JSON (json.dumps in Python)',
    };
  }
  return undefined;
}

function notJson(word: string): UnexpectedInput {
  const isNumber = /NaN|Infinity/.test(word);
  return {
    kind: 'not json',
    seen: `text with ${word}, which JSON does not have`,
    remedy: isNumber
      ? 'write null or a string instead'
      : 'write it as JSON (null, true, false; json.dumps in Python)',
  };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
