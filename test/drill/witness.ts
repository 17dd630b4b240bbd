/** Those who should say that something is wrong, each looked at a few times a second by what a person would look at. */

import { setTimeout as delay } from 'node:timers/promises';

/** What somebody said, and when. */
export interface Statement<Said> {
  atMs: number;
  said: Said;
}

const LOOK_EVERY_MS = 200;

/** Statements that are kept. */
const KEPT = 20_000;

/** Somebody who says things, one after the other. */
export class Witness<Said> {
  /** As in the table: `health`, `metrics`, … */
  readonly name: string;
  readonly #statements: Statement<Said>[] = [];
  #isOver = false;
  #looking: Promise<void> = Promise.resolve();

  constructor(name: string) {
    this.name = name;
  }

  /** Notes what was said now. */
  note(said: Said, atMs = Date.now()): void {
    this.#statements.push({ atMs, said });
    if (this.#statements.length > KEPT) this.#statements.shift();
  }

  /** Asks again and again; what cannot be asked says nothing. */
  look(ask: () => Promise<Said>): void {
    const loop = async (): Promise<void> => {
      while (!this.#isOver) {
        await ask().then(
          (said) => this.note(said),
          () => {},
        );
        await delay(LOOK_EVERY_MS);
      }
    };
    this.#looking = loop();
  }

  /** When it first said something that is meant, from `sinceMs` on; undefined where it has not yet. */
  firstAtMs(sinceMs: number, isMeant: (said: Said) => boolean): number | undefined {
    return this.#statements.find(({ atMs, said }) => atMs >= sinceMs && isMeant(said))?.atMs;
  }

  /** True where all that it said in this time is meant, and it said something. */
  always(fromMs: number, toMs: number, isMeant: (said: Said) => boolean): boolean {
    const said = this.#statements.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
    return said.length > 0 && said.every((one) => isMeant(one.said));
  }

  /** All that it said, oldest first. */
  get all(): readonly Statement<Said>[] {
    return this.#statements;
  }

  /** What it said last. */
  get latest(): Said | undefined {
    return this.#statements.at(-1)?.said;
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#looking;
  }
}
