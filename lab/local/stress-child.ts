/**
 * A process that runs phases of the suite `stress` and ends: its memory is theirs alone. Jobs come as one JSON text on
 * stdin, answers go as one line of JSON each to stdout.
 */

import { getHeapStatistics } from 'node:v8';
import * as zlib from 'node:zlib';
import { openConnection } from '../../src/database/connection.ts';
import type { DatabaseTarget } from '../../src/database/target.ts';
import { warmUpCodec } from '../suites/stress/payload-format.ts';
import { type MemoryGauge, type PhaseJob, runPhase } from '../suites/stress/phase.ts';
import { zstdOf } from '../suites/stress/zstd.ts';

/** What the process is told. The target holds a password: it comes on stdin, where no other process sees it. */
export interface StressAssignment {
  target: DatabaseTarget;
  jobs: PhaseJob[];
}

/** How often the memory is looked at between the looks of the phases themselves. */
const SAMPLE_MS = 5;

class ProcessGauge implements MemoryGauge {
  #beganBytes = 0;
  #peakBytes = 0;
  #beganRssBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  begin(): void {
    // With --expose-gc: what the start of the process left behind is not the phase's.
    globalThis.gc?.();
    this.#beganBytes = allocatedBytes();
    this.#peakBytes = this.#beganBytes;
    this.#beganRssBytes = highWaterBytes();
    this.#timer = setInterval(() => this.sample(), SAMPLE_MS);
  }

  sample(): void {
    this.#peakBytes = Math.max(this.#peakBytes, allocatedBytes());
  }

  end(): { peakAllocBytes: number; rssDeltaBytes: number } {
    clearInterval(this.#timer);
    this.sample();
    return {
      peakAllocBytes: this.#peakBytes - this.#beganBytes,
      rssDeltaBytes: Math.max(0, highWaterBytes() - this.#beganRssBytes),
    };
  }
}

/** Objects on V8's heap, and the buffers that they hold outside it. */
function allocatedBytes(): number {
  const { used_heap_size: heap, external_memory: buffers } = getHeapStatistics();
  return heap + buffers;
}

/** The most that was ever resident. Node tells it in KiB on every platform. */
function highWaterBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}

async function readAssignment(): Promise<StressAssignment> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk;
  return JSON.parse(text) as StressAssignment;
}

const { target, jobs } = await readAssignment();
const zstd = zstdOf(zlib);
const [first] = jobs;
// Without zstd it fails, and so does the phase, which says so.
if (first !== undefined) await warmUpCodec(first.format, { zstd, sampleMemory() {} }).catch(() => {});
for (const job of jobs) {
  const answer = await runPhase(job, {
    open: () => openConnection(target),
    zstd,
    memory: new ProcessGauge(),
    now: () => performance.now(),
  });
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
