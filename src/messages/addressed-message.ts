/**
 * A message that names its stream, as producers send it into a stream sink:
 *
 *     {"stream":"account-123","type":"Deposited","data":{"amount":10},"metadata":null,"id":"…"}
 *
 * Its parts are cut out of the text and never parsed and written again: `data` goes into Postgres as it came.
 */

import { SluiceError } from '../core/errors.ts';
import { membersOf, stringOf } from '../core/json-parts.ts';

/** The parts of the message, as texts. */
export interface AddressedMessage {
  stream: string;
  type: string;
  /** JSON text. `{}` where there is none. */
  data: string;
  /** JSON text; null for none. */
  metadata: string | null;
  /** As the producer gave it; undefined for none. */
  id: string | undefined;
}

const MEMBERS = new Set(['stream', 'type', 'data', 'metadata', 'id']);

/**
 * Reads a message.
 *
 * Members that nobody knows are refused: one that is misspelt, as `meta`, would be lost without a word. So is
 * `expectedVersion`: nobody waits for the answer. A producer learns that its message is stored before Postgres has seen
 * it, and what it would then do about a conflict depends on messages that it has sent since. Who needs the version calls
 * the store.
 *
 * @param payload JSON, as `checkJson` has found it to be
 * @throws SluiceError `invalid_stream_name` where there is no name, `invalid_message` for the rest
 */
export function readAddressedMessage(payload: string): AddressedMessage {
  const parts = partsOf(payload);
  for (const name of parts.keys()) {
    if (MEMBERS.has(name)) continue;
    throw invalid(
      name === 'expectedVersion'
        ? 'A message of a socket cannot have an expectedVersion: nobody waits for the answer. Call the store instead'
        : `The message has the member ${JSON.stringify(name.slice(0, 100))}; there are only ${[...MEMBERS].join(', ')}`,
    );
  }
  const stream = textOf(parts, 'stream');
  if (stream === undefined) {
    throw new SluiceError(
      'invalid_stream_name',
      'The message names no stream: send {"stream":"account-123","type":"Deposited","data":{}}',
    );
  }
  const type = textOf(parts, 'type');
  if (type === undefined || type === '') throw invalid('The message has no type: send {"type":"Deposited"}');
  const metadata = parts.get('metadata');
  return {
    stream,
    type,
    data: parts.get('data') ?? '{}',
    metadata: metadata === undefined || metadata === 'null' ? null : metadata,
    id: textOf(parts, 'id'),
  };
}

function invalid(text: string): SluiceError {
  return new SluiceError('invalid_message', text);
}

/** A member that has to be a string; undefined where it is missing or null. */
function textOf(parts: ReadonlyMap<string, string>, name: string): string | undefined {
  const text = parts.get(name);
  if (text === undefined || text === 'null') return undefined;
  if (!text.startsWith('"')) throw invalid(`The message's ${name} is no string: ${text.slice(0, 100)}`);
  return stringOf(text);
}

/** The members of a message. */
function partsOf(json: string): Map<string, string> {
  const members = membersOf(json);
  if (members === undefined) throw invalid('The message is not a JSON object');
  const parts = new Map<string, string>();
  for (const [name, text] of members) {
    if (parts.has(name)) throw invalid(`The message has the member ${name.slice(0, 100)} twice`);
    parts.set(name, text);
  }
  return parts;
}
