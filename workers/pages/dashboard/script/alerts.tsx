/** What rings: alerts that fire or may soon, what rang before, and what operators did. */

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { OperatorEntry } from '../../../../src/monitor/shard-report.ts';
import { shownAge, shownCount, shownDuration } from '../../../../src/monitor/shown-figures.ts';
import type { AlertView } from '../../../../src/monitor/view.ts';
import { StatePill, type Tone } from '../../parts/state-pill.tsx';
import { Table } from '../../parts/table.tsx';
import { WhatToDo } from './attention.tsx';
import type { Dashboard } from './dashboard.ts';
import { linkTo } from './route.ts';
import { Ago } from './shown.tsx';

const TONES: Record<AlertView['state'], Tone> = { firing: 'bad', pending: 'warn', resolved: 'good' };

export function AlertList({
  dashboard,
  alerts,
}: {
  dashboard: Dashboard;
  alerts: readonly AlertView[];
}): JSX.Element {
  if (alerts.length === 0) return <p class="empty">None fires.</p>;
  return (
    <ul class="list">
      {alerts.map((alert) => (
        <AlertItem key={alert.id} alert={alert} dashboard={dashboard} />
      ))}
    </ul>
  );
}

function AlertItem({ alert, dashboard }: { alert: AlertView; dashboard: Dashboard }): JSX.Element {
  const { nowMs } = dashboard;
  const { rule, severity, state, message, activeAtMs, silencedUntilMs, acknowledgedBy } = alert;
  const isSilent = silencedUntilMs !== null && silencedUntilMs > nowMs;
  return (
    <li>
      <p>
        <StatePill tone={isSilent ? 'quiet' : TONES[state]} word={state} /> <b>{rule}</b>{' '}
        <span class="quiet">
          {severity === 'page' ? 'wakes somebody' : 'warns'}, <Ago atMs={activeAtMs} nowMs={nowMs} />
        </span>
      </p>
      <p>
        <Place at={alert} />
        <bdi>{message}</bdi>
      </p>
      {isSilent ? <p class="quiet">Silent for another {shownDuration(silencedUntilMs - nowMs)}.</p> : null}
      {acknowledgedBy === null ? null : (
        <p class="quiet">
          <bdi>{acknowledgedBy}</bdi> looks after it.
        </p>
      )}
      <div class="row">
        <button type="button" onClick={() => dashboard.ask(silenceQuestion(dashboard, alert))}>
          Silence<span class="unseen"> {rule}</span>
        </button>
        {acknowledgedBy === null ? (
          <button type="button" onClick={() => dashboard.ask(acknowledgeQuestion(dashboard, alert))}>
            Acknowledge<span class="unseen"> {rule}</span>
          </button>
        ) : null}
      </div>
      <WhatToDo alert={alert} />
    </li>
  );
}

function Place({ at: { sink, shard } }: { at: Pick<AlertView, 'sink' | 'shard'> }): JSX.Element | null {
  if (sink === null) return null;
  return (
    <>
      <a href={linkTo(sink, shard)}>
        <bdi>{sink}</bdi>
        {shard === null ? '' : `, shard ${shard}`}
      </a>{' '}
    </>
  );
}

const SILENCES = [
  { value: '3600', label: 'for an hour' },
  { value: '14400', label: 'for 4 hours' },
  { value: '86400', label: 'for a day' },
  { value: '604800', label: 'for a week' },
];

function silenceQuestion(dashboard: Dashboard, { rule, sink, shard }: AlertView) {
  const where = sink === null ? '' : ` for ${sink}${shard === null ? '' : `, shard ${shard}`}`;
  return {
    title: `Silence ${rule}${where}`,
    text: <p>Nobody is told of this alert meanwhile. It still stands here, and the history keeps it.</p>,
    choices: SILENCES,
    verb: 'Silence',
    async run(choice: string | undefined) {
      await dashboard.api.post('/monitor/alerts/silence', { rule, sink, shard, forSeconds: Number(choice) });
      return `${rule} is silent ${SILENCES.find(({ value }) => value === choice)?.label}.`;
    },
  };
}

function acknowledgeQuestion(dashboard: Dashboard, { id, rule }: AlertView) {
  return {
    title: `Acknowledge ${rule}`,
    text: <p>The others see that somebody looks after it.</p>,
    field: { label: 'Your name', value: dashboard.api.operatorName },
    verb: 'Acknowledge',
    async run(_: string | undefined, name: string) {
      if (name === '') throw new Error('Say who you are: the others want to know whom to ask.');
      dashboard.api.operatorName = name;
      await dashboard.api.post('/monitor/alerts/acknowledge', { id, by: name });
      return `${name} looks after ${rule}.`;
    },
  };
}

interface Alerts {
  current: AlertView[];
  history: AlertView[];
}

