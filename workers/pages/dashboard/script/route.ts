/** Which part of the page is shown: the fragment of the address, so that it can be kept and sent, and the way back works. */

export type Route =
  | { page: 'overview' }
  | { page: 'alerts' }
  | { page: 'sink'; sink: string }
  | { page: 'shard'; sink: string; shard: number };

/** What a fragment names; the overview where it names nothing. */
export function readRoute(fragment: string): Route {
  const [kind, name, number] = fragment.replace(/^#?\/?/, '').split('/');
  if (kind === 'alerts') return { page: 'alerts' };
  const sink = kind === 'sinks' ? decoded(name) : undefined;
  if (sink === undefined) return { page: 'overview' };
  if (number !== undefined && /^\d+$/.test(number)) return { page: 'shard', sink, shard: Number(number) };
  return { page: 'sink', sink };
}

function decoded(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** The fragment of a sink, or of one of its shards. */
export function linkTo(sink: string, shard?: number | null): string {
  const link = `#/sinks/${encodeURIComponent(sink)}`;
  return shard === undefined || shard === null ? link : `${link}/${shard}`;
}
