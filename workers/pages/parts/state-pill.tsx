/** A state as a shape, a word and a colour, so that none of them is needed to read it. */

import type { JSX } from 'preact';

export type Tone = 'good' | 'warn' | 'bad' | 'quiet';

/** Shapes of 12 × 12 that differ where colours do not. */
const SHAPES: Record<Tone, string> = {
  good: 'M6 1a5 5 0 1 1 0 10A5 5 0 0 1 6 1Z',
  warn: 'M6 1 11.5 11H.5Z',
  bad: 'M1 1h10v10H1Z',
  quiet: 'M6 1a5 5 0 1 1 0 10A5 5 0 0 1 6 1Zm0 1.6a3.4 3.4 0 1 0 0 6.8 3.4 3.4 0 0 0 0-6.8Z',
};

export interface PillProps {
  tone: Tone;
  word: string;
  /** What stands there when somebody hovers: since when, for example. */
  title?: string;
}

export function StatePill({ tone, word, title }: PillProps): JSX.Element {
  return (
    <span class={`pill ${tone}`} title={title}>
      <svg viewBox="0 0 12 12" aria-hidden="true">
        <path d={SHAPES[tone]} />
      </svg>
      <b>{word}</b>
    </span>
  );
}
