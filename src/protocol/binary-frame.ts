/** A binary frame of `sluice.v1`: the text of a frame, as UTF-8. */

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });

const NEWLINE = 10;

export interface DecodedBinaryFrame {
  text: string;
  /** Lines that are not UTF-8, from 0 on; their text is not what was sent. Undefined where all are. */
  badLines: ReadonlySet<number> | undefined;
}

/** Decodes a frame. A line that is not UTF-8 never harms the lines beside it. */
export function decodeBinaryFrame(frame: ArrayBuffer): DecodedBinaryFrame {
  try {
    return { text: strict.decode(frame), badLines: undefined };
  } catch {
    return decodeLines(new Uint8Array(frame));
  }
}

function decodeLines(bytes: Uint8Array): DecodedBinaryFrame {
  const lines: string[] = [];
  const badLines = new Set<number>();
  // A newline is one byte in UTF-8, and no part of any other character.
  for (let start = 0; start <= bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline === -1 ? bytes.length : newline;
    const line = bytes.subarray(start, end);
    try {
      lines.push(strict.decode(line));
    } catch {
      badLines.add(lines.length);
      lines.push(lenient.decode(line));
    }
    start = end + 1;
  }
  return { text: lines.join('\n'), badLines };
}
