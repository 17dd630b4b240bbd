/** Variables of the environment that Postgres's own programs read, and Sluice does not. */

/** PostgreSQL documentation, "Environment Variables" of libpq; the last three are node-postgres's. */
const POSTGRES_VARIABLES =
  /^PG(HOST|HOSTADDR|PORT|DATABASE|USER|PASSWORD|PASSFILE|REQUIREAUTH|CHANNELBINDING|SERVICE|SERVICEFILE|OPTIONS|APPNAME|SSL[A-Z]+|REQUIRESSL|REQUIREPEER|GSS[A-Z]+|KRBSRVNAME|CONNECT_TIMEOUT|CLIENTENCODING|TARGETSESSIONATTRS|LOADBALANCEHOSTS|MINPROTOCOLVERSION|MAXPROTOCOLVERSION|DATESTYLE|TZ|GEQO|SYSCONFDIR|LOCALEDIR|REPLICATION|BINARY|CLIENT_ENCODING)$/;

/**
 * One sentence about variables that are set and do nothing here; undefined where there are none. They are not read because
 * the Worker has no such variables once it is deployed: it would use another database than `migrate` did.
 */
export function unreadVariablesText(environment: NodeJS.ProcessEnv): string | undefined {
  const names = Object.keys(environment).filter(
    (name) => POSTGRES_VARIABLES.test(name) && environment[name] !== '',
  );
  if (names.length === 0) return undefined;
  return `Not read: ${names.toSorted().join(', ')}. Sluice takes everything about the database from DATABASE_URL, as a deployed Worker does`;
}
