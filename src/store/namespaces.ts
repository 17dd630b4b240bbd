/**
 * Namespaces of the message store: stores that share nothing, each with its own token. The token names its
 * namespace, so that a request finds its way without a look-up; only the hash of the token is kept.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { SluiceError } from '../core/errors.ts';
import { MAX_LIST_NAMES } from '../core/limits.ts';

/**
 * Where the messages of a namespace are: in the SQLite storage of its Durable Object, or in a schema of Postgres.
 * Chosen when the namespace is created, and never changed.
 */
export type StoreEngine = 'sqlite' | 'postgres';

export const STORE_ENGINES: readonly StoreEngine[] = ['sqlite', 'postgres'];

/** Length of a namespace's name: with its prefix, it is an identifier of Postgres, which has 63 bytes. */
export const MAX_NAMESPACE_LENGTH = 56;

/** Length of a namespace's description, in characters. It is part of every listing. */
export const MAX_DESCRIPTION_LENGTH = 1_000;

/** What is known of a namespace without asking its store. */
export interface NamespaceRecord {
  namespace: string;
  description: string;
  engine: StoreEngine;
  /** In microseconds since 1970. */
  createdAtUs: number;
}

export interface NamespaceInfo extends NamespaceRecord {
  messages: bigint;
  /** How many streams; undefined where it was not asked for, or is not known. */
  streams?: bigint | undefined;
  /** When the last message was written, in microseconds since 1970; undefined where there is none, or it is not known. */
  lastActivityUs?: number | undefined;
  /** How many events the event store of the namespace has; undefined where it was not asked for. */
  events?: bigint | undefined;
}

export interface NewNamespace {
  namespace: string;
  description: string;
  /** Undefined: what the deployment is set to. */
  engine: StoreEngine | undefined;
  /** `hashToken` of its token. */
  tokenHash: string;
}

export interface DeletedNamespace {
  namespace: string;
  /** In microseconds since 1970. */
  deletedAtUs: number;
  messagesDeleted: bigint;
  /** Undefined where it is not known. */
  eventsDeleted?: bigint | undefined;
}

export interface ListNamespaces {
  /** Exclusive, in byte order. Empty: from the start. */
  after: string;
  limit: number;
}

/** The namespaces of a deployment, for those who may create and delete them. */
export interface Namespaces {
  /** @throws SluiceError `namespace_exists` */
  create(namespace: NewNamespace): Promise<NamespaceRecord>;
  /** Deletes the namespace with all its messages. @throws SluiceError `unknown_namespace` */
  delete(namespace: string): Promise<DeletedNamespace>;
  list(list: ListNamespaces): Promise<NamespaceInfo[]>;
  /** @throws SluiceError `unknown_namespace` */
  info(namespace: string): Promise<NamespaceInfo>;
}

/**
 * Refuses what cannot name a namespace. Allowed are 1 to 56 letters, digits, dots, dashes and underscores of ASCII,
 * the first of them a letter or a digit.
 *
 * @throws SluiceError `invalid_namespace`
 */
export function checkNamespace(name: unknown): asserts name is string {
  if (
    typeof name === 'string' &&
    name.length <= MAX_NAMESPACE_LENGTH &&
    /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)
  )
    return;
  throw new SluiceError(
    'invalid_namespace',
    `Not the name of a namespace: ${JSON.stringify(name)?.slice(0, 100)}; 1 to ${MAX_NAMESPACE_LENGTH} characters of A-Z a-z 0-9 . _ - are allowed, the first of them a letter or a digit`,
    { details: { maxLength: MAX_NAMESPACE_LENGTH } },
  );
}

/** Seven bytes: with it, the longest name of a namespace fits into the 63 bytes of an identifier. */
const SCHEMA_PREFIX = 'sluice_';

/**
 * The schema of a namespace. Names that differ have schemas that differ.
 *
 * @throws SluiceError `invalid_namespace`
 */
export function schemaOfNamespace(namespace: string): string {
  checkNamespace(namespace);
  return `${SCHEMA_PREFIX}${namespace}`;
}

/** The error for a name that is taken. */
export function namespaceExists(namespace: string, cause?: unknown): SluiceError {
  return new SluiceError(
    'namespace_exists',
    `The namespace ${namespace} exists already: choose another name, or delete it first`,
    { details: { namespace }, cause },
  );
}

/** The error for a name that no namespace has, nor need be able to have. */
export function unknownNamespace(namespace: unknown, cause?: unknown): SluiceError {
  const name = String(namespace).slice(0, 100);
  return new SluiceError('unknown_namespace', `The namespace ${name} does not exist: create it first`, {
    details: { namespace: name },
    cause,
  });
}

/** @throws SluiceError `invalid_options` for a limit of a listing that is no whole number from 1 to 1,000 */
export function checkListLimit(limit: number): void {
  if (Number.isSafeInteger(limit) && limit >= 1 && limit <= MAX_LIST_NAMES) return;
  throw new SluiceError('invalid_options', `A listing has 1 to ${MAX_LIST_NAMES} namespaces, not ${limit}`);
}

/** Random bytes of a token, as EventoDB has them (`golang/internal/auth/token.go`): nobody guesses 256 bits. */
const TOKEN_RANDOM_BYTES = 32;

/** The longest token there can be: `ns_`, a name in base64url, `_` and 64 digits. */
export const MAX_TOKEN_LENGTH = 3 + Math.ceil((MAX_NAMESPACE_LENGTH * 4) / 3) + 1 + 2 * TOKEN_RANDOM_BYTES;

// The name's characters never give an underscore in base64url, so that the parts can be told apart.
const TOKEN = /^ns_([A-Za-z0-9-]+)_([0-9a-fA-F]{64})$/;

/** A new token of a namespace: `ns_<name in base64url>_<64 hex digits>`. */
export function createToken(namespace: string, randomBytes: (length: number) => Uint8Array): string {
  return `ns_${toBase64Url(namespace)}_${bytesToHex(randomBytes(TOKEN_RANDOM_BYTES))}`;
}

/** The namespace that a token names; undefined where it is no token. Says nothing about whether it is the right one. */
export function namespaceOfToken(token: string): string | undefined {
  if (token.length > MAX_TOKEN_LENGTH) return undefined;
  const encoded = TOKEN.exec(token)?.[1];
  if (encoded === undefined) return undefined;
  try {
    const namespace = atob(encoded.replaceAll('-', '+'));
    checkNamespace(namespace);
    // Written in one way only, so that a namespace has one token and not several that look different.
    return toBase64Url(namespace) === encoded ? namespace : undefined;
  } catch {
    return undefined;
  }
}

/** What is kept of a token: its SHA-256 in hexadecimal digits. */
export function hashToken(token: string): string {
  return bytesToHex(sha256(utf8ToBytes(token)));
}

/** Compares two hashes in the same time wherever they differ. */
export function isSameHash(left: string, right: string): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let index = 0; index < left.length; index += 1) {
    difference |= left.charCodeAt(index) ^ right.charCodeAt(index);
  }
  return difference === 0;
}

function toBase64Url(ascii: string): string {
  return btoa(ascii).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
