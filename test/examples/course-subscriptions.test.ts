import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { REPOSITORY } from '../../local/repository.ts';

test('the course program of the README prints what it says', async () => {
  const program = join(REPOSITORY, 'test/examples/course-subscriptions.ts');
  const { stdout } = await promisify(execFile)(process.execPath, ['--no-warnings', program]);
  expect(stdout.split('\n')).toEqual([
    'student:s1 is in course:c1',
    'student:s2 is in course:c1',
    'course:c1 is fully booked',
    '',
  ]);
});
