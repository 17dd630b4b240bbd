/** WebSocket clients that other people use, each with one way to be told what to send. */

import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { HANG_LIMIT_MS } from '../support/patience.ts';

/** A frame: a text, bytes in a text frame that need not be UTF-8, or bytes in a binary frame. */
export type SpokenFrame = { text: string } | { textBytes: Buffer } | { binary: Buffer };

export interface Talk {
  url: string;
  protocol?: 'sluice.v1' | 'sluice.raw';
  frames: readonly SpokenFrame[];
}

export interface Answer {
  received: string[];
  /** The close code. */
  code: number;
}

export interface Speaker {
  name: string;
  /** Why it cannot speak here; undefined where it can. */
  missing: string | undefined;
  /**
   * Sends frames over one connection. With `sluice.v1` it awaits the answer to the first one, and then the server's close;
   * otherwise it closes by itself. Resolves with all that came back.
   */
  speak(talk: Talk): Promise<Answer>;
}

const nodeWs: Speaker = {
  name: 'Node, ws',
  missing: undefined,
  speak({ url, protocol, frames }) {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const socket = new WebSocket(url, protocol, { perMessageDeflate: false });
    const received: string[] = [];
    const send = (frame: SpokenFrame): void => {
      if ('text' in frame) socket.send(frame.text);
      else if ('binary' in frame) socket.send(frame.binary, { binary: true });
      else socket.send(frame.textBytes, { binary: false });
    };
    socket.on('error', reject);
    socket.on('open', () => {
      for (const frame of socket.protocol === 'sluice.v1' ? frames.slice(0, 1) : frames) send(frame);
      if (socket.protocol !== 'sluice.v1') socket.close();
    });
    socket.on('message', (data) => {
      received.push(data.toString());
      if (socket.protocol === 'sluice.v1' && received.length === 1)
        for (const frame of frames.slice(1)) send(frame);
    });
    socket.on('close', (code) => resolve({ received, code }));
    return promise;
  },
};

const PYTHON = process.env.PYTHON ?? '/usr/bin/python3';
const SCRIPT = fileURLToPath(new URL('speak.py', import.meta.url));

function missingPython(): string | undefined {
  const { error, status, stderr } = spawnSync(PYTHON, ['-c', 'import websockets.frames'], {
    encoding: 'utf8',
  });
  if (error === undefined && status === 0) return undefined;
  const reason = error?.message ?? stderr.trim().split('\n').at(-1);
  return `${PYTHON} has no websockets (${reason}): install Debian's package python3-websockets, or name another Python in the variable PYTHON`;
}

const python: Speaker = {
  name: 'Python, websockets',
  missing: missingPython(),
  speak({ url, protocol, frames }) {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const child = execFile(
      PYTHON,
      [SCRIPT],
      { timeout: HANG_LIMIT_MS, maxBuffer: 16 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error === null) resolve(JSON.parse(stdout) as Answer);
        else reject(new Error(`${error.message}\n${stderr}`));
      },
    );
    const order = {
      url,
      protocol: protocol ?? null,
      frames: frames.map((frame) => {
        if ('text' in frame) return frame;
        if ('binary' in frame) return { binary: frame.binary.toString('hex') };
        return { textBytes: frame.textBytes.toString('hex') };
      }),
    };
    child.stdin?.end(JSON.stringify(order));
    return promise;
  },
};

export const SPEAKERS: readonly Speaker[] = [nodeWs, python];
