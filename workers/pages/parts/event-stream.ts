/**
 * Server-Sent Events out of text as it arrives. `EventSource` cannot send a header, and the token must not be part of
 * an address, where logs would keep it.
 */

export interface ServerSentEvent {
  /** Undefined where the event has none. */
  id: string | undefined;
  kind: string;
  data: string;
}

/** Characters of one event; a stream that goes on without an end of an event must not fill the memory. */
const MAX_EVENT_LENGTH = 4_000_000;

export class EventStreamReader {
  #rest = '';

  /** @returns the events that are complete with this piece @throws Error for an event without end */
  push(piece: string): ServerSentEvent[] {
    const blocks = (this.#rest + piece).split(/\r?\n\r?\n/);
    this.#rest = blocks.pop() ?? '';
    if (this.#rest.length > MAX_EVENT_LENGTH) throw new Error('an event of the stream does not end');
    return blocks.flatMap((block) => eventOf(block) ?? []);
  }
}

function eventOf(block: string): ServerSentEvent | undefined {
  let id: string | undefined;
  let kind = 'message';
  const data: string[] = [];
  for (const line of block.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'id') id = value;
    else if (name === 'event') kind = value;
    else if (name === 'data') data.push(value);
  }
  // Comments keep the connection alive, and are no events.
  return data.length === 0 ? undefined : { id, kind, data: data.join('\n') };
}
