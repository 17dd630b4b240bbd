/** node-postgres, told by the address alone: what the environment's variables say is shut out. */

import pg from 'pg';
import { parseAddress } from './address.ts';
import { clientConfig, shutOutEnvironment } from './client-config.ts';

/**
 * A client of node-postgres for an address, to be connected by the caller.
 *
 * @throws SluiceError `invalid_options` for an address that is refused
 */
export class PgClient extends pg.Client {
  constructor(url: string, options: Omit<pg.ClientConfig, 'connectionString'> = {}) {
    const address = parseAddress(url);
    super({ ...options, ...clientConfig(address) });
    shutOutEnvironment(this, address);
  }
}

/** A pool of them. */
export function pgPool(url: string, options: Omit<pg.PoolConfig, 'connectionString'>): pg.Pool {
  class Client extends PgClient {
    constructor(config: pg.ClientConfig) {
      super(url, config);
    }
  }
  return new pg.Pool({ ...options, Client: Client as unknown as new () => pg.ClientBase });
}
