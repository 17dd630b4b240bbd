/** An intake that only counts: the floor of the bench, which shows what the sockets alone can take. */

import { emptyFlusherStats } from './flusher.ts';
import type { Intake, IntakeStats, Producer, Receipt } from './intake.ts';

const TAKEN: Receipt = { accepted: 0, errorFrame: undefined, isFull: false };

export class CountingIntake implements Intake {
  readonly isBusy = false;
  readonly isWriting = false;
  readonly fill = 0;
  #frames = 0;

  receive(_producer: Producer, _frame: string | ArrayBuffer, _nowMs: number): Receipt {
    this.#frames += 1;
    return TAKEN;
  }

  flush(): void {}

  async drained(): Promise<void> {}

  /** `received` counts frames here: nothing looks into them. */
  stats(): IntakeStats {
    return {
      received: this.#frames,
      buffered: 0,
      bufferedBytes: 0,
      refused: {},
      ...emptyFlusherStats(),
      latency: { count: 0, maxMs: 0, indexes: [], counts: [] },
    };
  }
}
