/**
 * Addresses of databases, by our own rules: `docs/database-addresses.md` has the table.
 *
 * The programs that take such an address read it differently: libpq, node-postgres, Neon's driver and the URL parsers
 * below them disagree about `$` and `%` in names, about `?user=`, about `sslmode`. An address that goes through two of
 * them may mean two databases. So it is read here, once, and drivers get its parts. What a Worker cannot do is refused
 * everywhere, with the reason: otherwise `migrate` would reach a database that the Worker does not.
 */

import { SluiceError } from '../core/errors.ts';

/** What an address means. */
export interface DatabaseAddress {
  readonly user: string;
  /** None: the server asks for none. It is not looked for elsewhere, such as in PGPASSWORD. */
  readonly password: string | undefined;
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** TLS, and then always with a look at the certificate and the host's name in it. */
  readonly tls: boolean;
  /** Settings for the session, as in `-c search_path=app`. */
  readonly options: string | undefined;
  readonly applicationName: string | undefined;
}

export const DEFAULT_PORT = 5432;
const FORM = 'postgres://user:password@host:port/database';
const ENCODED = '@ is written %40, : %3A, / %2F, ? %3F, # %23, % %25';

/**
 * Reads an address. Blanks around it and one pair of quotes are taken off.
 *
 * @throws SluiceError `invalid_options`, which says what is wrong and never repeats what may be a password
 */
