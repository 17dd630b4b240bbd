import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, link, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { claimDevState, type DevState } from '../../local/dev-state.ts';
import { endProcesses, orphansMarked, processesIn, processesMarked } from '../../local/processes.ts';
import { REPOSITORY } from '../../local/repository.ts';
import { startWorker } from '../../local/worker.ts';

let folder: string;
let said: string[];
let states: DevState[];
let children: ChildProcess[];

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'sluice-dev-state-')));
  said = [];
  states = [];
  children = [];
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  for (const state of states) await state.release();
  await rm(folder, { recursive: true, force: true });
});

async function claim(port = 8787): Promise<DevState> {
  const state = await claimDevState(folder, { port, onLog: (message) => said.push(message) });
  states.push(state);
  return state;
}

/** Starts a program that has the folder open, and runs until it is told to end. */
async function startChild(program: string, environment: Record<string, string>): Promise<ChildProcess> {
  const script = `require('node:fs').openSync(${JSON.stringify(folder)}); console.log('up'); setInterval(() => {}, 1000)`;
  const child = spawn(program, ['-e', script], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return child;
}

const isLinux = process.platform === 'linux';

describe('the state of npm run dev', () => {
  test('has one server at a time; the second is told who has it, and what to do', async () => {
    const first = await claim(8787);
    await expect(claim(8788)).rejects.toMatchObject({
      code: 'invalid_options',
      message:
        `Another \`npm run dev\` (process ${process.pid}, port 8787) uses ${folder}. Two servers on one state lose messages. ` +
        `Use that one, end it (kill ${process.pid}), or give this one its own state: --persist-to <folder>`,
    });
    await first.release();
    await first.release();
    await claim(8788);
    await expect(claim(8789)).rejects.toThrow('port 8788');
    expect(said).toEqual([]);
  });

  test.skipIf(!isLinux)(
    'is free of what a killed server had started before the next one has it',
    async () => {
      const { environment, release } = await claim();
      const marked = await startChild(process.execPath, environment);
      const stranger = await startChild(process.execPath, {});
      const gone = once(marked, 'exit');
      await release();
      await claim();
      await gone;
      expect(said).toEqual([
        `Ended what a server that was killed had left running: node (process ${marked.pid})`,
      ]);
      expect({ stranger: stranger.exitCode ?? stranger.signalCode }).toEqual({ stranger: null });
    },
  );

  test.skipIf(!isLinux)('ends what is left of its own processes, also what does not want to', async () => {
    const state = await claim();
    const script = `process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)`;
    const child = spawn(process.execPath, ['-e', script], {
      env: { ...process.env, ...state.environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    await once(child.stdout, 'data');
    const gone = once(child, 'exit');
    expect(await state.endLeftovers()).toEqual([`node (process ${child.pid})`]);
    expect(await gone).toEqual([null, 'SIGKILL']);
    expect(await state.endLeftovers()).toEqual([]);
  });

  test.skipIf(!isLinux)(
    'is refused while the workerd of somebody else has it open, and leaves that alone',
    async () => {
      const elsewhere = await mkdtemp(join(tmpdir(), 'sluice-workerd-'));
      const workerd = join(elsewhere, 'workerd');
      try {
        await link(process.execPath, workerd).catch(() => copyFile(process.execPath, workerd));
        const other = await startChild(workerd, {});
        await expect(claim()).rejects.toThrow(
          `A \`wrangler dev\` uses ${folder}: workerd (process ${other.pid}). Two servers on one state lose messages. ` +
            `End it (kill ${other.pid}), or give this one its own state: --persist-to <folder>`,
        );
        expect(other.exitCode ?? other.signalCode).toBeNull();
        const gone = once(other, 'exit');
        other.kill('SIGKILL');
        await gone;
        // A refused start has given the lock back.
        await claim();
      } finally {
        await rm(elsewhere, { recursive: true, force: true });
      }
    },
  );
});

test.skipIf(!isLinux)("the Worker of bench and lab has a state that is not npm run dev's", async () => {
  const worker = await startWorker({ bindings: {} });
  try {
    const processId = await worker.processId();
    expect(processId).toBeGreaterThan(0);
    // It is marked as ours, so that it is found once we were killed; as long as we live, it is no orphan.
    const marked = await processesMarked('SLUICE_WORKER_OF', String(process.pid));
    expect(marked.map((one) => one.processId)).toContain(processId);
    expect((await orphansMarked('SLUICE_WORKER_OF')).map((one) => one.processId)).not.toContain(processId);
    const inState = await processesIn(join(REPOSITORY, '.wrangler', 'state'), 'workerd');
    expect(inState.map((one) => one.processId)).not.toContain(processId);
    // The control: it is found where its state is.
    const temporary = await processesIn(await realpath(tmpdir()), 'workerd');
    expect(temporary.map((one) => one.processId)).toContain(processId);
  } finally {
    await worker.stop();
  }
});

test.skipIf(!isLinux)(
  'a process whose parent was killed is found by the mark that names the parent',
  async () => {
    const name = 'SLUICE_TEST_OWNER';
    const orphan = `console.log(process.pid); setInterval(() => {}, 1000)`;
    const parent = spawn(
      process.execPath,
      [
        '-e',
        `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(orphan)}],
        { stdio: 'inherit', env: { ...process.env, ${name}: String(process.pid) } }); setInterval(() => {}, 1000)`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    children.push(parent);
    const [text] = (await once(parent.stdout, 'data')) as [Buffer];
    const processId = Number(text.toString());
    expect(await orphansMarked(name)).toEqual([]);
    const gone = once(parent, 'exit');
    parent.kill('SIGKILL');
    await gone;
    const found = await orphansMarked(name);
    expect(found).toEqual([{ processId, name: 'node' }]);
    expect(await endProcesses(() => orphansMarked(name))).toEqual(found);
  },
);
