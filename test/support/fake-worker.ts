/** A Worker that answers what it is told to, for tests of the commands that ask one. */

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterEach, beforeEach } from 'vitest';

/** A request that came. */
export interface Asked {
  method: string | undefined;
  path: string | undefined;
  authorization: string | undefined;
  body: unknown;
}

export interface Answer {
  /** Default: 200. */
  status?: number;
  body: unknown;
}

export interface FakeWorker {
  url: string;
  /** What was asked in this test. */
  asked: Asked[];
  /** What it answers, in turn. */
  answers: Answer[];
  /** Resolves when it listens no more. */
  stop(): Promise<void>;
}

/** One that listens during each test of the file. */
export function fakeWorker(): FakeWorker {
  let server: Server;
  const worker: FakeWorker = {
    url: '',
    asked: [],
    answers: [],
    async stop() {
      server.close();
      await once(server, 'close');
    },
  };
  beforeEach(async () => {
    worker.asked = [];
    worker.answers = [];
    server = createServer((request, response) => {
      let text = '';
      request.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      request.on('end', () => {
        worker.asked.push({
          method: request.method,
          path: request.url,
          authorization: request.headers.authorization,
          body: text === '' ? undefined : JSON.parse(text),
        });
        const { status = 200, body } = worker.answers.shift() ?? { status: 500, body: 'no more answers' };
        response.writeHead(status);
        response.end(typeof body === 'string' ? body : JSON.stringify(body));
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    worker.url = `http://127.0.0.1:${address.port}`;
  });
  afterEach(() => {
    server.close();
  });
  return worker;
}
