/** A lock among the pages and workers of a browser, so that two programs never use one storage. */

/** What is needed of `navigator.locks`. */
export interface WebLocks {
  request(
    name: string,
    options: { ifAvailable: true },
    callback: (lock: unknown) => Promise<void> | undefined,
  ): Promise<unknown>;
}

/** The platform's locks, where it has some: pages over TLS and workers do. */
export function platformLocks(): WebLocks | undefined {
  return (globalThis as { navigator?: { locks?: WebLocks } }).navigator?.locks;
}

/**
 * Takes the lock of a name, and returns what releases it.
 *
 * @param locks undefined: there are none, and nothing is locked
 * @param place what each producer should have for itself, as in `a key`
 * @throws an error with the code `storage_in_use` where it is taken
 */
export async function takeWebLock(
  locks: WebLocks | undefined,
  name: string,
  place: string,
): Promise<() => void> {
  if (locks === undefined) return () => undefined;
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const isTaken = await new Promise<boolean>((resolve, reject) => {
    locks
      .request(name, { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock === null ? undefined : held;
      })
      .catch(reject);
  });
  if (isTaken) return release;
  throw Object.assign(
    new Error(`Another page or worker uses it: give each a producer and ${place} that no other uses`),
    {
      code: 'storage_in_use',
    },
  );
}
