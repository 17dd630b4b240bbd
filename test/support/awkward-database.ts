/** A database, a role and a password whose names hold everything that programs read differently. */

import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, inject } from 'vitest';
import { quoteName } from '../../src/core/sql-text.ts';
import { formatAddress, parseAddress } from '../../src/database/address.ts';
import type { Connection } from '../../src/database/connection.ts';
import { rowsOf } from './connect.ts';
import { openConnection } from './open-connection.ts';

const MARKS = '$me\'x"y\\z #%40?/@:&+ü';

export interface AwkwardDatabase {
  readonly name: string;
  readonly role: string;
  readonly password: string;
  /** Its address, with its own schema as the search path. */
  readonly url: string;
  /** The database whose name ends at the `$`: what goes wrong lands there. */
  readonly shortName: string;
}

/** Asks a session where it is. */
export const WHERE_AM_I =
  "select current_database() as database, current_user as role, current_setting('search_path') as path, current_setting('application_name') as application, current_setting('client_encoding') as encoding";

/** To be called where tests are collected. */
export function awkwardDatabase(): AwkwardDatabase {
  const server = inject('databaseUrl');
  const shortName = `awkward_${randomBytes(4).toString('hex')}`;
  const name = shortName + MARKS;
  const role = `role_${shortName}${MARKS}`;
  const password = `word_${randomBytes(4).toString('hex')}${MARKS}`;
  let admin: Connection;
  beforeAll(async () => {
    admin = await openConnection({ url: server, driver: 'tcp' });
    await rowsOf(admin, `create role ${quoteName(role)} login password ${quoteText(password)}`);
    await rowsOf(admin, `create database ${quoteName(name)} owner ${quoteName(role)}`);
    await rowsOf(admin, `create database ${shortName} owner ${quoteName(role)}`);
    const inside = await openConnection({
      url: formatAddress({ ...parseAddress(server), database: name }),
      driver: 'tcp',
    });
    await rowsOf(inside, `create schema sales authorization ${quoteName(role)}`);
    inside.close();
  });
  afterAll(async () => {
    await rowsOf(admin, `drop database ${quoteName(name)} with (force)`);
    await rowsOf(admin, `drop database ${shortName} with (force)`);
    await rowsOf(admin, `drop role ${quoteName(role)}`);
    admin.close();
  });
  const url = formatAddress({
    ...parseAddress(server),
    user: role,
    password,
    database: name,
    options: '-c search_path=sales',
    applicationName: 'awkward',
  });
  return { name, role, password, url, shortName };
}

function quoteText(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}
