/** The suite `stress` from the command line: each phase in a separate process, so that its memory can be told. */

import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { SOURCE_ENDING } from '../../local/repository.ts';
import type { ConnectionSlot } from '../../src/database/connection-slot.ts';
import type { DatabaseTarget } from '../../src/database/target.ts';
import type { PhaseAnswer, PhaseJob } from '../suites/stress/phase.ts';
import type { PhaseOutcome, StressPorts } from '../suites/stress/stress-host.ts';
import type { StressAssignment } from './stress-child.ts';

const CHILD = fileURLToPath(new URL(`stress-child${SOURCE_ENDING}`, import.meta.url));
/** Longer than any record takes that Postgres can hold; what is slower hangs. */
const PROCESS_LIMIT_MS = 1_800_000;
/** What is kept of what a process writes to stderr: enough for the last words of V8. */
const STDERR_CHARACTERS = 4_000;

export interface LocalStressOptions {
  target: DatabaseTarget;
  slot: ConnectionSlot;
  /** Memory of V8's old objects in each process, in MiB. Default: Node's own, which depends on the machine. */
  heapLimitMiB?: number;
}

export function localStressPorts({ target, slot, heapLimitMiB }: LocalStressOptions): StressPorts {
  const running = new Set<ChildProcess>();
  return {
    slot,
    async run(jobs) {
      const limit = heapLimitMiB === undefined ? [] : [`--max-old-space-size=${heapLimitMiB}`];
      const child = spawn(process.execPath, ['--expose-gc', '--no-warnings', ...limit, CHILD], {
        stdio: ['pipe', 'pipe', 'pipe'],
        timeout: PROCESS_LIMIT_MS,
        killSignal: 'SIGKILL',
      });
      running.add(child);
      try {
        return await outcomesOf(child, { target, jobs: [...jobs] });
      } finally {
        running.delete(child);
      }
    },
    async close() {
      for (const child of running) child.kill('SIGKILL');
    },
  };
}

function outcomesOf(child: ChildProcess, assignment: StressAssignment): Promise<PhaseOutcome[]> {
  let out = '';
  let complaint = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-STDERR_CHARACTERS);
  });
  // A process that ends at once has no use for what it is told; how it ended says why.
  child.stdin?.on('error', () => {});
  child.stdin?.end(JSON.stringify(assignment));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode, signal) => {
      const lines = out.split('\n').slice(0, -1);
      const ended = endText(exitCode, signal, complaint);
      resolve(
        assignment.jobs.map((_: PhaseJob, index) => {
          const line = lines[index];
          return line === undefined ? { ended } : { answer: JSON.parse(line) as PhaseAnswer };
        }),
      );
    });
  });
}

/** V8's last words before it ends a process whose heap is full. */
const OUT_OF_MEMORY = /heap out of memory|Allocation failed/i;

function endText(exitCode: number | null, signal: string | null, complaint: string): string {
  if (OUT_OF_MEMORY.test(complaint))
    return 'out of memory: the process of this iteration could not hold the record';
  if (signal === 'SIGKILL') {
    return `the process of this iteration was killed: by the system for its memory, or after ${PROCESS_LIMIT_MS / 60_000} minutes`;
  }
  const words = complaint.trim().split('\n').at(-1) ?? '';
  return `the process of this iteration ended with ${signal ?? `exit code ${exitCode}`}${words === '' ? '' : `: ${words}`}`;
}
