/** Asks whether a Postgres answers at an address with given credentials. */
import { PgClient } from '../../src/database/client.ts';

/** The answer of a probe. */
export type Probe =
  /** It answers. `dataDirectory` is missing when the user may not see it. */
  | { state: 'answers'; dataDirectory?: string }
  /** A Postgres is there, and is starting up, recovering or shutting down. */
  | { state: 'busy' }
  /** Nothing is there, or something that is not ours; `reason` says what the connection attempt said. */
  | { state: 'fails'; reason: string };

/** Connects to `url` and asks one question. Bounded to a few seconds; never rejects. */
export async function probePostgres(url: string): Promise<Probe> {
  const client = new PgClient(url, { connectionTimeoutMillis: 3000, query_timeout: 3000 });
  // A connection that breaks while nobody awaits it must not end the process.
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ directory: string | null }>(
      "SELECT CASE WHEN pg_has_role('pg_read_all_settings', 'usage') THEN current_setting('data_directory') END AS directory",
    );
    const directory = rows[0]?.directory;
    return directory ? { state: 'answers', dataDirectory: directory } : { state: 'answers' };
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    // 57P03 cannot_connect_now
    if (code === '57P03') return { state: 'busy' };
    return { state: 'fails', reason: message || code || 'no reason given' };
  } finally {
    await client.end().catch(() => {});
  }
}
