/** Pokes as Server-Sent Events. */

import { sseText } from '../src/core/sse-text.ts';
import type {
  ImportedBelow,
  Poke,
  PokeSink,
  Subscribed,
  Subscription,
} from '../src/messages/http/poke-subscriber.ts';
import { EventStream } from './event-stream.ts';

/**
 * A body of pokes. `id` of an event is its position in the unit of the subscription, so that an `EventSource` that
 * connects again says with `Last-Event-ID` where it was.
 *
 * @returns `started`: as that of the subscription
 */
export function pokeStream(
  of: Subscription['of'],
  subscribe: (sink: PokeSink) => Subscribed,
): { body: ReadableStream<Uint8Array>; started: Promise<void> } {
  const isStream = of !== 'all' && 'stream' in of;
  let subscribed: Subscribed | undefined;
  // The feed keeps all of its streams alive.
  const stream = new EventStream({
    onRoom: () => subscribed?.roomAgain(),
    onEnd: () => subscribed?.end(),
  });
  subscribed = subscribe({
    get hasRoom() {
      return stream.hasRoom;
    },
    ready: () => stream.ready(),
    imported: (range) => stream.send(importEvent(range)),
    send: (pokes) => stream.send(pokes.map((poke) => pokeEvent(poke, isStream)).join('')),
    keepAlive: () => stream.keepAlive(),
    close: () => stream.end(),
  });
  return { body: stream.body, started: subscribed.started };
}

// Without an id: where an `EventSource` goes on is where the pokes were.
function importEvent({ from, to, messages }: ImportedBelow): string {
  return sseText({ event: 'import', data: `{"from":${from},"to":${to},"messages":${messages}}` });
}

function pokeEvent({ stream, position, globalPosition }: Poke, isStream: boolean): string {
  const data = `{"stream":${JSON.stringify(stream)},"position":${position},"globalPosition":${globalPosition}}`;
  return sseText({ event: 'poke', data, id: isStream ? position : globalPosition });
}
