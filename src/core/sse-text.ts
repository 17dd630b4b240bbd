/** The text of one Server-Sent Event (https://html.spec.whatwg.org/multipage/server-sent-events.html). */

export interface ServerSentEvent {
  /** Default: `message`, as readers take it. */
  event?: string;
  /** Where a reader that connects again goes on. Default: where it was before this event. */
  id?: string | number | bigint;
  /** On one line, such as JSON. */
  data: string;
}

export function sseText({ event, id, data }: ServerSentEvent): string {
  const kind = event === undefined ? '' : `event: ${event}\n`;
  return `${kind}data: ${data}\n${id === undefined ? '' : `id: ${id}\n`}\n`;
}
