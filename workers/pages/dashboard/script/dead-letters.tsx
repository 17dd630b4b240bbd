/** Messages that Postgres refused: first why, in groups; then the messages of a group; then one with its payload. */

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { shownAge, shownNumberOf } from '../../../../src/monitor/shown-figures.ts';
import type { ShardView } from '../../../../src/monitor/view.ts';
import type { DeadLetterGroup } from '../../../../src/outbox/dead-letter-groups.ts';
import { shardPath } from './actions.tsx';
import type { Dashboard } from './dashboard.ts';
import { LetterList } from './letter-list.tsx';

export interface DeadLettersProps {
  dashboard: Dashboard;
  sink: string;
  shards: readonly ShardView[];
}

export function DeadLetters({ dashboard, sink, shards }: DeadLettersProps): JSX.Element {
  const having = shards.filter(({ deadLetters }) => deadLetters > 0);
  const [chosen, choose] = useState<number>();
  const shard = having.find((one) => one.shard === chosen) ?? having[0];
  return (
    <section class="card" aria-labelledby="letters">
      <div class="row apart">
        <h2 id="letters">Dead letters</h2>
        {having.length > 1 ? (
          <label>
            of{' '}
            <select value={shard?.shard} onChange={(event) => choose(Number(event.currentTarget.value))}>
              {having.map((one) => (
                <option key={one.shard} value={one.shard}>
                  shard {one.shard} ({one.deadLetters.toLocaleString('en-US')})
                </option>
              ))}
            </select>
          </label>
        ) : null}
      </div>
      {shard === undefined ? (
        <p class="empty">
          None. A message that Postgres refuses for its content stands here, with the reason, until you
          decide.
        </p>
      ) : (
        <Groups key={shard.shard} dashboard={dashboard} sink={sink} shard={shard} />
      )}
    </section>
  );
}

interface GroupsProps {
  dashboard: Dashboard;
  sink: string;
  shard: ShardView;
}

function Groups({ dashboard, sink, shard: { shard, deadLetters } }: GroupsProps): JSX.Element {
  const [groups, setGroups] = useState<DeadLetterGroup[]>();
  const [trouble, setTrouble] = useState<string>();
  useEffect(() => {
    let isOver = false;
    const load = async (): Promise<void> => {
      try {
        const found = await dashboard.api.get<{ groups: DeadLetterGroup[] }>(
          shardPath(sink, shard, 'dead-letters/groups'),
        );
        if (isOver) return;
        setGroups(found.groups);
        setTrouble(undefined);
      } catch (error) {
        if (!isOver) setTrouble(error instanceof Error ? error.message : String(error));
      }
    };
    void load();
    return () => {
      isOver = true;
    };
  }, [dashboard, sink, shard, deadLetters, dashboard.actions]);
  if (trouble !== undefined) {
    return (
      <p class="text-bad" role="alert">
        They could not be read: {trouble}
      </p>
    );
  }
  if (groups === undefined) return <p class="empty">Reading…</p>;
  return (
    <div class="letters">
      {groups.map((group) => (
        <Group
          key={JSON.stringify(group.key)}
          group={group}
          dashboard={dashboard}
          sink={sink}
          shard={shard}
        />
      ))}
    </div>
  );
}

interface GroupProps {
  group: DeadLetterGroup;
  dashboard: Dashboard;
  sink: string;
  shard: number;
}

function Group({ group, dashboard, sink, shard }: GroupProps): JSX.Element {
  const [isOpen, open] = useState(false);
  const { key, count, reason, firstFailedAtMs, lastFailedAtMs } = group;
  const what = [
    key.sqlState === null ? null : `SQLSTATE ${key.sqlState}`,
    key.by === null ? null : `refused by ${key.by === 'postgres' ? 'Postgres' : `the ${key.by}`}`,
    key.column === null ? null : `column ${key.column}`,
    key.constraint === null ? null : `constraint ${key.constraint}`,
  ].filter((part) => part !== null);
  const { nowMs } = dashboard;
  const asked = (verb: 'retry' | 'drop') => dashboard.ask(groupQuestion(dashboard, sink, shard, group, verb));
  return (
    <div class="group">
      <p>
        <b>{shownNumberOf(count, 'message')}</b>: <bdi>{reason}</bdi>
      </p>
      <p class="quiet small">
        <bdi>{what.join(' · ')}</bdi> · the first {shownAge(firstFailedAtMs, nowMs)}, the last{' '}
        {shownAge(lastFailedAtMs, nowMs)}
      </p>
      <div class="row">
        <button type="button" aria-expanded={isOpen} onClick={() => open(!isOpen)}>
          {isOpen ? 'Hide them' : 'Show them'}
        </button>
        <button type="button" onClick={() => asked('retry')}>
          Retry all {count.toLocaleString('en-US')}
        </button>
        <button type="button" onClick={() => asked('drop')}>
          Drop all {count.toLocaleString('en-US')}
        </button>
      </div>
      {isOpen ? <LetterList dashboard={dashboard} sink={sink} shard={shard} group={group} /> : null}
    </div>
  );
}

interface Retried {
  retried: number;
  refused: number;
  remaining: number;
  isFull: boolean;
}

function groupQuestion(
  dashboard: Dashboard,
  sink: string,
  shard: number,
  { key, count, reason }: DeadLetterGroup,
  verb: 'retry' | 'drop',
) {
  const many = shownNumberOf(count, 'message');
  const post = <Answer,>(): Promise<Answer> =>
    dashboard.api.post<Answer>(shardPath(sink, shard, `dead-letters/${verb}`), { where: { group: key } });
  return {
    title: `${verb === 'retry' ? 'Retry' : 'Drop'} ${many} of ${sink}, shard ${shard}`,
    text: (
      <>
        <p>
          {verb === 'retry'
            ? `Writes ${many} again, after messages that came later. Those that fail again become dead letters again.`
            : `Forgets ${many} for good. They are nowhere else.`}
        </p>
        <p class="quiet">
          <bdi>{reason}</bdi>
        </p>
      </>
    ),
    verb: verb === 'retry' ? `Retry ${many}` : `Drop ${many}`,
    isDangerous: verb === 'drop',
    async run() {
      if (verb === 'drop')
        return `${shownNumberOf((await post<{ dropped: number }>()).dropped, 'message')} dropped.`;
      let retried = 0;
      for (;;) {
        const answer = await post<Retried>();
        retried += answer.retried;
        // One call takes some; those that fail again meanwhile are not taken for ever.
        if (answer.remaining === 0 || answer.retried === 0 || retried >= count)
          return `${shownNumberOf(retried, 'message')} will be written again${answer.isFull ? '; the outbox has no room for the others: try later' : ''}.`;
      }
    },
  };
}
