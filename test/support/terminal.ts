/**
 * A terminal in which the commands of the pages are typed exactly as they stand there. What differs from a reader's own: places
 * such as localhost:8787 are elsewhere (test/support/elsewhere.mjs); `websocat` and `psql` are stand-ins; and `npx` starts the program that
 * the folder has without a start of npm, which would cost a second for each (test/package/pack.test.ts uses npm's own, too).
 */

import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { REPOSITORY } from '../../local/repository.ts';
import { type Ended, Project, type RunningServer } from '../package/project.ts';

export interface TerminalOptions {
  /** Where it begins. */
  folder: string;
  /** A folder for what it needs itself. */
  scratch: string;
  env?: Record<string, string>;
}

export class Terminal {
  folder: string;
  /** Where places of the pages are: `localhost:8787`, `db.example.com:5432`. */
  readonly places: Record<string, string> = {};
  readonly env: Record<string, string>;
  readonly #scratch: string;

  private constructor({ folder, scratch, env = {} }: TerminalOptions) {
    this.folder = folder;
    this.env = env;
    this.#scratch = scratch;
  }

  static async open(options: TerminalOptions): Promise<Terminal> {
    const programs = join(options.scratch, 'programs');
    await mkdir(programs, { recursive: true });
    const texts = {
      npx: 'exec "./node_modules/.bin/$@"',
      psql: `exec "${process.execPath}" "${join(REPOSITORY, 'test/support/psql.js')}" "$@"`,
      websocat: `exec "${process.execPath}" "${join(REPOSITORY, 'test/support/websocat.js')}" "$@"`,
    };
    for (const [name, text] of Object.entries(texts)) {
      await writeFile(join(programs, name), `#!/bin/sh\n${text}\n`);
      await chmod(join(programs, name), 0o755);
    }
    return new Terminal(options);
  }

  /** Types a command, and gives what it printed and its exit code. `cd` lasts, as in a terminal. */
  async type(command: string, input = ''): Promise<Ended> {
    const left = join(this.#scratch, 'folder');
    await rm(left, { force: true });
    const script = `${command}\ncode=$?\npwd > "${left}"\nexit $code`;
    const ended = await new Project(this.folder).run('sh', ['-c', script], await this.#variables(), input);
    this.folder = (await readFile(left, 'utf8').catch(() => this.folder)).trimEnd();
    return ended;
  }

  /** Like `type`. @throws Error with all that was printed, where the exit code is none of `codes` */
  async succeed(command: string, { input = '', codes = [0] } = {}): Promise<Ended> {
    const ended = await this.type(command, input);
    if (codes.includes(ended.exitCode ?? -1)) return ended;
    throw new Error(`${command}\nended with ${ended.exitCode}:\n${ended.stdout}\n${ended.stderr}`);
  }

  /** Types a command that goes on until Ctrl-C. */
  async start(command: string): Promise<RunningServer> {
    return new Project(this.folder).start('sh', ['-c', `exec ${command}`], await this.#variables());
  }

  async #variables(): Promise<Record<string, string>> {
    const curl = join(this.#scratch, 'curl');
    await mkdir(curl, { recursive: true });
    const lines = Object.entries(this.places).map(([from, to]) => `connect-to = "${from}:${to}"\n`);
    await writeFile(join(curl, '.curlrc'), lines.join(''));
    return {
      npm_config_update_notifier: 'false',
      CURL_HOME: curl,
      SLUICE_TEST_PLACES: JSON.stringify(this.places),
      NODE_OPTIONS: `--import ${join(REPOSITORY, 'test/support/elsewhere.mjs')}`,
      ...this.env,
      PATH: [join(this.#scratch, 'programs'), dirname(process.execPath)].join(delimiter),
    };
  }
}
