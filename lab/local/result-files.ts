/** Results of the bench on disk: written after a run, found again by file or by name. */

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { SluiceError } from '../../src/core/errors.ts';
import { type ReportFormatName, reportFiles, runName } from '../report/formats.ts';
import { readHtmlReport } from '../report/html.ts';
import { readResult } from '../report/json.ts';
import type { ReportSuite } from '../report/table.ts';
import type { BenchResult } from '../result.ts';

/** Largest file that is read as a result. */
const MAX_RESULT_BYTES = 256 * 1024 * 1024;

/** Writes the reports of a run. @returns their paths */
export async function writeReports(
  folder: string,
  result: BenchResult,
  suite: ReportSuite,
  formats: readonly ReportFormatName[],
): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const paths: string[] = [];
  for (const { name, text } of reportFiles(result, suite, formats)) {
    const path = join(folder, name);
    await writeFile(path, text);
    paths.push(path);
  }
  return paths;
}

/** A result with the file that it is in. */
export interface StoredResult {
  path: string;
  result: BenchResult;
}

/** The results in a folder, the latest last. Files that are none are passed over. */
export async function listResults(folder: string): Promise<StoredResult[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const found: StoredResult[] = [];
  for (const name of names.filter((one) => one.endsWith('.json')).toSorted()) {
    const path = join(folder, name);
    try {
      found.push({ path, result: readResult(await readFile(path, 'utf8'), path) });
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
    }
  }
  return found.toSorted((left, right) => left.result.startedAt.localeCompare(right.result.startedAt));
}

/**
 * Reads a result by its file (JSON, or a report in HTML), or by its name in the folder of results; `latest` is the one
 * that began last.
 *
 * @param suite whose latest is meant; default: of any
 * @throws SluiceError `invalid_options` where there is none
 */
export async function openResult(nameOrPath: string, folder: string, suite?: string): Promise<StoredResult> {
  if (nameOrPath === 'latest') {
    const all = await listResults(folder);
    const last = all.findLast(({ result }) => suite === undefined || result.suite === suite);
    if (last === undefined) {
      const what = suite === undefined ? '' : ` of the suite ${suite}`;
      throw new SluiceError('invalid_options', `There is no result${what} in ${folder}`);
    }
    return last;
  }
  for (const path of [nameOrPath, join(folder, nameOrPath), join(folder, `${nameOrPath}.json`)]) {
    const text = await readText(path);
    if (text === undefined) continue;
    const result = path.endsWith('.html') ? readHtmlReport(text, path) : readResult(text, path);
    return { path, result };
  }
  throw new SluiceError(
    'invalid_options',
    `There is no result ${JSON.stringify(nameOrPath)}: give a file, or a name that "bench list" shows, or "latest"`,
  );
}

/** Removes the files of a run from the folder of results. @returns their names */
export async function removeReports(folder: string, result: BenchResult): Promise<string[]> {
  const name = runName(result);
  const own = (await readdir(folder)).filter(
    (file) => file.startsWith(`${name}.`) || file.startsWith(`${name}-`),
  );
  for (const file of own) await rm(join(folder, basename(file)));
  return own;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    const bytes = await readFile(path);
    if (bytes.length > MAX_RESULT_BYTES) {
      throw new SluiceError('invalid_options', `${path} is larger than any result: ${bytes.length} bytes`);
    }
    return bytes.toString('utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EISDIR' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
