/** The suite `store` as something that runs. */

import { JobHost, type JobPorts } from '../../jobs/job-host.ts';
import { messagesPerOperation, type StoreJob } from './job.ts';
import type { StoreParameters } from './parameters.ts';
import { storeSuite } from './suite.ts';
import { storeJobOf } from './variants.ts';

/** Operations of each variant before anything is measured: enough for the compiler to have seen all of the code. */
const WARM_UP_OPERATIONS = 500;
const WARM_UP_MESSAGES = 5_000;

export function storeHost(ports: JobPorts<StoreJob>, parameters: StoreParameters): JobHost<StoreJob> {
  return new JobHost(ports, {
    jobOf: (variant) => storeJobOf(variant, parameters),
    warmUpJobs: () =>
      storeSuite
        .variants(parameters)
        .map((variant) => storeJobOf(variant, parameters))
        // The big category runs the code of the small one, and is prepared for the first repetition that needs it.
        .filter(({ operation }) => operation !== 'category-big')
        .map((job) => ({
          ...job,
          operations: Math.min(
            job.operations,
            WARM_UP_OPERATIONS,
            Math.ceil(WARM_UP_MESSAGES / messagesPerOperation(job.operation)),
          ),
        })),
    onServer: ['postgres'],
    metrics: ({ operation }, _run, preparedSeconds) => ({
      preparedSeconds: operation === 'category-big' ? preparedSeconds : null,
    }),
  });
}
