/** The database of a developer's machine: one fixed address, whatever provides it. */
import { createServer } from 'node:net';
import path from 'node:path';
import { projectFolder } from '../project.ts';
import { IS_CHECKOUT } from '../repository.ts';
import { serverAccount } from './account.ts';
import { CREDENTIALS, placeData } from './data-directory.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded.ts';
import { probePostgres } from './probe.ts';

/** TCP port of the development database on 127.0.0.1, the same as in local/docker-compose.yml. */
export const DEVELOPMENT_PORT = 54320;

/** Address of the development database. */
export const DEVELOPMENT_URL = developmentUrl(DEVELOPMENT_PORT);

export interface DevelopmentPostgresOptions {
  /** Told in one sentence what happens. Silent by default. */
  onLog?: (message: string) => void;
  /** Another port than `DEVELOPMENT_PORT`, 1 to 65535. For tests. */
  port?: number;
  /** Another folder than `.sluice/postgres` of the project. For tests. */
  dataDirectory?: string;
  /**
   * Whether a Postgres at the address that is not ours is used. Default: in a checkout, whose docker-compose.yml may have
   * started it. An installed package would meet the database of another project there.
   */
  joinsOthers?: boolean;
}

export interface DevelopmentPostgres {
  /** Connection string with user, password and database; `DEVELOPMENT_URL` unless another program has the port. */
  url: string;
  port: number;
  /** True when somebody else runs the server (Docker Compose, another run of ours that is alive) and `stop` leaves
   * it alone. */
  shared: boolean;
  /** Stops the server if this call started it, or adopted it from a run that is gone. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Gives a Postgres at `DEVELOPMENT_URL`: the one that answers there already, or else the embedded one with
 * persistent data. If another program has the port, a free port is taken and `onLog` is told.
 *
 * @throws Error when Postgres does not start; see `startEmbeddedPostgres`.
 */
export async function startDevelopmentPostgres(
  options: DevelopmentPostgresOptions = {},
): Promise<DevelopmentPostgres> {
  const { onLog = () => {}, port = DEVELOPMENT_PORT, joinsOthers = IS_CHECKOUT } = options;
  const dataDirectory = options.dataDirectory ?? path.join(projectFolder(), '.sluice', 'postgres');
  for (let attempt = 1; ; attempt++) {
    const foreign = joinsOthers ? await foreignServer(port, dataDirectory) : undefined;
    if (foreign !== undefined) {
      onLog(`Using the Postgres that already runs on port ${port}`);
      return foreign;
    }
    const portIsFree = await isFree(port);
    try {
      // With port 0 our own server that has the port is joined or adopted as it is.
      const embedded = await startEmbeddedPostgres({ dataDirectory, port: portIsFree ? port : 0, onLog });
      if (embedded.port !== port) {
        onLog(`Another program has port ${port}, so Postgres listens on port ${embedded.port}`);
      }
      return owned(embedded);
    } catch (error) {
      // Somebody took the port while we started: look once more who it is.
      if (attempt > 1 || !portIsFree || (await isFree(port))) throw error;
    }
  }
}

/** A server with our credentials that is not in our data directory; ours goes through its owner's lock. */
async function foreignServer(port: number, dataDirectory: string): Promise<DevelopmentPostgres | undefined> {
  const url = developmentUrl(port);
  const probe = await probePostgres(url);
  if (probe.state !== 'answers') return undefined;
  const isOurs = probe.dataDirectory === (await placeData(dataDirectory, await serverAccount()));
  return isOurs ? undefined : { url, port, shared: true, stop: async () => {} };
}

function owned({ url, port, owned: isOwned, stop }: EmbeddedPostgres): DevelopmentPostgres {
  return { url, port, shared: !isOwned, stop };
}

function developmentUrl(port: number): string {
  return `postgres://${CREDENTIALS.user}:${CREDENTIALS.password}@127.0.0.1:${port}/${CREDENTIALS.database}`;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
