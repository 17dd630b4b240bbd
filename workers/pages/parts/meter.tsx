/** How full something is, as a bar. The figure stands beside it, so the bar is not read out. */

import type { JSX } from 'preact';

export function Meter({ share }: { share: number }): JSX.Element {
  const width = Math.max(0, Math.min(1, share)) * 100;
  return (
    <span class="meter" aria-hidden="true">
      <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
        <rect width={width} height="10" />
      </svg>
    </span>
  );
}
