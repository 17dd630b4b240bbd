import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { REPOSITORY } from '../../local/repository.ts';

/** The program imports the package, as its users' do. */
const RESOLVER = join(REPOSITORY, 'test/support/resolve-sluice.ts');

test('the course program of the page prints what it says', async () => {
  const program = join(REPOSITORY, 'examples/course-subscriptions.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--no-warnings',
    '--import',
    RESOLVER,
    program,
  ]);
  expect(stdout.split('\n')).toEqual([
    'student:s1 is in course:c1',
    'student:s2 is in course:c1',
    'course:c1 is fully booked',
    '',
  ]);
});
