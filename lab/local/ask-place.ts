/** A place of the Worker, as the command line's bench sees it. */

import { SluiceError } from '../../src/core/errors.ts';
import type { AskPlace } from '../steps/remote-bench.ts';

/** @param path where the Worker takes the steps of the suite, such as `/bench/store` */
export function askWorker<Order>(workerUrl: URL, path: string): AskPlace<Order> {
  return async function ask(place, step, order) {
    const url = new URL(path, workerUrl);
    url.searchParams.set('place', place);
    url.searchParams.set('step', step);
    const response = await fetch(url, { method: 'POST', body: JSON.stringify(order) });
    if (!response.ok) {
      const text = (await response.text()).slice(0, 200);
      throw new SluiceError('internal', `The Worker could not ${step} the bench: ${response.status} ${text}`);
    }
    return response.json();
  };
}