export function parseAddress(given: string): DatabaseAddress {
  const text = unquoted(given);
  const rest = withoutScheme(text);
  // The first of / ? # ends the part with user, password, host and port.
  const end = rest.search(/[/?#]/);
  const authority = end === -1 ? rest : rest.slice(0, end);
  const tail = end === -1 ? '' : rest.slice(end);
  if (tail.includes('@'))
    throw notOfTheForm(`there is an @ after the host. In the password and in names ${ENCODED}`);
  if (tail.includes('#')) throw notOfTheForm('a # is in it, which is written %23');
  const at = authority.indexOf('@');
  if (at !== authority.lastIndexOf('@'))
    throw notOfTheForm(`there are two @ in it. In the password and in names ${ENCODED}`);
  const question = tail.indexOf('?');
  const path = question === -1 ? tail : tail.slice(0, question);
  const parameters = question === -1 ? '' : tail.slice(question + 1);

  const { host, port } = hostAndPort(authority.slice(at + 1), parameters);
  const { user, password } = userAndPassword(authority.slice(0, Math.max(0, at)));
  const name = path.slice(1);
  // A URL parser takes a dot or two for a folder, and leaves them out.
  if (/^(\.|%2e){1,2}$/i.test(name)) throw notOfTheForm('its database is called . or ..');
  if (name.includes('/')) throw notOfTheForm('a / is in the name of the database, where it is written %2F');
  return {
    user,
    password,
    host,
    port,
    // As all programs of Postgres have it.
    database: decoded(name, 'name of the database') || user,
    ...readParameters(parameters, host),
  };
}

/** Hosts of Neon's own cloud, which answer its driver's WebSocket, and take nothing without TLS. */
export function isNeonHost(hostname: string): boolean {
  const host = hostname.toLowerCase();
  return host.endsWith('.neon.tech') || host.endsWith('.neon.build');
}

/**
 * Writes an address so that every program reads it alike: nothing but letters, digits, `-._~` and escapes, apart from
 * the marks between its parts. A shell, a file of variables and every URL parser leave it as it is.
 */
export function formatAddress(address: DatabaseAddress): string {
  const { user, password, host, port, database, tls, options, applicationName } = address;
  const parameters = [
    ...(tls ? ['sslmode=verify-full'] : []),
    ...(options === undefined ? [] : [`options=${encoded(options)}`]),
    ...(applicationName === undefined ? [] : [`application_name=${encoded(applicationName)}`]),
  ];
  return [
    'postgres://',
    encoded(user),
    password === undefined ? '' : `:${encoded(password)}`,
    `@${hostText(host)}:${port}/${encoded(database)}`,
    parameters.length === 0 ? '' : `?${parameters.join('&')}`,
  ].join('');
}

/** Names user, host, port and database for people, and no password. */
export function describeAddress(address: DatabaseAddress): string {
  return `${encoded(address.user)}@${describePlace(address)}`;
}

/** Names host, port and database, and neither user nor password. */
export function describePlace({ host, port, database }: DatabaseAddress): string {
  return `${hostText(host)}:${port}/${encoded(database)}`;
}

/** A host as it stands before a port: IPv6 in brackets. */
export function hostText(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

function unquoted(given: string): string {
  const text = given.trim();
  const quote = text[0];
  const isQuoted = text.length > 1 && (quote === '"' || quote === "'") && text.at(-1) === quote;
  const inner = isQuoted ? text.slice(1, -1).trim() : text;
  if (/[\p{Cc}]/u.test(inner))
    throw notOfTheForm('there is a line break, a tab or another control character in it');
  if (!inner.isWellFormed()) throw notOfTheForm('half a character (a lone surrogate) is in it');
  return inner;
}

/** What other programs' addresses begin with. */
const FOREIGN_FORMS: readonly (readonly [RegExp, string])[] = [
  [
    /^postgres(ql)?\+\w+:/i,
    'postgresql+… is how a library of Python names its driver: leave the + and the driver out',
  ],
  [/^jdbc:/i, 'it is an address for JDBC: leave jdbc: out, and write user and password before the host'],
  [/^prisma(\+postgres)?:/i, 'it is an address of Prisma: take the direct address of the database'],
  [
    /^(mysql|mariadb|mongodb(\+srv)?|rediss?|sqlite|sqlserver|https?|file):/i,
    'it is the address of something else',
  ],
  [/^psql\s/i, 'it is a command: take the address alone, without psql and quotes'],
  [/^(export\s+)?[A-Z_]+\s*=/, 'it is an assignment: take what stands after the ='],
  [/^(\w+\s*=\s*\S+\s*)+$/, 'it has the form host=… dbname=… of libpq'],
];

function withoutScheme(text: string): string {
  const scheme = /^postgres(ql)?:\/\//i.exec(text)?.[0];
  if (scheme !== undefined) return text.slice(scheme.length);
  const why = FOREIGN_FORMS.find(([pattern]) => pattern.test(text))?.[1];
  throw notOfTheForm(why ?? 'it does not begin with postgres://');
}

function hostAndPort(text: string, parameters: string): { host: string; port: number } {
  if (text === '' || /^:\d*$/.test(text)) {
    const isSocket = parameters === '' || /(^|&)host=(\/|%2f)/i.test(parameters);
    throw notOfTheForm(
      `it names no host${isSocket ? '. A Worker cannot use the sockets of a machine: name a host, such as localhost' : ': write it before the port and the name of the database'}`,
    );
  }
  if (/^%2f/i.test(text))
    throw notOfTheForm(
      'it names a socket. A Worker cannot use the sockets of a machine: name a host, such as localhost',
    );
  if (text.includes(','))
    throw notOfTheForm(
      'it names several hosts. Name one: the server that takes writes, or a pooler before it',
    );
  const [, ipv6, name, portText] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(text) ?? [];
  if (name === undefined && ipv6 === undefined)
    throw notOfTheForm(
      `host and port cannot be told apart. An IPv6 address stands in [ ]; in the password ${ENCODED}`,
    );
  if (ipv6 !== undefined && !(/^[\da-f:.]+$/i.test(ipv6) && URL.canParse(`http://[${ipv6}]/`)))
    throw notOfTheForm('what stands in [ ] is no IPv6 address');
  if (name !== undefined && !isHostName(name))
    throw notOfTheForm('its host is none: a name of letters, digits, - . and _, or an IP address');
  if (portText !== undefined && portText !== '' && !/^\d{1,5}$/.test(portText))
    throw notOfTheForm(`its port is not a number. In the password ${ENCODED}`);
  const port = portText === undefined || portText === '' ? DEFAULT_PORT : Number(portText);
  if (port < 1 || port > 65_535) throw notOfTheForm('its port is not from 1 to 65535');
  return { host: (name ?? ipv6 ?? '').toLowerCase(), port };
}

function isHostName(name: string): boolean {
  if (!/^[a-z\d_]([a-z\d._-]{0,252}[a-z\d._])?$/i.test(name)) return false;
  // 127.1 and 2130706433 are numbers for some programs and names for others.
  if (!/^[\d.]+$/.test(name)) return !/^0x[\da-f.x]*$/i.test(name);
  const parts = name.split('.');
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

function userAndPassword(text: string): { user: string; password: string | undefined } {
  const colon = text.indexOf(':');
  const user = decoded(colon === -1 ? text : text.slice(0, colon), 'user');
  if (user === '') throw notOfTheForm('it names no user');
  const password = colon === -1 ? '' : decoded(text.slice(colon + 1), 'password');
  return { user, password: password === '' ? undefined : password };
}

type Parameters = Pick<DatabaseAddress, 'tls' | 'options' | 'applicationName'>;

const SSL_MODES: Readonly<Record<string, boolean>> = {
  disable: false,
  require: true,
  'verify-ca': true,
  'verify-full': true,
};
const BEFORE_THE_QUESTION_MARK = 'it stands before the ?, once and for all programs';
const NO_FILES = 'a Worker has no files. In a deployment, upload it to Hyperdrive';
const SERVER_SETTING = 'write a setting of the session as options=-c%20name%3Dvalue';

/** Parameters that other programs know, and what to do instead. */
const REFUSED_PARAMETERS: Readonly<Record<string, string>> = {
  host: `${BEFORE_THE_QUESTION_MARK}. A Worker cannot use the sockets of a machine`,
  hostaddr: BEFORE_THE_QUESTION_MARK,
  port: BEFORE_THE_QUESTION_MARK,
  user: BEFORE_THE_QUESTION_MARK,
  password: BEFORE_THE_QUESTION_MARK,
  dbname: BEFORE_THE_QUESTION_MARK,
  schema: 'only Prisma reads it. Write options=-c%20search_path%3Dname',
  search_path: SERVER_SETTING,
  currentSchema: 'only JDBC reads it. Write options=-c%20search_path%3Dname',
  statement_timeout: SERVER_SETTING,
  lock_timeout: SERVER_SETTING,
  idle_in_transaction_session_timeout: SERVER_SETTING,
  client_encoding: 'it is always UTF-8',
  connect_timeout: 'Sluice has a time limit for it already',
  sslcert: NO_FILES,
  sslkey: NO_FILES,
  sslpassword: NO_FILES,
  sslcrl: NO_FILES,
  sslcrldir: NO_FILES,
  passfile: NO_FILES,
  service: NO_FILES,
  uselibpqcompat:
    'it asks for TLS without a look at the certificate, which a Worker cannot do. Leave it out: sslmode=require is enough',
  sslaccept: 'only Prisma reads it. Write sslmode=require',
  pgbouncer: 'only Prisma reads it. Leave it out',
  connection_limit: 'only Prisma reads it. The option "connections" of a sink is what you want',
  replication: 'a connection for replication takes no rows',
};
const ALLOWED_PARAMETERS =
  'sslmode, ssl, sslrootcert=system, sslnegotiation, channel_binding, target_session_attrs, options and application_name are known';

function readParameters(text: string, host: string): Parameters {
  const given = new Map<string, string>();
  for (const part of text.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = decoded(equals === -1 ? part : part.slice(0, equals), 'parameters');
    const raw = equals === -1 ? '' : part.slice(equals + 1);
    const hint = Object.hasOwn(REFUSED_PARAMETERS, name) ? REFUSED_PARAMETERS[name] : undefined;
    if (hint !== undefined) throw refused(name, hint);
    if (given.has(name)) throw refused(name, 'it is given twice');
    if (raw.includes('+'))
      throw refused(name, 'a + is read as a blank by some programs and as a + by others: write %20 or %2B');
    given.set(name, decoded(raw, `parameter ${shown(name)}`));
  }
  const tls = tlsOf(given);
  if (tls === false && isNeonHost(host))
    throw refused(
      given.has('sslmode') ? 'sslmode' : 'ssl',
      'Neon takes no connections without TLS. Write sslmode=require',
    );
  for (const [name, value] of given) checkParameter(name, value, tls ?? isNeonHost(host));
  return {
    tls: tls ?? isNeonHost(host),
    options: given.get('options')?.trim() || undefined,
    applicationName: given.get('application_name') || undefined,
  };
}

/** Parameters of which only some values mean the same everywhere. */
const ALLOWED_VALUES: Readonly<Record<string, { values: readonly string[]; why: string }>> = {
  sslnegotiation: { values: ['postgres'], why: 'a Worker cannot begin with TLS at once' },
  channel_binding: { values: ['disable', 'prefer', 'require'], why: 'its value is unknown' },
  target_session_attrs: {
    values: ['any'],
    why: 'there is one host to choose from. Name the server that takes writes',
  },
};
/** Those that are read elsewhere. */
const READ_PARAMETERS = ['sslmode', 'ssl', 'sslrootcert', 'options', 'application_name'];

function checkParameter(name: string, value: string, tls: boolean): void {
  if (READ_PARAMETERS.includes(name)) return;
  const rule = Object.hasOwn(ALLOWED_VALUES, name) ? ALLOWED_VALUES[name] : undefined;
  if (rule === undefined)
    throw refused(name, `Sluice does not know it, and drivers read it differently: ${ALLOWED_PARAMETERS}`);
  if (!rule.values.includes(value)) throw refused(name, `${rule.why}. Allowed: ${rule.values.join(', ')}`);
  if (name === 'channel_binding' && value === 'require' && !tls)
    throw refused(name, 'it needs TLS. Add sslmode=require');
}

/** Whether TLS is asked for; undefined where the address does not say. */
function tlsOf(given: ReadonlyMap<string, string>): boolean | undefined {
  const says: boolean[] = [];
  const mode = given.get('sslmode');
  if (mode !== undefined) says.push(tlsOfMode(mode));
  const ssl = given.get('ssl');
  if (ssl !== undefined) {
    if (ssl !== 'true' && ssl !== 'false') throw refused('ssl', 'its value is unknown. Allowed: true, false');
    says.push(ssl === 'true');
  }
  const root = given.get('sslrootcert');
  if (root !== undefined) {
    if (root !== 'system')
      throw refused(
        'sslrootcert',
        `${NO_FILES}; on this machine, name the file in the variable NODE_EXTRA_CA_CERTS, which all commands and the local Worker read. Allowed: system`,
      );
    says.push(true);
  }
  if (says.includes(true) && says.includes(false))
    throw refused(ssl === undefined ? 'sslrootcert' : 'ssl', 'it contradicts sslmode');
  return says[0];
}

function tlsOfMode(mode: string): boolean {
  const tls = Object.hasOwn(SSL_MODES, mode) ? SSL_MODES[mode] : undefined;
  if (tls !== undefined) return tls;
  const allowed = `Allowed: ${Object.keys(SSL_MODES).join(', ')}`;
  switch (mode) {
    case 'allow':
    case 'prefer':
      throw refused(
        'sslmode',
        `with ${mode} it depends on the server whether there is TLS, and the drivers do not agree. Say require or disable. ${allowed}`,
      );
    case 'no-verify':
      throw refused(
        'sslmode',
        `a Worker cannot skip the check of a certificate. For a certificate of a private CA name the CA's file in the variable NODE_EXTRA_CA_CERTS, and use Hyperdrive in a deployment. ${allowed}`,
      );
    default:
      throw refused('sslmode', `its value is unknown. ${allowed}`);
  }
}

/** The name of a parameter, unless it looks like something that got there by accident. */
function shown(name: string): string {
  return /^\w{1,40}$/.test(name) ? name : '…';
}

function refused(parameter: string, why: string): SluiceError {
  return new SluiceError(
    'invalid_options',
    `Cannot use the parameter ${shown(parameter)} of the database address: ${why}`,
  );
}

function notOfTheForm(why: string): SluiceError {
  // The text itself is not repeated: it may hold a password.
  return new SluiceError('invalid_options', `The database address is not of the form ${FORM}: ${why}`);
}

function decoded(text: string, part: string): string {
  if (/%(?![\da-f]{2})/i.test(text))
    throw notOfTheForm(`in its ${part} there is a % that begins no escape, where it is written %25`);
  let value: string;
  try {
    value = decodeURIComponent(text);
  } catch {
    throw notOfTheForm(`the escapes in its ${part} are not UTF-8`);
  }
  if (value.includes('\0')) throw notOfTheForm(`there is a NUL character in its ${part}`);
  return value;
}

function encoded(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
