/** What the clients of the suite `dcb` ask of a store: the store itself, or one over HTTP. */

import { isSluiceError, SluiceError } from '../../../src/core/errors.ts';
import type { QueryItem } from '../../../src/events/engine.ts';
import type { AppendConditionInput, NewEvent } from '../../../src/events/event.ts';
import type { EventStore } from '../../../src/events/event-store.ts';
import type { Answer } from './ledger.ts';

export interface BenchStore {
  append(events: readonly NewEvent[], condition: AppendConditionInput | undefined): Promise<Answer>;
  /** The position of the last event that matches; 0 for none. */
  last(query: readonly QueryItem[]): Promise<bigint>;
}

/** The store itself. */
export function directStore(store: EventStore): BenchStore {
  return {
    async append(events, condition) {
      try {
        const { position } = await store.append(events, condition);
        return { kind: 'appended', position };
      } catch (error) {
        if (!isSluiceError(error) || error.code !== 'append_conflict') throw error;
        return { kind: 'conflict', position: BigInt(error.details.position as string) };
      }
    },
    async last(query) {
      const [event] = await store.readRecords(query, { backwards: true, limit: 1 });
      return event?.position ?? 0n;
    },
  };
}

/** Sends a request to the store, `/append` or `/read`. */
export type Send = (pathAndQuery: string, init?: { method: 'POST'; body: string }) => Promise<Response>;

/** The store that answers `POST /append` and `GET /read`, in the shapes of the DCB specification. */
export function httpStore(send: Send): BenchStore {
  return {
    async append(events, condition) {
      const body = JSON.stringify({
        events: events.map(({ type, tags, data }) => ({ type, tags, data: JSON.stringify(data) })),
        ...(condition === undefined
          ? {}
          : {
              condition: {
                failIfEventsMatch: { items: condition.failIfEventsMatch },
                after: Number(condition.after ?? 0n),
              },
            }),
      });
      const response = await send('/append', { method: 'POST', body });
      const answer = (await response.json()) as { position?: unknown; code?: unknown };
      if (typeof answer.position === 'number') {
        const position = BigInt(answer.position);
        if (response.ok) return { kind: 'appended', position };
        if (response.status === 409 && answer.code === 'append_conflict')
          return { kind: 'conflict', position };
      }
      throw failed('append', response, answer);
    },
    async last(query) {
      const params = new URLSearchParams({
        query: JSON.stringify({ items: query }),
        options: '{"backwards":true,"limit":1}',
      });
      const response = await send(`/read?${params}`);
      const answer = (await response.json()) as { position?: number }[];
      if (!response.ok || !Array.isArray(answer)) throw failed('read', response, answer);
      return BigInt(answer[0]?.position ?? 0);
    },
  };
}

function failed(what: string, { status }: Response, answer: unknown): SluiceError {
  return new SluiceError(
    'internal',
    `The store could not ${what}: ${status} ${JSON.stringify(answer).slice(0, 200)}`,
  );
}
