/** The namespaces of a message store in SQLite: a file each, in one folder. The folder is the list. */

import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isSluiceError, SluiceError } from '../src/core/errors.ts';
import type { MessageEngine } from '../src/messages/engine.ts';
import { SqliteMessageEngine } from '../src/messages/engines/sqlite-engine.ts';
import {
  checkListLimit,
  checkNamespace,
  type DeletedNamespace,
  type ListNamespaces,
  type NamespaceInfo,
  type NamespaceRecord,
  type Namespaces,
  type NewNamespace,
  namespaceExists,
  unknownNamespace,
} from '../src/store/namespaces.ts';
import { NodeSqlite, type NodeSqliteOptions } from './sqlite.ts';

/** Each open database has up to three file descriptors, of which a process often has 1,024. */
const DEFAULT_MAX_OPEN = 64;
const MAX_MAX_OPEN = 256;

const SUFFIX = '.db';

const CREATE_METADATA = `create table namespace (
  only integer primary key check (only = 1),
  description text not null,
  token_hash text not null,
  created_at_us integer not null
) strict`;

/** What a deleted namespace's table of messages is called until its file is gone. */
const DELETED_MESSAGES = 'sluice_deleted_messages';

const HAS_TABLE = `select name from sqlite_schema where type = 'table' and name = ?`;

export interface SqliteNamespacesOptions {
  /** Created with the first namespace where there is none. */
  folder: string;
  /** What a commit waits for, as in `NodeSqliteOptions`. Default: `full`. */
  synchronous?: NonNullable<NodeSqliteOptions['synchronous']>;
  /** Databases that are kept open, 1 to 256. Beyond that, the one that was used least recently is closed. Default: 64. */
  maxOpen?: number;
  /** Milliseconds since 1970; fractions count. Default: the platform's clock. */
  now?: () => number;
}

interface OpenNamespace {
  sqlite: NodeSqlite;
  engine: SqliteMessageEngine;
  /** Which file it is, so that another one of the same name is told apart. */
  identity: string;
}

interface MetadataRow {
  description: string;
  tokenHash: string;
  createdAtUs: number;
}

/**
 * Several processes may use one folder, but one at a time creates and deletes its namespaces. The folder is on a file
 * system with hard links, and not on a network.
 */
export class SqliteNamespaces implements Namespaces {
  readonly #folder: string;
  readonly #synchronous: NonNullable<NodeSqliteOptions['synchronous']>;
  readonly #maxOpen: number;
  readonly #now: () => number;
  /** By name, the least recently used first. */
  readonly #open = new Map<string, OpenNamespace>();
  #isClosed = false;

  /** @throws SluiceError `invalid_options` for a `maxOpen` that is no integer of 1 to 256 */
  constructor({
    folder,
    synchronous = 'full',
    maxOpen = DEFAULT_MAX_OPEN,
    now = () => Date.now(),
  }: SqliteNamespacesOptions) {
    if (!Number.isSafeInteger(maxOpen) || maxOpen < 1 || maxOpen > MAX_MAX_OPEN)
      throw new SluiceError(
        'invalid_options',
        `maxOpen is an integer of 1 to ${MAX_MAX_OPEN}, not ${maxOpen}`,
      );
    this.#folder = resolve(folder);
    this.#synchronous = synchronous;
    this.#maxOpen = maxOpen;
    this.#now = now;
  }

  /** How many databases are open now. */
  get openDatabases(): number {
    return this.#open.size;
  }

