/** The parts of the page that can be gone to: all sinks, one sink, one shard. */

import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';
import { exactCount, shownNumberOf } from '../../../../src/monitor/shown-figures.ts';
import type { MonitorView, ShardView, SinkView } from '../../../../src/monitor/view.ts';
import { ACTIONS, type ActionName, questionOf } from './actions.tsx';
import { AlertList, firingText } from './alerts.tsx';
import { Attention } from './attention.tsx';
import { Charts } from './charts.tsx';
import type { Dashboard } from './dashboard.ts';
import { Databases } from './databases.tsx';
import { DeadLetters } from './dead-letters.tsx';
import { Events } from './events.tsx';
import { FigureTiles } from './figure-tiles.tsx';
import { Producers } from './producers.tsx';
import { linkTo } from './route.ts';
import { ShardsTable, SinksTable } from './shard-tables.tsx';
import { Ago, Since, State } from './shown.tsx';

/** Alerts beside the events; the others are on their own page. */
const SHOWN_ALERTS = 4;

export function Overview({ dashboard, view }: { dashboard: Dashboard; view: MonitorView }): JSX.Element {
  const { nowMs } = dashboard;
  const [hasCharts, showCharts] = useState(false);
  return (
    <main>
      <h1 class="unseen" tabIndex={-1}>
        Overview
      </h1>
      <FigureTiles of={view.all} sparks={view.sparks} />
      <Attention dashboard={dashboard} />
      <section class="card" aria-labelledby="sinks">
        <h2 id="sinks">Sinks</h2>
        <SinksTable sinks={view.sinks} nowMs={nowMs} />
      </section>
      <Databases databases={view.databases} nowMs={nowMs} />
      <div class="halves">
        <section class="card" aria-labelledby="alerts">
          <div class="row apart">
            <h2 id="alerts">Alerts</h2>
            <span class="quiet">{firingText(view.alerts, nowMs)}</span>
          </div>
          <AlertList dashboard={dashboard} alerts={view.alerts.slice(0, SHOWN_ALERTS)} />
          <p>
            <a href="#/alerts">
              {view.alerts.length > SHOWN_ALERTS ? `All ${view.alerts.length} alerts` : 'Alerts of before'},
              silences, test
            </a>
          </p>
        </section>
        <Events events={view.events} nowMs={nowMs} />
      </div>
      {hasCharts ? (
        <Charts dashboard={dashboard} />
      ) : (
        <p>
          <button type="button" onClick={() => showCharts(true)}>
            Show charts of all sinks
          </button>
        </p>
      )}
    </main>
  );
}

export function SinkPage({ dashboard, sink }: { dashboard: Dashboard; sink: SinkView }): JSX.Element {
  const { nowMs } = dashboard;
  const view = dashboard.view as MonitorView;
  const [showsAll, showAll] = useState(false);
  return (
    <main>
      <Crumbs>
        <h1 tabIndex={-1}>
          <bdi>{sink.sink}</bdi>
        </h1>
        <State state={sink.state} sinceMs={sink.stateSinceMs} nowMs={nowMs} />
        <span class="quiet">
          <Since atMs={sink.stateSinceMs} nowMs={nowMs} />
        </span>
        <Actions dashboard={dashboard} sink={sink.sink} shards={sink.shards} />
      </Crumbs>
      <FigureTiles of={sink} />
      <Attention dashboard={dashboard} sink={sink.sink} />
      <section class="card" aria-labelledby="shards">
        <h2 id="shards">{shownNumberOf(sink.shards.length, 'shard')}</h2>
        <ShardsTable sink={sink} nowMs={nowMs} showsAll={showsAll} onShowAll={() => showAll(true)} />
      </section>
      <Totals of={sink} />
      <DeadLetters dashboard={dashboard} sink={sink.sink} shards={sink.shards} />
      <Charts dashboard={dashboard} sink={sink.sink} />
      <div class="halves">
        <Producers shards={sink.shards} />
        <Events events={view.events.filter((event) => event.sink === sink.sink)} nowMs={nowMs} />
      </div>
    </main>
  );
}

