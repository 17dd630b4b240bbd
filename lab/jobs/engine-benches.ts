/** The benches of a run, one for each engine, opened when the first job for it comes. */

export class EngineBenches<Engine, Bench extends { close(): Promise<void> }> {
  readonly #open: (engine: Engine) => Promise<Bench>;
  readonly #benches = new Map<Engine, Promise<Bench>>();

  constructor(open: (engine: Engine) => Promise<Bench>) {
    this.#open = open;
  }

  of(engine: Engine): Promise<Bench> {
    const known = this.#benches.get(engine);
    if (known !== undefined) return known;
    const opened = this.#open(engine);
    // Callers that wait for it are told; without this, a failure that nobody waits for yet would end the process.
    opened.catch(() => {});
    this.#benches.set(engine, opened);
    return opened;
  }

  /** Closes all of them: one that fails keeps no other from being closed. @throws what the first that failed threw */
  async close(): Promise<void> {
    const benches = [...this.#benches.values()];
    this.#benches.clear();
    const ends = await Promise.allSettled(benches.map(async (bench) => (await bench).close()));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }
}
