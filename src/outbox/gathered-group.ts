/** The messages of a lane that will be its next group. They are not durable yet. */

import { RUN_CHARACTERS } from './group.ts';
import type { Chunk, Producer, Run } from './producer.ts';

export class GatheredGroup {
  #runs: Run[] = [];
  #rows = 0;
  #characters = 0;

  get rows(): number {
    return this.#rows;
  }

  /** How much text its row will hold at the most. */
  get characters(): number {
    return this.#characters;
  }

  /** Adds messages with sequences that follow each other. */
  add(producer: Producer, firstSequence: number, chunk: Chunk, receivedAtMs: number): void {
    const { payloads, text } = chunk;
    const rows = payloads.length;
    const run = this.#runOf(producer, firstSequence, receivedAtMs);
    run.singles = undefined;
    run.chunks.push(chunk);
    run.rows += rows;
    this.#rows += rows;
    this.#characters += text === undefined ? charactersOf(payloads) : text.length + 1;
  }

  /** The same for one message, without an object and two arrays for each. */
  addOne(
    producer: Producer,
    sequence: number,
    payload: string,
    isPlain: boolean,
    receivedAtMs: number,
  ): void {
    const run = this.#runOf(producer, sequence, receivedAtMs);
    if (run.singles === undefined) {
      run.singles = { payloads: [payload], plain: [isPlain], text: undefined };
      run.chunks.push(run.singles);
    } else {
      run.singles.payloads.push(payload);
      run.singles.plain.push(isPlain);
    }
    run.rows += 1;
    this.#rows += 1;
    this.#characters += payload.length + 1;
  }

  // The run that a message continues, or a new one.
  #runOf(producer: Producer, firstSequence: number, receivedAtMs: number): Run {
    const { epoch, run } = producer;
    if (run !== undefined && run.epoch === epoch && run.firstSequence + run.rows === firstSequence)
      return run;
    const begun: Run = {
      producer,
      epoch,
      firstSequence,
      receivedAtMs,
      chunks: [],
      singles: undefined,
      rows: 0,
    };
    producer.run = begun;
    this.#runs.push(begun);
    this.#characters += RUN_CHARACTERS + producer.name.length;
    return begun;
  }

  /** What the group holds. */
  get runs(): readonly Run[] {
    return this.#runs;
  }

  /** It is stored: the next one begins. */
  clear(): void {
    this.#runs = [];
    this.#rows = 0;
    this.#characters = 0;
  }
}

// As in a text: each with a newline.
function charactersOf(payloads: readonly string[]): number {
  let characters = payloads.length;
  for (const payload of payloads) characters += payload.length;
  return characters;
}
