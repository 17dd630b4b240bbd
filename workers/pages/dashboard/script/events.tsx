/** What happened lately, the latest first. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { MonitorEvent } from '../../../../src/monitor/shard-report.ts';
import { linkTo } from './route.ts';
import { Ago } from './shown.tsx';

const SHOWN = 8;

export interface EventsProps {
  events: readonly MonitorEvent[];
  nowMs: number;
}

export function Events({ events, nowMs }: EventsProps): JSX.Element {
  const [showsAll, showAll] = useState(false);
  const shown = showsAll ? events : events.slice(0, SHOWN);
  return (
    <section class="card" aria-labelledby="events">
      <h2 id="events">Recent events</h2>
      {events.length === 0 ? (
        <p class="empty">
          Nothing has happened yet: pauses, returns, dead letters and deployments stand here.
        </p>
      ) : null}
      <ol class="list">
        {shown.map((event) => (
          <li key={`${event.atMs} ${event.sink} ${event.shard} ${event.kind} ${event.message}`} class="event">
            <span class="quiet">
              <Ago atMs={event.atMs} nowMs={nowMs} />
            </span>
            <p>
              {event.sink === null ? null : (
                <>
                  <a href={linkTo(event.sink, event.shard)}>
                    <bdi>{event.sink}</bdi>
                    {event.shard === null ? '' : `, shard ${event.shard}`}
                  </a>{' '}
                </>
              )}
              <bdi>{event.message}</bdi>
            </p>
          </li>
        ))}
      </ol>
      {events.length > shown.length ? (
        <button type="button" onClick={() => showAll(true)}>
          Show all {events.length}
        </button>
      ) : null}
    </section>
  );
}
