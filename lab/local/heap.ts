/** The heap of this process, as V8 tells it. */

import { Session } from 'node:inspector';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { HeapMeter } from '../jobs/heap-meter.ts';

/** One allocation is looked at about every so many bytes: a megabyte is known to about 6 %, ten to 2 %. */
const SAMPLE_EVERY_BYTES = 4_096;

interface SampledNode {
  selfSize: number;
  children: SampledNode[];
}

export function nodeHeap(): HeapMeter {
  // V8 looks at the flag when a context is made, so the function is to be had without starting Node with it.
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  return {
    async allocatedBy(work) {
      const session = new Session();
      session.connect();
      try {
        session.post('HeapProfiler.startSampling', {
          samplingInterval: SAMPLE_EVERY_BYTES,
          // Otherwise only what is still there at the end would count.
          includeObjectsCollectedByMajorGC: true,
          includeObjectsCollectedByMinorGC: true,
        });
        await work();
        let bytes = 0;
        session.post('HeapProfiler.stopSampling', (error, result) => {
          if (error !== null) throw error;
          bytes = sizeOf(result.profile.head);
        });
        return bytes;
      } finally {
        session.disconnect();
      }
    },
    usedBytes() {
      collect();
      return getHeapStatistics().used_heap_size;
    },
  };
}

function sizeOf({ selfSize, children }: SampledNode): number {
  return children.reduce((sum, child) => sum + sizeOf(child), selfSize);
}
