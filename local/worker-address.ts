/** Addresses of a Worker's routes. */

/**
 * The address of a route of a Worker, whose router may be mounted below a path: `/health` of `https://app.example/sluice` is
 * `https://app.example/sluice/health`.
 *
 * @param worker the Worker's address; a query in it is left out
 * @param path begins with a slash
 */
export function routeOf(worker: URL, path: string): URL {
  const base = new URL(worker);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return new URL(`.${path}`, base);
}
