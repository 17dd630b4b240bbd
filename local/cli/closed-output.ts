/** What a command does when the reader of its output has gone, as in `… list | head`. */

let isClosed = false;

/**
 * From now on an output that nobody reads any more is no error: what is written to it is dropped, and the command goes
 * on to its end, because it may have tables to drop and servers to stop.
 */
export function tolerateClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (!isOfClosedOutput(error)) throw error;
      isClosed = true;
    });
  }
}

/** Whether an error only says that the reader of the output has gone. */
export function isOnlyClosedOutput(error: unknown): boolean {
  for (let reason = error; reason instanceof Error; reason = reason.cause)
    if (isClosed && isOfClosedOutput(reason)) return true;
  return false;
}

function isOfClosedOutput({ code }: NodeJS.ErrnoException): boolean {
  return code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED' || code === 'ERR_STREAM_PREMATURE_CLOSE';
}
