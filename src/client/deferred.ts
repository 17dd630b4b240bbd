/** A promise and what settles it (`Promise.withResolvers` is missing in Node 20 and Safari 16). */
export interface Deferred<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

export function defer<T>(): Deferred<T> {
  const deferred = {} as Deferred<T>;
  deferred.promise = new Promise<T>((resolve, reject) => {
    Object.assign(deferred, { resolve, reject });
  });
  return deferred;
}
