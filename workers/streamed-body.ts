/** Bodies of answers that are made while they are taken. */

const encoder = new TextEncoder();

/**
 * A body of pieces, each made when the reader has taken the ones before.
 *
 * @param onFailure told what the pieces have failed with: the answer has begun, and can only be cut off
 */
export function streamOf(
  pieces: AsyncIterable<string>,
  onFailure: (error: unknown) => void,
): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await iterator.next();
          if (done) controller.close();
          else controller.enqueue(encoder.encode(value));
        } catch (error) {
          onFailure(error);
          throw error;
        }
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}