/** The page of alerts. */
export function AlertsPage({ dashboard }: { dashboard: Dashboard }): JSX.Element {
  const [alerts, setAlerts] = useState<Alerts>();
  const [audit, setAudit] = useState<OperatorEntry[]>();
  const [trouble, setTrouble] = useState<string>();
  const current = dashboard.view?.alerts ?? [];
  // Asked again when what fires has changed, and when something was done here.
  const changed = `${dashboard.actions} ${current.map(({ id, state }) => id + state).join()}`;
  useEffect(() => {
    let isOver = false;
    const load = async (): Promise<void> => {
      try {
        const [found, log] = await Promise.all([
          dashboard.api.get<Alerts>('/monitor/alerts'),
          dashboard.api.get<{ entries: OperatorEntry[] }>('/monitor/audit'),
        ]);
        if (isOver) return;
        setAlerts(found);
        setAudit(log.entries);
        setTrouble(undefined);
      } catch (error) {
        if (!isOver) setTrouble(error instanceof Error ? error.message : String(error));
      }
    };
    void load();
    return () => {
      isOver = true;
    };
  }, [dashboard, changed]);

  return (
    <main>
      <div class="row apart">
        <h1 tabIndex={-1}>Alerts</h1>
        <button type="button" onClick={() => dashboard.ask(testQuestion(dashboard))}>
          Send a test
        </button>
      </div>
      {trouble === undefined ? null : (
        <p class="text-bad" role="alert">
          {trouble}
        </p>
      )}
      <section class="card" aria-labelledby="current">
        <h2 id="current">Now</h2>
        <AlertList dashboard={dashboard} alerts={current} />
      </section>
      <section class="card" aria-labelledby="history">
        <h2 id="history">Before</h2>
        {alerts === undefined ? (
          <p class="empty">Reading…</p>
        ) : (
          <History alerts={alerts.history} nowMs={dashboard.nowMs} />
        )}
      </section>
      <section class="card" aria-labelledby="audit">
        <h2 id="audit">What operators did</h2>
        {audit === undefined || audit.length === 0 ? (
          <p class="empty">
            Nothing yet: pauses, retries, drops and deployments stand here with who did them.
          </p>
        ) : (
          <Table
            label="Table of what operators did"
            columns={[
              { title: 'when' },
              { title: 'who', isText: true },
              { title: 'what', isText: true },
              { title: 'where', isText: true },
              { title: 'messages' },
            ]}
            rows={audit.map((entry) => ({
              key: JSON.stringify(entry),
              cells: [
                <Ago key="when" atMs={entry.atMs} nowMs={dashboard.nowMs} />,
                <bdi key="who">{entry.who}</bdi>,
                <bdi key="what">{entry.what}</bdi>,
                <Place key="where" at={entry} />,
                shownCount(entry.messages),
              ],
            }))}
          />
        )}
      </section>
    </main>
  );
}

function History({ alerts, nowMs }: { alerts: readonly AlertView[]; nowMs: number }): JSX.Element {
  if (alerts.length === 0)
    return <p class="empty">No alert has fired yet. “Send a test” shows whether one would be heard.</p>;
  return (
    <Table
      label="Alerts of before"
      columns={[
        { title: 'rule' },
        { title: 'state', isText: true },
        { title: 'since' },
        { title: 'lasted' },
        { title: 'where', isText: true },
        { title: 'what', isLong: true },
      ]}
      rows={alerts.map((alert) => ({
        key: alert.id,
        cells: [
          alert.rule,
          <StatePill key="state" tone={TONES[alert.state]} word={alert.state} />,
          <Ago key="since" atMs={alert.activeAtMs} nowMs={nowMs} />,
          alert.resolvedAtMs === null ? '–' : shownDuration(alert.resolvedAtMs - alert.activeAtMs),
          <Place key="where" at={alert} />,
          <bdi key="what">{alert.message}</bdi>,
        ],
      }))}
    />
  );
}

function testQuestion(dashboard: Dashboard) {
  return {
    title: 'Send a test alert',
    text: (
      <p>
        Every receiver that is set up is told of an alert that says that it is a test, and then that it is
        over.
      </p>
    ),
    verb: 'Send',
    async run() {
      const answer = await dashboard.api.post<{ message?: string } | undefined>('/monitor/alerts/test', {});
      return answer?.message ?? 'A test alert was sent.';
    },
  };
}

/** How many fire, in words. */
export function firingText(alerts: readonly AlertView[], nowMs: number): string {
  const firing = alerts.filter(({ state }) => state === 'firing');
  if (firing.length === 0) return 'none fires';
  const first = Math.min(...firing.map(({ activeAtMs }) => activeAtMs));
  return `${firing.length} firing, the first since ${shownAge(first, nowMs)}`;
}
