import type { ClientContext } from './context.ts';
import type { ClientEvent } from './events.ts';
import type { Intake } from './intake.ts';
import { SendWindow } from './send-window.ts';
import type { StoredBatch, StoredInstance } from './storage.ts';
import type { WindowStorage } from './window-storage.ts';

/** Messages that were set aside. */
export interface Doubt {
  window: SendWindow;
  first: number;
  count: number;
  texts: string[];
}

export interface RecoveryParts extends ClientContext {
  readonly intake: Intake;
  readonly keeper: WindowStorage;
  readonly link: { connect(): void };
  readonly ending: { endIfDone(): boolean };
}

/** What older instances have left in the storage: it is sent before anything new, or set aside. */
export function createRecovery(parts: RecoveryParts) {
  const { counts, emit, intake, keeper } = parts;
  /** Windows that are to be recovered, the oldest first. */
  const older: SendWindow[] = [];

  const self = {
    doubts: [] as readonly Doubt[],
    /** Whose messages go next; undefined where nothing is left. */
    get next(): SendWindow | undefined {
      return older[0];
    },

    /** Refused messages that are not acked yet. */
    get refusedCount(): number {
      return older.reduce((sum, { refusals }) => sum + refusals.size, 0);
    },

    /** Takes over what the storage has, and connects. */
    restore(found: readonly StoredInstance[]): void {
      for (const stored of found) {
        const window = new SendWindow(stored.instance, parts.buffer, true);
        window.restore(stored);
        counts.restored += window.restoredCount;
        keeper.keep(window);
        doubt(window, stored.inDoubt);
        if (window.cutBatches.amount > 0) older.push(window);
        else forgetSettled(window);
      }
      noteProgress();
      if (!parts.ending.endIfDone()) parts.link.connect();
    },

    /** What lies between `sure` and `stored` may be another's: it is kept, and goes out only if somebody decides so. */
    putAside(window: SendWindow, sure: number, stored: number): void {
      const batches = window.putAside(sure, stored);
      for (const { count } of batches) counts.setAside += count;
      doubt(window, batches);
    },

    /** Ends the recovery of an instance of which all is settled; false where something is left. */
    finish(window: SendWindow): boolean {
      if (window.cutBatches.amount > 0 || self.next !== window) return false;
      older.shift();
      const { instance, restoredCount: restored, refusedCount, isKnown, setAsideRun, missing } = window;
      const event: ClientEvent = {
        type: 'recovered',
        instance,
        messages: restored - (setAsideRun?.messages ?? 0),
        refused: refusedCount,
        known: isKnown,
      };
      if (setAsideRun) event.inDoubt = setAsideRun;
      if (missing) event.missing = missing;
      emit(event);
      forgetSettled(window);
      noteProgress();
      return true;
    },

    /** Forgets messages in doubt. */
    dropDoubts(doubts: readonly Doubt[]): void {
      self.doubts = self.doubts.filter((doubt) => !doubts.includes(doubt));
      for (const { window, first, count } of doubts) window.discards.push({ first, last: first + count - 1 });
      for (const { window } of doubts) forgetSettled(window);
    },
  };

  function doubt(window: SendWindow, batches: readonly StoredBatch[]): void {
    const doubts = batches.map(({ first, count, text }) => ({
      window,
      first,
      count,
      texts: text.split('\n'),
    }));
    self.doubts = [...self.doubts, ...doubts];
  }

  /** Has the storage forget an instance of which nothing is left. */
  function forgetSettled(window: SendWindow): void {
    if (!older.includes(window) && !self.doubts.some((doubt) => doubt.window === window))
      window.isForgotten = true;
    keeper.run();
  }

  function noteProgress(): void {
    intake.isRecovered = self.next === undefined;
    intake.settle();
  }

  return self;
}

export type Recovery = ReturnType<typeof createRecovery>;
