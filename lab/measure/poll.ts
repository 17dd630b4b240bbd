/** Asks something again and again beside other work. */

/**
 * Asks every `everyMs` until the returned function is called, each time after the answer before. A question that fails
 * ends the asking: what is asked is gone, which the work beside it tells by itself.
 *
 * @param wait resolves after that many milliseconds
 */
export function poll<Answer>(
  ask: () => Promise<Answer>,
  onAnswer: (answer: Answer) => void,
  { everyMs, wait }: { everyMs: number; wait: (ms: number) => Promise<unknown> },
): () => void {
  let isStopped = false;
  const asking = async (): Promise<void> => {
    for (;;) {
      await wait(everyMs);
      if (isStopped) return;
      const answer = await ask();
      if (isStopped) return;
      onAnswer(answer);
    }
  };
  asking().catch(() => {});
  return () => {
    isStopped = true;
  };
}
