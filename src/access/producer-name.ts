/** The names of producers that belong to a tenant. Names of clients and tenants have no `/`, so no two of them become one. */

/** The name by which shards and Postgres know a producer: `acme/device-7`, or `device-7` where there is no tenant. */
export function ownedName(tenant: string | undefined, producer: string): string {
  return tenant === undefined ? producer : `${tenant}/${producer}`;
}

/** The name that the client itself says. */
export function clientName(owned: string): string {
  return owned.slice(owned.indexOf('/') + 1);
}

/** The tenant that a producer belongs to; undefined where there is none. */
export function tenantOf(owned: string): string | undefined {
  const slash = owned.indexOf('/');
  return slash === -1 ? undefined : owned.slice(0, slash);
}
