import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { childrenNamed } from '../../local/child-processes.ts';

let child: ChildProcess | undefined;
afterEach(() => {
  child?.kill('SIGKILL');
});

// Not `node`, which gives its process another name.
test.skipIf(process.platform === 'win32')('finds a child by its program, as long as it lives', async () => {
  child = spawn('sleep', ['60'], { stdio: 'ignore' });
  await once(child, 'spawn');
  expect(await childrenNamed('sleep')).toContain(child.pid);
  expect(await childrenNamed('slee')).toEqual([]);

  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  expect(await childrenNamed('sleep')).not.toContain(child.pid);
});
