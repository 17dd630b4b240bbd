/**
 * Cuts JSON into its parts without building anything: what is stored is the text that was sent, in which numbers have
 * the digits that they had. The JSON has to be good; only where each value ends is looked for.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const SPACE = 0x20;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACE = 0x7d;
const CLOSE_BRACKET = 0x5d;

/**
 * Calls `take` with each member of a JSON object: its name and the text of its value.
 *
 * @returns false where the JSON is not an object
 */
export function eachMember(json: string, take: (name: string, text: string) => void): boolean {
  let at = skipBlanks(json, 0);
  if (json.charCodeAt(at) !== OPEN_BRACE) return false;
  at = skipBlanks(json, at + 1);
  while (json.charCodeAt(at) === QUOTE) {
    const nameEnd = endOfString(json, at);
    const name = stringOf(json.slice(at, nameEnd));
    const start = skipBlanks(json, skipBlanks(json, nameEnd) + 1);
    const end = endOfValue(json, start);
    take(name, json.slice(start, end));
    at = skipBlanks(json, end);
    if (json.charCodeAt(at) === COMMA) at = skipBlanks(json, at + 1);
  }
  return true;
}

/** The members of a JSON object, each as its name and the text of its value; undefined where the JSON is not an object. */
export function membersOf(json: string): [name: string, text: string][] | undefined {
  const members: [name: string, text: string][] = [];
  return eachMember(json, (name, text) => members.push([name, text])) ? members : undefined;
}

/** The text of a member's value. Of several with the name the last, as `JSON.parse` has it. */
export function memberOf(json: string, name: string): string | undefined {
  return membersOf(json)?.findLast(([known]) => known === name)?.[1];
}

/** The elements of a JSON array as texts; undefined where the JSON is no array. */
export function elementsOf(json: string): string[] | undefined {
  const elements: string[] = [];
  let at = skipBlanks(json, 0);
  if (json.charCodeAt(at) !== OPEN_BRACKET) return undefined;
  at = skipBlanks(json, at + 1);
  while (at < json.length && json.charCodeAt(at) !== CLOSE_BRACKET) {
    const end = endOfValue(json, at);
    elements.push(json.slice(at, end));
    at = skipBlanks(json, end);
    if (json.charCodeAt(at) === COMMA) at = skipBlanks(json, at + 1);
  }
  return elements;
}

/** The string that a JSON string stands for. */
export function stringOf(text: string): string {
  return text.includes('\\') ? (JSON.parse(text) as string) : text.slice(1, -1);
}

function skipBlanks(json: string, from: number): number {
  let at = from;
  while (json.charCodeAt(at) <= SPACE) at += 1;
  return at;
}

function endOfValue(json: string, start: number): number {
  const first = json.charCodeAt(start);
  if (first === QUOTE) return endOfString(json, start);
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return endOfContainer(json, start);
  let at = start;
  for (let code = first; at < json.length; code = json.charCodeAt(at)) {
    if (code === COMMA || code === CLOSE_BRACE || code === CLOSE_BRACKET || code <= SPACE) break;
    at += 1;
  }
  return at;
}

function endOfContainer(json: string, start: number): number {
  let depth = 0;
  for (let at = start; at < json.length; at += 1) {
    const code = json.charCodeAt(at);
    if (code === QUOTE) at = endOfString(json, at) - 1;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) depth += 1;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return json.length;
}

/** Where a string ends that begins at `start`, after its closing quote. */
export function endOfString(json: string, start: number): number {
  let end = json.indexOf('"', start + 1);
  while (end !== -1) {
    let backslashes = 0;
    while (json.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return end + 1;
    end = json.indexOf('"', end + 1);
  }
  return json.length;
}
