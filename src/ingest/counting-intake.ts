/** An intake that only counts: the floor of the bench, which shows what the sockets alone can take. */

import { emptyFlusherStats } from './flusher-stats.ts';
import type { Intake, IntakeStats, Session } from './intake.ts';

export class CountingIntake implements Intake {
  readonly isBusy = false;
  readonly isWriting = false;
  readonly isStopped = false;
  readonly retryAtMs = 0;
  readonly fill = 0;
  #frames = 0;
  // One session for all sockets: it knows nothing of them.
  readonly #session: Session = {
    receive: () => {
      this.#frames += 1;
    },
    end() {},
    protocol: 'raw',
    memory: undefined,
    isWelcome: true,
  };

  openSession(): Session {
    return this.#session;
  }

  flush(): void {}

  flushSoon(): void {}

  async drained(): Promise<void> {}

  /** `received` counts frames here: nothing looks into them. */
  stats(): IntakeStats {
    return { ...emptyIntakeStats(), received: this.#frames };
  }
}

/** The figures of an intake that has seen nothing. */
export function emptyIntakeStats(): IntakeStats {
  return {
    ...emptyFlusherStats(),
    received: 0,
    recovered: 0,
    duplicate: 0,
    buffered: 0,
    bufferedBytes: 0,
    rewritten: 0,
    outboxBytes: 0,
    keptBytes: 0,
    spilled: 0,
    storageRowsWritten: 0,
    refused: {},
    restrained: 0,
    refusedConnections: 0,
    memoryRefused: 0,
    isolateBufferedBytes: 0,
    isolateLimitBytes: 0,
    isMemoryTight: false,
    deadLetters: 0,
    deadLettersFull: false,
    mappingChange: null,
    totals: null,
    latency: { count: 0, sum: 0, max: 0, indexes: [], counts: [] },
  };
}
