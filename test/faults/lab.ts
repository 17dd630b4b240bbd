/** Runs a scenario: fault, healing, backlog, verdict. */

import { errorText } from '../../src/core/errors.ts';
import { withTimeLimit } from '../../src/core/time-limit.ts';
import { HANG_LIMIT_MS } from '../support/patience.ts';
import { judge, type Verdict } from './judge.ts';
import { type Patience, Run } from './run.ts';
import type { Scenario } from './scenario.ts';
import type { World } from './world.ts';

/** A scenario that takes longer to do its worst hangs: some take minutes, and much more on a busy machine. */
const FAULT_LIMIT_MS = 3 * HANG_LIMIT_MS;

/** Every limit of a run is one for what hangs. */
const PATIENT: Patience = { standstillMs: HANG_LIMIT_MS, asleepMs: 30_000 };

export interface RunReport extends Verdict {
  seed: number;
  /** How often the fault happened. */
  strikes: number;
  /** From the end of the fault until every promise was kept; undefined where that never came. */
  recoveryMs: number | undefined;
  tookMs: number;
  /** Figures that the scenario has measured, in words. */
  measured?: string;
  /** The last lines of the Worker's console, of a run that failed. */
  console?: string[];
}

/** Runs a scenario once. Never rejects: what goes wrong is a failure of the run. */
export async function runOnce(
  world: World,
  scenario: Pick<
    Scenario,
    'options' | 'check' | 'epochsInterleave' | 'hasSink' | 'upsert' | 'copies' | 'run'
  >,
  seed: number,
  scale = 1,
  patience = PATIENT,
): Promise<RunReport> {
  const startMs = performance.now();
  let run: Run | undefined;
  let verdict: Verdict | undefined;
  let recoveryMs: number | undefined;
  const failures: string[] = [];
  try {
    run = await Run.open({ world, scenario, seed, scale });
    try {
      await withTimeLimit(scenario.run(run), FAULT_LIMIT_MS, 'the fault');
    } catch (error) {
      failures.push(`The fault could not be made: ${errorText(error)}`);
    }
    if (run.strikes === 0) failures.push('The fault never happened, so nothing is proved');
    await run.stopScraping();
    await world.heal();
    await run.shard.order({});
    const healedMs = performance.now();
    await run.finishLoad(patience);
    await run.drained(patience);
    recoveryMs = performance.now() - healedMs;
    verdict = judge(await run.evidence());
    failures.push(...run.notes);
  } catch (error) {
    failures.push(`The run broke off: ${errorText(error)}`);
  }
  try {
    await world.heal();
    await run?.close();
  } catch (error) {
    failures.push(`The run left something behind: ${errorText(error)}`);
  }
  failures.push(...(verdict?.failures ?? []));
  const report: RunReport = {
    ...(verdict ?? NOTHING_KNOWN),
    sent: run?.ledger.size ?? 0,
    seed,
    strikes: run?.strikes ?? 0,
    recoveryMs: failures.length === 0 ? recoveryMs : undefined,
    tookMs: performance.now() - startMs,
    failures,
    pass: failures.length === 0,
    ...(run?.measured === undefined ? {} : { measured: run.measured }),
  };
  return report.pass ? report : { ...report, console: world.console.slice(-20) };
}

const NOTHING_KNOWN: Verdict = {
  sent: 0,
  acked: 0,
  committed: 0,
  dead: 0,
  duplicate: 0,
  lost: 0,
  doubled: 0,
  altered: 0,
  outOfOrder: 0,
  pass: false,
  failures: [],
};
