/** Progress on stderr: a bar that is redrawn on a terminal, plain lines elsewhere. */

import type { BenchProgress } from '../../run/runner.ts';

const BAR_CELLS = 24;
const REDRAW_MS = 100;

export interface ProgressOutput {
  isTTY?: boolean;
  write(text: string): unknown;
}

/** Makes the listener that the runner calls. `now` in ms. */
export function progressPrinter(
  output: ProgressOutput,
  now: () => number,
): (progress: BenchProgress) => void {
  let drawnAtMs = Number.NEGATIVE_INFINITY;
  return function printProgress({ variant, rep, reps, done, total, result }) {
    const label = `${variant.padEnd(13)} ${rep}/${reps}`;
    if (result !== undefined) {
      const clear = output.isTTY === true ? '\r\x1b[K' : '';
      const seconds = (result.elapsedMs / 1000).toFixed(2);
      output.write(
        `${clear}${label}  ${seconds} s  ${Math.round(result.perSecond).toLocaleString('en-US')}/s${auditText(result)}\n`,
      );
      drawnAtMs = Number.NEGATIVE_INFINITY;
      return;
    }
    // A bar is of no use in a file; there the line at the end of each repetition is enough.
    if (output.isTTY !== true || now() - drawnAtMs < REDRAW_MS) return;
    drawnAtMs = now();
    const cells = Math.round((done / total) * BAR_CELLS);
    const bar = '█'.repeat(cells) + '░'.repeat(BAR_CELLS - cells);
    output.write(
      `\r\x1b[K${label}  ${bar}  ${Math.round((done / total) * 100)}% ${done < total ? 'sent' : 'sent, flushing'}`,
    );
  };
}

function auditText({ audit }: NonNullable<BenchProgress['result']>): string {
  if (audit === null || (audit.lost === 0 && audit.duplicated === 0)) return '';
  return `  LOST ${audit.lost}, DOUBLED ${audit.duplicated}`;
}