  /**
   * Creates a namespace with its file, which appears with all that belongs to it or not at all.
   *
   * @throws SluiceError `invalid_namespace`, `namespace_exists`, `store_closed`, or `invalid_options` for an engine other
   *   than SQLite. Otherwise the file system's error, or SQLite's
   */
  async create({ namespace, description, engine, tokenHash }: NewNamespace): Promise<NamespaceRecord> {
    const path = this.#pathOf(namespace);
    if (engine !== undefined && engine !== 'sqlite')
      throw new SluiceError('invalid_options', `This list has namespaces in SQLite only, none in ${engine}`);
    this.#assertOpen();
    mkdirSync(this.#folder, { recursive: true });
    const createdAtUs = Math.floor(this.#now() * 1_000);
    // Nobody can see a file that is half made: it is made in its own folder, which no namespace can be called.
    const workshop = mkdtempSync(join(this.#folder, '.new-'));
    try {
      const made = join(workshop, 'new.db');
      // `wx`: whatever is made here is ours.
      closeSync(openSync(made, 'wx', 0o600));
      const sqlite = new NodeSqlite(made);
      try {
        sqlite.transaction(() => {
          new SqliteMessageEngine(sqlite);
          sqlite.run(CREATE_METADATA);
          sqlite.run('insert into namespace values (1, ?, ?, ?)', description, tokenHash, createdAtUs);
        });
      } finally {
        // Brings the write-ahead log into the file and removes it.
        sqlite.close();
      }
      this.#linkOnce(made, path, namespace);
    } finally {
      rmSync(workshop, { recursive: true, force: true });
    }
    syncFolder(this.#folder);
    return { namespace, description, engine: 'sqlite', createdAtUs };
  }

  /**
   * Deletes a namespace with its file.
   *
   * @throws SluiceError `invalid_namespace`, `unknown_namespace`, `store_closed`. Otherwise the file system's error, or
   *   SQLite's
   */
  async delete(namespace: string): Promise<DeletedNamespace> {
    const path = this.#pathOf(namespace);
    const { sqlite } = this.#use(namespace);
    const messagesDeleted = sqlite.transaction(() => {
      assertThere(sqlite, namespace);
      const [row] = sqlite.rows<[number]>('select count(*) from messages');
      // Another process that has the file open would go on writing to it, and lose what it acknowledges.
      sqlite.run(`alter table messages rename to ${DELETED_MESSAGES}`);
      sqlite.run('drop table namespace');
      return BigInt(row?.[0] ?? 0);
    });
    // Without its log, the file must still say that it is deleted.
    sqlite.run('pragma wal_checkpoint(truncate)');
    this.#closeOne(namespace);
    removeFiles(path);
    syncFolder(this.#folder);
    return { namespace, deletedAtUs: Math.floor(this.#now() * 1_000), messagesDeleted };
  }

  /**
   * The namespaces after `after`, in byte order of their names. Files that are no namespaces are left out.
   *
   * @throws SluiceError `invalid_options` for a limit that is no integer of 1 to 1,000; `store_closed`. Otherwise the file
   *   system's error, or SQLite's
   */
  async list({ after, limit }: ListNamespaces): Promise<NamespaceInfo[]> {
    checkListLimit(limit);
    this.#assertOpen();
    const infos: NamespaceInfo[] = [];
    for (const namespace of namesIn(this.#folder)) {
      if (namespace <= after) continue;
      if (infos.length === limit) break;
      try {
        infos.push(await this.info(namespace));
      } catch (error) {
        // Deleted since the folder was read, or somebody else's database.
        if (!isSluiceError(error) || error.code !== 'unknown_namespace') throw error;
      }
    }
    return infos;
  }

  /** @throws SluiceError `invalid_namespace`, `unknown_namespace`, `store_closed`. Otherwise SQLite's error */
  async info(namespace: string): Promise<NamespaceInfo> {
    checkNamespace(namespace);
    const { sqlite, engine } = this.#use(namespace);
    const { description, createdAtUs } = assertThere(sqlite, namespace);
    const { messages } = await engine.info();
    return { namespace, description, engine: 'sqlite', createdAtUs, messages };
  }

  /**
   * The hash of the namespace's token, `hashToken`.
   *
   * @throws SluiceError `invalid_namespace`, `unknown_namespace`, `store_closed`. Otherwise SQLite's error
   */
  async tokenHash(namespace: string): Promise<string> {
    checkNamespace(namespace);
    return assertThere(this.#use(namespace).sqlite, namespace).tokenHash;
  }

  /**
   * The engine of a namespace. Does not ask whether it exists: its use is refused with `unknown_namespace` where it does
   * not, and with `store_closed` after `close`.
   *
   * @throws SluiceError `invalid_namespace`
   */
  engine(namespace: string): MessageEngine {
    checkNamespace(namespace);
    // Each call of the engine is done with its database when it returns its promise, so that no database is closed in use.
    const use = async <Result>(work: (engine: SqliteMessageEngine) => Promise<Result>): Promise<Result> =>
      work(this.#use(namespace).engine);
    return {
      append: (commands) => use((engine) => engine.append(commands)),
      import: (rows) => use((engine) => engine.import(rows)),
      readStream: (read) => use((engine) => engine.readStream(read)),
      readCategory: (read) => use((engine) => engine.readCategory(read)),
      last: (stream, type) => use((engine) => engine.last(stream, type)),
      version: (stream) => use((engine) => engine.version(stream)),
      listStreams: (list) => use((engine) => engine.listStreams(list)),
      listCategories: (list) => use((engine) => engine.listCategories(list)),
      info: () => use((engine) => engine.info()),
      clear: () => use((engine) => engine.clear()),
    };
  }

  /** Closes all databases. What comes later is refused with `store_closed`. */
  close(): void {
    this.#isClosed = true;
    for (const namespace of [...this.#open.keys()]) this.#closeOne(namespace);
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new SluiceError('store_closed', 'The namespaces are closed');
  }

  #pathOf(namespace: string): string {
    checkNamespace(namespace);
    return join(this.#folder, fileOf(namespace));
  }

  /** The open database of a namespace, which stays open until the next call at least. */
  #use(namespace: string): OpenNamespace {
    this.#assertOpen();
    const path = this.#pathOf(namespace);
    const identity = identityOf(path);
    let open = this.#open.get(namespace);
    if (open !== undefined && open.identity !== identity) {
      // Another process has deleted it, and may have created it again.
      this.#closeOne(namespace);
      open = undefined;
    }
    if (identity === undefined) throw unknownNamespace(namespace);
    if (open === undefined) {
      open = { ...this.#openFile(path, namespace), identity };
    } else {
      this.#open.delete(namespace);
    }
    this.#open.set(namespace, open);
    if (this.#open.size > this.#maxOpen) {
      const oldest = this.#open.keys().next().value;
      if (oldest !== undefined) this.#closeOne(oldest);
    }
    return open;
  }

  #openFile(path: string, namespace: string): Omit<OpenNamespace, 'identity'> {
    const sqlite = openExisting(path, namespace, this.#synchronous);
    try {
      // In one transaction: nobody deletes it between the look and the tables, which would then be made once more.
      const engine = sqlite.transaction(() => {
        assertThere(sqlite, namespace);
        return new SqliteMessageEngine(sqlite, { now: this.#now });
      });
      return { sqlite, engine };
    } catch (error) {
      sqlite.close();
      throw error;
    }
  }

  #closeOne(namespace: string): void {
    const open = this.#open.get(namespace);
    this.#open.delete(namespace);
    open?.sqlite.close();
  }

  #linkOnce(made: string, path: string, namespace: string): void {
    try {
      linkSync(made, path);
    } catch (error) {
      if (!isExisting(error)) throw error;
      if (!isRemnant(path, namespace)) throw namespaceExists(namespace, error);
      removeFiles(path);
      linkSync(made, path);
    }
  }
}

/**
 * The file of a namespace. Where a file system takes `A` and `a` for the same, they are still two namespaces: a capital
 * is `+` and the small letter. No name has a `+`.
 */
function fileOf(namespace: string): string {
  return `${namespace.replace(/[A-Z]/g, (letter) => `+${letter.toLowerCase()}`)}${SUFFIX}`;
}

/** In byte order. */
function namesIn(folder: string): string[] {
  const names: string[] = [];
  for (const file of filesIn(folder)) {
    if (!file.endsWith(SUFFIX)) continue;
    const name = file
      .slice(0, -SUFFIX.length)
      .replace(/\+([a-z])/g, (_, letter: string) => letter.toUpperCase());
    if (isNamespace(name) && fileOf(name) === file) names.push(name);
  }
  // Names are ASCII: the order of their code units is that of their bytes.
  return names.sort();
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function isNamespace(name: string): boolean {
  try {
    checkNamespace(name);
    return true;
  } catch {
    return false;
  }
}

function identityOf(path: string): string | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  // A file that has been deleted keeps its number as long as it is open, so that a new one has another.
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`;
}

function openExisting(
  path: string,
  namespace: string,
  synchronous: NonNullable<NodeSqliteOptions['synchronous']>,
): NodeSqlite {
  try {
    // `rw`: a file that has been deleted since it was looked for must not be created by opening it.
    return new NodeSqlite(`${pathToFileURL(path).href}?mode=rw`, { synchronous });
  } catch (error) {
    throw identityOf(path) === undefined ? unknownNamespace(namespace, error) : error;
  }
}

function assertThere(sqlite: NodeSqlite, namespace: string): MetadataRow {
  if (!hasTable(sqlite, 'namespace')) throw unknownNamespace(namespace);
  const [row] = sqlite.run<MetadataRow>(
    'select description, token_hash as tokenHash, created_at_us as createdAtUs from namespace',
  );
  if (row === undefined) throw unknownNamespace(namespace);
  return row;
}

function hasTable(sqlite: NodeSqlite, table: string): boolean {
  return sqlite.run(HAS_TABLE, table).length > 0;
}

/** Whether the process that deleted the namespace ended before its file was gone. Never true of somebody else's database. */
function isRemnant(path: string, namespace: string): boolean {
  const sqlite = openExisting(path, namespace, 'full');
  try {
    return hasTable(sqlite, DELETED_MESSAGES) && !hasTable(sqlite, 'namespace');
  } finally {
    sqlite.close();
  }
}

/** The file goes last: a log without its file would be taken for the log of the next file of that name. */
function removeFiles(path: string): void {
  for (const suffix of ['-wal', '-shm', '']) rmSync(`${path}${suffix}`, { force: true });
}

/** A file's name is in its folder, which has to reach the disk too. */
function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function isExisting(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EEXIST';
}
