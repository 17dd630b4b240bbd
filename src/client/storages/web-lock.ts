/** A lock among the pages and workers of a browser, so that two programs never use one storage. */

/** What is needed of `navigator.locks`. */
export interface WebLocks {
  request(
    name: string,
    options: { ifAvailable: true },
    callback: (lock: unknown) => Promise<void> | undefined,
  ): Promise<unknown>;
}

/**
 * A lock that is not held yet.
 *
 * @param options `locks`: missing means those of the platform, where it has some (pages over TLS and workers do);
 *   undefined means that nothing is locked
 * @param place what each producer should have for itself, as in `a key`
 */
export function webLock(options: { locks?: WebLocks | undefined }, name: string, place: string) {
  const platform = globalThis as { navigator?: { locks?: WebLocks } };
  const locks = 'locks' in options ? options.locks : platform.navigator?.locks;
  let release: (() => void) | undefined;
  return {
    /** @throws an error with the code `storage_in_use` where another holds it */
    async acquire(): Promise<void> {
      if (!locks || release) return;
      await new Promise<void>((resolve, reject) => {
        locks
          .request(name, { ifAvailable: true }, (lock) => {
            if (lock === null) {
              const use = `give each a producer and ${place} that no other uses`;
              throw storageInUse(`Another page or worker uses it: ${use}`);
            }
            return new Promise<void>((done) => {
              release = done;
              resolve();
            });
          })
          .catch(reject);
      });
    },
    release(): void {
      release?.();
      release = undefined;
    },
  };
}

export function storageInUse(message: string): Error {
  return Object.assign(new Error(message), { code: 'storage_in_use' });
}
