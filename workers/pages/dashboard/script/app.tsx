/** The page around its parts: whether all is well, whether it is live, where one is, and what is asked. */

import type { JSX } from 'preact';
import { shownAge, shownDuration } from '../../../../src/monitor/shown-figures.ts';
import type { MonitorView } from '../../../../src/monitor/view.ts';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { StatePill } from '../../parts/state-pill.tsx';
import { ToastList } from '../../parts/toasts.tsx';
import { AlertsPage } from './alerts.tsx';
import type { Dashboard } from './dashboard.ts';
import { Overview, ShardPage, SinkPage } from './pages.tsx';
import { HEALTH_TONES } from './states.ts';
import { TokenForm } from './token-form.tsx';

export function App({ dashboard }: { dashboard: Dashboard }): JSX.Element {
  const { stream, api, question } = dashboard;
  const error = stream.state === 'refused' ? stream.error : undefined;
  const asksForToken = error?.asksForToken === true;
  return (
    <>
      <Header dashboard={dashboard} />
      <Announcer dashboard={dashboard} />
      {asksForToken || dashboard.isChangingToken ? (
        <TokenForm
          error={error}
          hadToken={api.hasToken}
          onToken={(token) => dashboard.setToken(token)}
          onCancel={asksForToken ? undefined : () => dashboard.changeToken(false)}
        />
      ) : (
        <Content dashboard={dashboard} />
      )}
      {question === undefined ? null : (
        <ConfirmDialog
          key={question.title}
          question={question}
          onDone={(result) => (typeof result === 'string' ? dashboard.done(result) : dashboard.ask(result))}
          // A dialog that another has taken the place of is told late that it is closed.
          onClose={() => dashboard.question === question && dashboard.ask(undefined)}
        />
      )}
      <ToastList toasts={dashboard.toasts} />
    </>
  );
}

function Header({ dashboard }: { dashboard: Dashboard }): JSX.Element {
  const { view, route, api } = dashboard;
  const firing = view?.alerts.filter(({ state }) => state === 'firing').length ?? 0;
  return (
    <header>
      <a class="brand" href="#/">
        Sluice
      </a>
      {view === undefined ? null : (
        <StatePill tone={HEALTH_TONES[view.health.status]} word={view.health.status} />
      )}
      <nav aria-label="Pages">
        <a href="#/" aria-current={route.page === 'overview' ? 'page' : undefined}>
          Overview
        </a>
        <a href="#/alerts" aria-current={route.page === 'alerts' ? 'page' : undefined}>
          Alerts{firing > 0 ? ` (${firing})` : ''}
        </a>
      </nav>
      <span class="push row">
        <Live dashboard={dashboard} />
        <button type="button" class="plain" onClick={() => dashboard.changeToken(true)}>
          {api.hasToken ? 'Change the token' : 'Use a token'}
        </button>
        {api.hasToken ? (
          <button type="button" class="plain" onClick={() => dashboard.setToken(null)}>
            Forget it
          </button>
        ) : null}
      </span>
    </header>
  );
}

function Live({ dashboard: { stream } }: { dashboard: Dashboard }): JSX.Element {
  switch (stream.state) {
    case 'live':
      return <StatePill tone="good" word="live" title="New figures come each second" />;
    case 'connecting':
      return <StatePill tone="quiet" word="connecting" />;
    case 'resting':
      return <StatePill tone="quiet" word="resting" title="While the tab is hidden, nothing is asked" />;
    case 'lost':
      return <StatePill tone="warn" word="not connected" />;
    case 'refused':
      return <StatePill tone="bad" word="refused" />;
  }
}

/** Says to screen readers that the state of the whole has changed, and nothing else: figures change each second. */
function Announcer({ dashboard: { view } }: { dashboard: Dashboard }): JSX.Element {
  const text =
    view === undefined
      ? ''
      : `Sluice is ${view.health.status}. ${view.health.reasons.length} things need attention.`;
  return (
    <p class="unseen" role="status">
      {text}
    </p>
  );
}

function Content({ dashboard }: { dashboard: Dashboard }): JSX.Element {
  const { view, stream } = dashboard;
  if (view === undefined) return <Waiting dashboard={dashboard} />;
  return (
    <>
      {stream.state === 'lost' ? (
        <p class="banner" role="status">
          The connection is lost ({stream.reason}): these figures are{' '}
          {shownDuration(Date.now() - dashboard.viewedAtMs)} old. Trying again.
        </p>
      ) : null}
      <Page key={location.hash} dashboard={dashboard} view={view} />
      <footer class="quiet small">
        version {view.version === '' ? 'not known' : view.version}; figures of{' '}
        {shownAge(view.atMs, dashboard.nowMs)}
      </footer>
    </>
  );
}

function Page({ dashboard, view }: { dashboard: Dashboard; view: MonitorView }): JSX.Element {
  const { route } = dashboard;
  if (route.page === 'overview') return <Overview dashboard={dashboard} view={view} />;
  if (route.page === 'alerts') return <AlertsPage dashboard={dashboard} />;
  const sink = dashboard.sink(route.sink);
  if (sink === undefined) return <Missing what={`a sink ${route.sink}`} />;
  if (route.page === 'sink') return <SinkPage dashboard={dashboard} sink={sink} />;
  const shard = dashboard.shard(route.sink, route.shard);
  if (shard === undefined) return <Missing what={`a shard ${route.shard} of ${route.sink}`} />;
  return <ShardPage dashboard={dashboard} shard={shard} />;
}

function Missing({ what }: { what: string }): JSX.Element {
  return (
    <main>
      <h1 tabIndex={-1}>Not here</h1>
      <p>
        Nothing was reported of <bdi>{what}</bdi> yet. It appears when its first message arrives.{' '}
        <a href="#/">See all sinks</a>
      </p>
    </main>
  );
}

/** No figures yet: why not. */
function Waiting({ dashboard }: { dashboard: Dashboard }): JSX.Element {
  const { stream } = dashboard;
  return (
    <main>
      <h1 class="unseen" tabIndex={-1}>
        Overview
      </h1>
      {stream.state === 'refused' ? (
        <div class="card">
          <h2>There are no figures</h2>
          <p role="alert">{stream.error.message}</p>
          <button type="button" onClick={() => dashboard.connect()}>
            Ask again
          </button>
        </div>
      ) : stream.state === 'lost' ? (
        <p class="banner" role="status">
          The Worker does not answer ({stream.reason}). It is asked again, since{' '}
          {shownAge(stream.sinceMs, Date.now())}.
        </p>
      ) : (
        <p class="empty">Asking for figures…</p>
      )}
    </main>
  );
}
