/**
 * The order of the test files in a run: the longest come first, so that no worker is left alone with one at the end. Without
 * an order of ours, files of the last project would come last, and the shortest text of them as the very last.
 */

/**
 * The files that took 25 seconds or more on a quiet machine with two cores, the longest first. Not exact, and it need not
 * be: what matters is that none of them starts late.
 */
export const LONGEST = [
  'test/package/pack.test.ts',
  'test/faults/faults.test.ts',
  'test/lab/local/lab-page.test.ts',
  'test/package/from-a-clone.test.ts',
  'test/local/postgres/embedded.test.ts',
  'test/lab/local/stress-ports.test.ts',
  'test/lab/workers/bench-dcb.test.ts',
  'test/lab/workers/bench-runs.test.ts',
  'test/lab/local/cli/bench.test.ts',
  'test/src/ingest/durable-pipeline.test.ts',
  'test/lab/suites/dcb/suite.test.ts',
  'test/local/cli/database-address.test.ts',
  'test/local/cli/dev-database.test.ts',
  'test/src/events/engines/postgres-contract.test.ts',
  'test/lab/local/cli/bench-dcb.test.ts',
  'test/lab/transaction-pooler.test.ts',
];

/** The projects after them. What waits for others comes before what only computes, whose files are short and many. */
const PROJECTS = ['node', 'companions', 'workers', 'postgres', 'fast'];

/** A test file of a run, as far as its place depends on it. */
interface TestFile {
  readonly moduleId: string;
  readonly project: { readonly name: string };
}

/**
 * Puts the longest files first, and the files of a project next to each other after them, as they share what one of them
 * has started. Otherwise the order is as given.
 */
export function longestFirst<File extends TestFile>(files: readonly File[]): File[] {
  const placed = files.map((file, given) => {
    const rank = LONGEST.findIndex((name) => file.moduleId.endsWith(`/${name}`));
    const project = PROJECTS.indexOf(file.project.name);
    return { file, place: [rank === -1 ? LONGEST.length : rank, project, given] as const };
  });
  placed.sort((a, b) => a.place[0] - b.place[0] || a.place[1] - b.place[1] || a.place[2] - b.place[2]);
  return placed.map(({ file }) => file);
}
