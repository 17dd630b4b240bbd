/** Small things that are shown in many places: times, counts with the exact figure behind them, states. */

import type { JSX } from 'preact';
import { exactCount, shownAge, shownCount, shownDuration } from '../../../../src/monitor/shown-figures.ts';
import type { ShownState } from '../../../../src/monitor/view.ts';
import { StatePill } from '../../parts/state-pill.tsx';
import { STATE_MEANINGS, STATE_TONES, STATE_WORDS } from './states.ts';

/** When something was, relative to now, and exactly for those who hover. */
export function Ago({ atMs, nowMs }: { atMs: number; nowMs: number }): JSX.Element {
  const exact = new Date(atMs).toISOString();
  return (
    <time dateTime={exact} title={exact}>
      {shownAge(atMs, nowMs)}
    </time>
  );
}

/** For how long something has been so: `for 2 min`. */
export function Since({ atMs, nowMs }: { atMs: number; nowMs: number }): JSX.Element {
  const exact = new Date(atMs).toISOString();
  return (
    <time dateTime={exact} title={`since ${exact}`}>
      for {shownDuration(Math.max(0, nowMs - atMs))}
    </time>
  );
}

export function Count({ value, unit = '' }: { value: number | null; unit?: string }): JSX.Element {
  return <span title={`${exactCount(value)} ${unit}`.trim()}>{shownCount(value)}</span>;
}

export interface StateProps {
  state: ShownState;
  sinceMs: number;
  nowMs: number;
}

export function State({ state, sinceMs, nowMs }: StateProps): JSX.Element {
  return (
    <StatePill
      tone={STATE_TONES[state]}
      word={STATE_WORDS[state]}
      title={`${STATE_MEANINGS[state]}. So since ${shownAge(sinceMs, nowMs)}`}
    />
  );
}
