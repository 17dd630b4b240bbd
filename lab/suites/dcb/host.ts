/** The suite `dcb` as something that runs. */

import { JobHost, type JobPorts } from '../../jobs/job-host.ts';
import { type DcbJob, eventsPerAttempt } from './job.ts';
import type { DcbParameters } from './parameters.ts';
import { dcbSuite } from './suite.ts';
import { dcbJobOf } from './variants.ts';

/** Attempts of each variant before anything is measured: enough for the compiler to have seen all of the code. */
const WARM_UP_ATTEMPTS = 100;
const WARM_UP_EVENTS = 1_000;
const MIB = 1024 * 1024;

/** @param seed draws the data sets and what is read of them */
export function dcbHost(ports: JobPorts<DcbJob>, parameters: DcbParameters, seed: number): JobHost<DcbJob> {
  return new JobHost(ports, {
    jobOf: (variant) => dcbJobOf(variant, parameters, seed),
    // On the smallest set.
    warmUpJobs: () =>
      dcbSuite.variants(parameters).map((variant): DcbJob => {
        const job = dcbJobOf(variant, parameters, seed);
        const perAttempt = Math.max(1, eventsPerAttempt(job.operation));
        const operations = Math.min(job.operations, WARM_UP_ATTEMPTS, Math.ceil(WARM_UP_EVENTS / perAttempt));
        return { ...job, set: 'tiny', operations };
      }),
    onServer: ['postgres', 'object'],
    metrics: (_job, { wins, conflicts, heapBytesPerOperation, peakHeapBytes }) => ({
      wins,
      conflicts,
      heapBytesPerOperation,
      peakHeapMiB: peakHeapBytes === null ? null : peakHeapBytes / MIB,
    }),
  });
}
