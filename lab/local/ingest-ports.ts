/** The suite `ingest` from the command line: sockets from this process, the Worker over HTTP. */

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SluiceError } from '../../src/core/errors.ts';
import type { ConnectionSlot } from '../../src/database/connection-slot.ts';
import type { IntakeStats } from '../../src/ingest/intake.ts';
import { poll } from '../measure/poll.ts';
import type { BenchTarget, IngestPorts } from '../suites/ingest/load.ts';
import { benchProducer } from '../suites/ingest/payload.ts';
import { generateLoad } from './load-generator.ts';

/** How often the shards are asked what they have committed: each question goes to all of them. */
const LOOK_EVERY_MS = 500;

export function localIngestPorts(workerUrl: URL, slot: ConnectionSlot): IngestPorts {
  return {
    slot,
    load: (order, onSent) =>
      generateLoad(
        order,
        (client) => socketUrl(workerUrl, order.target, benchProducer(order.target.run, client)),
        onSent,
      ),
    async drain(target) {
      const url = withTarget(new URL('/bench/drain', workerUrl), target);
      const response = await fetch(url, { method: 'POST' });
      if (!response.ok) {
        throw new SluiceError(
          'internal',
          `The Worker could not drain its shards: ${response.status} ${(await response.text()).slice(0, 200)}`,
        );
      }
      return (await response.json()) as IntakeStats[];
    },
    watchCommitted: (target, onCommitted) =>
      poll(
        async () => {
          const response = await fetch(withTarget(new URL('/bench/stats', workerUrl), target));
          const shards = (await response.json()) as IntakeStats[];
          return shards.reduce((sum, { committed }) => sum + committed, 0);
        },
        onCommitted,
        { everyMs: LOOK_EVERY_MS, wait: (ms) => sleep(ms, undefined, { ref: false }) },
      ),
    now: () => performance.now(),
    randomId: () => randomBytes(4).toString('hex'),
  };
}

function socketUrl(workerUrl: URL, target: BenchTarget, producer: string): URL {
  const url = withTarget(new URL('/bench/ws', workerUrl), target);
  url.protocol = 'ws:';
  url.searchParams.set('producer', producer);
  return url;
}

function withTarget(url: URL, target: BenchTarget): URL {
  url.searchParams.set('target', JSON.stringify(target));
  return url;
}
