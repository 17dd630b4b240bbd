/** Prometheus' own tool, where it is: Debian's package `prometheus` has it, and `.ci/run` unpacks it below node_modules/.cache. */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { HANG_LIMIT_MS } from './patience.ts';

const UNPACKED = fileURLToPath(
  new URL('../../node_modules/.cache/prometheus/usr/bin/promtool', import.meta.url),
);

const promtool = ['promtool', UNPACKED].find((path) => spawnSync(path, ['--version']).status === 0);

/** Why its tests are skipped; undefined where it is there. */
export const missingPromtool =
  promtool === undefined
    ? 'promtool is not there: install the package prometheus, or unpack it to node_modules/.cache/prometheus'
    : undefined;

export interface PromtoolEnd {
  /** 0 where all is well. */
  status: number | null;
  output: string;
}

/** @param input what it reads from its standard input */
export function runPromtool(args: readonly string[], input = ''): PromtoolEnd {
  const { status, stdout, stderr } = spawnSync(promtool ?? 'promtool', args, {
    input,
    encoding: 'utf8',
    timeout: HANG_LIMIT_MS,
  });
  return { status, output: `${stdout}${stderr}` };
}
