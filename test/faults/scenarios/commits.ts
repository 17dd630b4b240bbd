/** Commits whose outcome nobody hears of. */

import { POSTGRES_COMMIT } from '../fault-proxy.ts';
import type { Scenario } from '../scenario.ts';

const ambiguous: Scenario = {
  name: 'commit-ambiguous',
  title: 'Connection cut around COMMIT, its answer lost',
  longRuns: 30,
  async run(run) {
    const { toPostgres } = run.world;
    const before = toPostgres.stats.cuts;
    const wanted = run.times(10);
    run.load();
    while (toPostgres.stats.cuts - before < wanted) {
      const cut = toPostgres.next('cut');
      toPostgres.set({
        cutAfter: {
          ...POSTGRES_COMMIT,
          direction: 'upstream',
          when: run.random.chance(0.75) ? 'after' : 'before',
          occurrences: run.random.integer(1, 3),
          times: 1,
        },
      });
      await cut;
    }
    run.struck(toPostgres.stats.cuts - before);
  },
};

export const commitScenarios: readonly Scenario[] = [ambiguous];
