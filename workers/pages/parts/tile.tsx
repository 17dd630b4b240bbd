/** A figure that matters, large, with a quiet label above and what it was lately below. */

import type { JSX } from 'preact';
import { Sparkline } from './sparkline.tsx';

export interface TileProps {
  label: string;
  figure: string;
  unit?: string;
  /** The figure to the digit, for those who hover. */
  exact?: string;
  note?: string;
  tone?: 'bad' | 'warn' | undefined;
  spark?: readonly (number | null)[] | undefined;
}

export function Tile({ label, figure, unit, exact, note, tone, spark }: TileProps): JSX.Element {
  return (
    <div class={`tile ${tone ?? ''}`}>
      <dt class="label">{label}</dt>
      <dd class="figure" title={exact}>
        {figure}
        {unit === undefined ? null : <span class="unit"> {unit}</span>}
      </dd>
      <dd class="note">{note}</dd>
      {spark === undefined ? null : (
        <dd>
          <Sparkline values={spark} />
        </dd>
      )}
    </div>
  );
}

export function Tiles({ children }: { children: JSX.Element[] }): JSX.Element {
  return <dl class="tiles">{children}</dl>;
}
