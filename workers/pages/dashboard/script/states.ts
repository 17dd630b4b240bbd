/** How states look and what they are called. */

import type { HealthStatus, ShownState } from '../../../../src/monitor/view.ts';
import type { Tone } from '../../parts/state-pill.tsx';

export const STATE_TONES: Record<ShownState, Tone> = {
  ok: 'good',
  running: 'good',
  busy: 'good',
  retrying: 'warn',
  paused: 'bad',
  stopped: 'bad',
  held: 'bad',
  full: 'bad',
  asleep: 'quiet',
  unknown: 'quiet',
};

export const STATE_WORDS: Record<ShownState, string> = {
  ok: 'ok',
  running: 'ok',
  busy: 'busy',
  retrying: 'retrying',
  paused: 'paused',
  stopped: 'stopped',
  held: 'held',
  full: 'full',
  asleep: 'asleep',
  unknown: 'unknown',
};

/** What each state means, for those who hover. */
export const STATE_MEANINGS: Record<ShownState, string> = {
  ok: 'Nothing is wrong',
  running: 'Nothing is wrong',
  busy: 'The queue is at least half full',
  retrying: 'The last try to write failed; another one follows soon',
  paused: 'Postgres refuses for a reason that somebody has to remove; messages wait',
  stopped: 'Nothing is written before an operator says so; messages wait',
  held: 'The sink cannot be used as it is configured; messages wait',
  full: 'There is no room for another message',
  asleep: 'Nothing waits and nobody is connected; the next message wakes it',
  unknown: 'It has not reported for a while',
};

export const HEALTH_TONES: Record<HealthStatus, Tone> = { ok: 'good', degraded: 'warn', failing: 'bad' };
