/** What is wrong, in sentences, with its cause, how much waits, how long there is room, and what can be done: the first thing to read. */

import type { JSX } from 'preact';
import {
  shardsText,
  type Trouble,
  troubleKey,
  troublesOf,
  waitingText,
} from '../../../../src/monitor/troubles.ts';
import type { AlertView, HealthReason, MonitorView } from '../../../../src/monitor/view.ts';
import { StatePill } from '../../parts/state-pill.tsx';
import { questionOf } from './actions.tsx';
import type { Dashboard } from './dashboard.ts';
import { linkTo } from './route.ts';
import { Since } from './shown.tsx';

/** So many are shown: a page of sentences is read by nobody. */
const SHOWN = 12;

export function Attention({ dashboard, sink }: { dashboard: Dashboard; sink?: string }): JSX.Element | null {
  const view = dashboard.view as MonitorView;
  const troubles = troublesOf(view, sink);
  if (troubles.length === 0) {
    return sink === undefined && view.health.status === 'ok' ? (
      <p class="verdict">
        <StatePill tone="good" word="All is well" /> <span class="quiet">Nothing needs attention.</span>
      </p>
    ) : null;
  }
  const isBad = troubles.some(({ first }) => first.status === 'failing');
  return (
    <section class={`card attention ${isBad ? 'bad' : ''}`} aria-labelledby="attention">
      <h2 id="attention">Needs attention ({troubles.length})</h2>
      <ul>
        {troubles.slice(0, SHOWN).map((trouble) => (
          <TroubleItem key={troubleKey(trouble.first)} trouble={trouble} dashboard={dashboard} view={view} />
        ))}
      </ul>
      {troubles.length > SHOWN ? (
        <p class="quiet">and {troubles.length - SHOWN} more, in the table of sinks</p>
      ) : null}
    </section>
  );
}

interface TroubleItemProps {
  trouble: Trouble;
  dashboard: Dashboard;
  view: MonitorView;
}

function TroubleItem({ trouble, dashboard, view }: TroubleItemProps): JSX.Element {
  const { first, reasons, shards } = trouble;
  const { sink, status, message, sqlState, code } = first;
  const [shard] = shards;
  const hint = shard?.fault?.details?.hint ?? shard?.fault?.details?.detail;
  const alert = alertOf(view.alerts, first);
  const place = sink === null ? 'Everything' : sink;
  const which = sink === null ? '' : shardsText(trouble);
  const canResume = shards.length > 0 && RESUMABLE.has(first.reason);
  return (
    <li class="trouble">
      <p>
        <StatePill tone={status === 'failing' ? 'bad' : 'warn'} word={status} /> <b>{<bdi>{place}</bdi>}</b>
        {which}: <bdi>{message}</bdi>
        {sqlState === null || message.includes(sqlState) ? null : <> (SQLSTATE {sqlState})</>}
        {sqlState === null && code !== null && !message.includes(code) ? (
          <span class="quiet"> ({code})</span>
        ) : null}{' '}
        <span class="quiet">
          <Since atMs={first.sinceMs} nowMs={dashboard.nowMs} />
        </span>
      </p>
      {hint ? (
        <p class="quiet">
          Postgres says: <bdi>{hint}</bdi>
        </p>
      ) : null}
      <p class="quiet">{waitingText(trouble)}</p>
      <div class="row actions">
        {sink === null || dashboard.route.page !== 'overview' ? null : (
          <a href={linkTo(sink, reasons.length === 1 ? first.shard : null)}>
            See the {reasons.length === 1 && first.shard !== null ? 'shard' : 'sink'}
          </a>
        )}
        {canResume ? (
          <button
            type="button"
            onClick={() => dashboard.ask(questionOf(dashboard, 'resume', sink as string, shards))}
          >
            Try again
          </button>
        ) : null}
      </div>
      {alert === undefined ? null : <WhatToDo alert={alert} />}
    </li>
  );
}

const RESUMABLE = new Set(['retrying', 'paused', 'stopped', 'queue-old', 'queue-full', 'full']);

/** What to do about an alert, and where there is more: a link where that is an address of the web, else the page of the docs. */
export function WhatToDo({ alert: { remedy, runbook } }: { alert: AlertView }): JSX.Element {
  return (
    <p>
      <b>What to do:</b> {remedy}{' '}
      {/^https?:\/\//.test(runbook) ? (
        <a href={runbook} target="_blank" rel="noopener noreferrer">
          More ↗
        </a>
      ) : (
        <span class="quiet">More: {runbook}</span>
      )}
    </p>
  );
}

/** The alert about the same place, whose runbook says what to do. */
function alertOf(alerts: readonly AlertView[], { sink, shard }: HealthReason): AlertView | undefined {
  const near = alerts.filter((alert) => alert.sink === sink);
  return near.find((alert) => alert.shard === shard) ?? near[0];
}