export function ShardPage({ dashboard, shard }: { dashboard: Dashboard; shard: ShardView }): JSX.Element {
  const { nowMs } = dashboard;
  const view = dashboard.view as MonitorView;
  const { fault } = shard;
  return (
    <main>
      <Crumbs>
        <h1 tabIndex={-1}>
          <a href={linkTo(shard.sink)}>
            <bdi>{shard.sink}</bdi>
          </a>
          , shard {shard.shard}
        </h1>
        <State state={shard.state} sinceMs={shard.stateSinceMs} nowMs={nowMs} />
        <span class="quiet">
          <Since atMs={shard.stateSinceMs} nowMs={nowMs} />; reported{' '}
          <Ago atMs={shard.reportedAtMs} nowMs={nowMs} />
          {shard.version === '' ? '' : `; version ${shard.version}`}
        </span>
        <Actions dashboard={dashboard} sink={shard.sink} shards={[shard]} />
      </Crumbs>
      <FigureTiles of={shard} />
      {fault === null ? null : (
        <section class="card attention bad" aria-labelledby="fault">
          <h2 id="fault">The last error</h2>
          <p>
            <bdi>{fault.message}</bdi>
          </p>
          <dl class="facts">
            {factsOf(shard, nowMs).map(([name, text]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{text}</dd>
              </div>
            ))}
          </dl>
        </section>
      )}
      <Totals of={shard} />
      <DeadLetters dashboard={dashboard} sink={shard.sink} shards={[shard]} />
      <Charts dashboard={dashboard} sink={shard.sink} shard={shard.shard} />
      <div class="halves">
        <Producers shards={[shard]} />
        <Events
          events={view.events.filter((event) => event.sink === shard.sink && event.shard === shard.shard)}
          nowMs={nowMs}
        />
      </div>
    </main>
  );
}

function factsOf({ fault }: ShardView, nowMs: number): [string, ComponentChildren][] {
  if (fault === null) return [];
  const { code, details, failuresInARow, atMs } = fault;
  const facts: [string, ComponentChildren][] = [
    ['when', <Ago key="when" atMs={atMs} nowMs={nowMs} />],
    ['failures in a row', failuresInARow.toLocaleString('en-US')],
    ['code', code],
    ['SQLSTATE', details?.sqlState],
    ['detail', details?.detail],
    ['hint', details?.hint],
    ['table', details?.table],
    ['column', details?.column],
    ['constraint', details?.constraint],
  ];
  return facts.filter(([, text]) => text !== null && text !== undefined);
}

/** Counted since the first message. */
function Totals({ of }: { of: SinkView | ShardView }): JSX.Element {
  const totals = {
    received: of.received,
    stored: of.stored,
    committed: of.committed,
    dead: of.dead,
    duplicate: of.duplicate,
    refused: of.refused,
  };
  return (
    <section class="card" aria-labelledby="totals">
      <h2 id="totals">Messages since the beginning</h2>
      <dl class="facts">
        {Object.entries(totals).map(([name, count]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{exactCount(count)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Crumbs({ children }: { children: ComponentChildren }): JSX.Element {
  return (
    <>
      <p>
        <a href="#/">← All sinks</a>
      </p>
      <div class="row">{children}</div>
    </>
  );
}

function Actions({
  dashboard,
  sink,
  shards,
}: {
  dashboard: Dashboard;
  sink: string;
  shards: readonly ShardView[];
}): JSX.Element {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset would be a form's
    <div class="row push" role="group" aria-label={`What can be done with ${sink}`}>
      {(Object.keys(ACTIONS) as ActionName[]).map((name) => (
        <button
          key={name}
          type="button"
          onClick={() => dashboard.ask(questionOf(dashboard, name, sink, shards))}
        >
          {ACTIONS[name].button}
        </button>
      ))}
    </div>
  );
}
