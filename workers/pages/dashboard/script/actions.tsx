/** What an operator may do to shards: asked once, with what it will do and to how many messages, and told what it came to. */

import { shownNumberOf } from '../../../../src/monitor/shown-figures.ts';
import type { ShardView } from '../../../../src/monitor/view.ts';
import type { ShardState } from '../../../../src/outbox/shard-admin.ts';
import type { Question } from '../../parts/confirm-dialog.tsx';
import type { Dashboard } from './dashboard.ts';

export type ActionName = 'resume' | 'pause' | 'flush' | 'drain';

interface Action {
  button: string;
  title(place: string): string;
  /** What it will do, given how many messages wait. */
  text(waiting: string, many: string): string;
  /** The same, past, for one shard. */
  done(state: ShardState, place: string): string;
  isDangerous?: boolean;
}

const waiting = ({ buffered }: ShardState): string =>
  buffered === 0 ? 'nothing waits' : `${shownNumberOf(buffered, 'message')} still wait`;
const standing = (state: ShardState): string =>
  state.isPaused
    ? `It does not write: ${state.message ?? state.code ?? 'paused'}`
    : `It writes; ${waiting(state)}`;

export const ACTIONS: Record<ActionName, Action> = {
  resume: {
    button: 'Try again',
    title: (place) => `Try again: ${place}`,
    text: (messages) => `Tries at once to write what waits: ${messages}. It also ends a pause or a stop.`,
    done: (state, place) => `${place} tried again. ${standing(state)}.`,
  },
  pause: {
    button: 'Pause',
    title: (place) => `Pause ${place}`,
    text: (messages, many) =>
      `Nothing is written to Postgres until somebody says “Try again”. ${messages} wait already, and what ${many} accepted from now on waits too, until there is no room. No message is lost.`,
    done: (state, place) => `${place} is paused; ${waiting(state)}.`,
    isDangerous: true,
  },
  flush: {
    button: 'Flush',
    title: (place) => `Flush ${place}`,
    text: (messages) => `Writes what waits now, without waiting for a batch to fill: ${messages}.`,
    done: (state, place) => `${place} was flushed. ${standing(state)}.`,
  },
  drain: {
    button: 'Drain',
    title: (place) => `Drain ${place}`,
    text: (messages) => `Writes all that waits, and answers when it is done: ${messages}.`,
    done: (state, place) => `${place} was drained. ${standing(state)}.`,
  },
};

/** Asks whether to do something to these shards of a sink, and does it to one after the other. */
export function questionOf(
  dashboard: Dashboard,
  name: ActionName,
  sink: string,
  shards: readonly ShardView[],
): Question {
  const action = ACTIONS[name];
  const [only] = shards;
  const place = shards.length === 1 ? `${sink}, shard ${only?.shard}` : sink;
  const messages = shownNumberOf(
    shards.reduce((sum, { queueMessages }) => sum + queueMessages, 0),
    'message',
  );
  const asleep = shards.filter(({ isAsleep }) => isAsleep).length;
  return {
    title: action.title(place),
    text: (
      <>
        <p>{action.text(messages, shards.length === 1 ? 'is' : 'is')}</p>
        {shards.length > 1 ? (
          <p>It concerns {shownNumberOf(shards.length, 'shard')}, one after the other.</p>
        ) : null}
        {asleep > 0 ? <p class="quiet">This wakes {shownNumberOf(asleep, 'shard')} that is asleep.</p> : null}
      </>
    ),
    verb: action.button,
    ...(action.isDangerous ? { isDangerous: true } : {}),
    ...(name === 'drain'
      ? {
          choices: [
            { value: 'open', label: 'Leave the sockets open' },
            {
              value: 'close',
              label: 'Close the sockets first, so that no more comes in; clients connect again',
            },
          ],
        }
      : {}),
    async run(choice) {
      const body = name === 'drain' ? { closeSockets: choice === 'close' } : {};
      const failures: string[] = [];
      let last: ShardState | undefined;
      for (const { shard } of shards) {
        try {
          last = await dashboard.api.post<ShardState>(shardPath(sink, shard, name), body);
        } catch (error) {
          if (shards.length === 1) throw error;
          failures.push(`shard ${shard}: ${error instanceof Error ? error.message : error}`);
        }
      }
      if (failures.length > 0)
        throw new Error(
          `${shards.length - failures.length} of ${shards.length} shards did it. ${failures.slice(0, 5).join('; ')}`,
        );
      if (shards.length > 1) return `${place}: done for ${shownNumberOf(shards.length, 'shard')}.`;
      const state = last as ShardState;
      if (state.missing && state.missing.held > 0)
        return missingQuestion(dashboard, sink, only as ShardView, state);
      return action.done(state, place);
    },
  };
}

/** A failover has lost messages that the shard still has: somebody has to choose. */
function missingQuestion(
  dashboard: Dashboard,
  sink: string,
  { shard }: ShardView,
  state: ShardState,
): Question {
  const missing = state.missing as NonNullable<ShardState['missing']>;
  return {
    title: `Messages are missing in the database: ${sink}, shard ${shard}`,
    text: (
      <p>
        The database has lost {shownNumberOf(missing.messages, 'message')} since{' '}
        {new Date(missing.sinceMs).toISOString()}. The shard still has{' '}
        {shownNumberOf(missing.held, 'message')} of them.
      </p>
    ),
    choices: [
      { value: 'write-again', label: 'Write again those that the shard still has, before all that waits' },
      { value: 'give-up', label: 'Leave them missing, and go on' },
    ],
    verb: 'Go on',
    async run(choice) {
      const answer = await dashboard.api.post<ShardState>(shardPath(sink, shard, 'resume'), {
        missing: choice,
      });
      return `${sink}, shard ${shard} was resumed. ${standing(answer)}.`;
    },
  };
}

/** A route of a shard. */
export function shardPath(sink: string, shard: number, rest: string): string {
  return `/admin/${encodeURIComponent(sink)}/${shard}/${rest}`;
}
