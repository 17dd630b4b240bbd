/** A server with the dashboard and what it asks for: figures that a test sets, and actions that it remembers. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { MonitorView } from '../../src/monitor/view.ts';
import type { DeadLetterGroup } from '../../src/outbox/dead-letter-groups.ts';
import { dashboardPage } from '../../workers/pages/dashboard/dashboard-page.ts';
import { alertOf, historyView, NOON_MS, wellView } from './monitor-views.ts';

export interface FakeLetter {
  id: number;
  payload: string;
}

/** What was asked for that changes something. */
export interface Posted {
  path: string;
  body: unknown;
}

export class FakeMonitor {
  readonly #server: Server;
  readonly #streams = new Set<ServerResponse>();
  url = '';
  view: MonitorView = wellView();
  /** Tokens that are known; none: everybody may. */
  tokens: Record<string, 'read' | 'operate'> = {};
  /** Answers that a test has set, by method and path, each used once. */
  readonly answers = new Map<string, { status: number; body: unknown }>();
  posted: Posted[] = [];
  /** Streams that were opened. */
  opened = 0;
  /** The address below which everything is. */
  base = '';
  groups: DeadLetterGroup[] = [];
  letters: FakeLetter[] = [];
  history = historyView();

  constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    this.url = `http://127.0.0.1:${address.port}`;
    return this;
  }

  async stop(): Promise<void> {
    this.dropStreams();
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** As after a start. */
  reset(): void {
    this.dropStreams();
    Object.assign(this, {
      view: wellView(),
      tokens: {},
      posted: [],
      opened: 0,
      base: '',
      groups: [],
      letters: [],
      history: historyView(),
    });
    this.answers.clear();
  }

  get watching(): number {
    return this.#streams.size;
  }

  /** Sends a view to all who watch, and to all who come. */
  show(view: MonitorView): void {
    this.view = view;
    for (const stream of this.#streams) this.#send(stream);
  }

  /** As a Worker does that is replaced. */
  dropStreams(): void {
    for (const stream of this.#streams) stream.destroy();
    this.#streams.clear();
  }

  #send(stream: ServerResponse): void {
    stream.write(`event: view\ndata: ${JSON.stringify(this.view)}\n\n`);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url);
    const path = pathname.startsWith(this.base) ? pathname.slice(this.base.length) : '?';
    const method = request.method ?? 'GET';
    let text = '';
    for await (const chunk of request.setEncoding('utf8')) text += chunk;
    if (path === '/dashboard') {
      const page = await dashboardPage();
      response.writeHead(page.status, Object.fromEntries(page.headers)).end(await page.text());
      return;
    }
    const role = this.tokens[/^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''];
    const needs = method === 'POST' || path.includes('/dead-letters') ? 'operate' : 'read';
    if (Object.keys(this.tokens).length > 0 && role !== 'operate' && role !== needs) {
      return role === undefined
        ? problem(response, 401, 'unauthorized', 'A token is asked for')
        : problem(
            response,
            403,
            'forbidden',
            'This token may only look: this asks for one of OPERATE_TOKENS',
          );
    }
    if (method === 'POST') this.posted.push({ path, body: text === '' ? undefined : JSON.parse(text) });
    const set = this.answers.get(`${method} ${path}`);
    if (set !== undefined) {
      this.answers.delete(`${method} ${path}`);
      return json(response, set.body, set.status);
    }
    if (path === '/monitor/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      this.opened += 1;
      this.#streams.add(response);
      response.on('close', () => this.#streams.delete(response));
      this.#send(response);
      return;
    }
    const answer = this.#bodyOf(method, path, searchParams);
    if (answer === undefined) problem(response, 404, 'not_found', `There is nothing at ${path}`);
    else json(response, answer);
  }

  #bodyOf(method: string, path: string, query: URLSearchParams): unknown {
    if (path === '/monitor/view') return this.view;
    if (path === '/monitor/history') return this.history;
    if (path === '/monitor/alerts')
      return {
        current: this.view.alerts,
        history: [
          alertOf({
            id: 'h1',
            state: 'resolved',
            activeAtMs: NOON_MS - 7_200_000,
            resolvedAtMs: NOON_MS - 7_000_000,
          }),
        ],
      };
    if (path === '/monitor/audit')
      return {
        entries: [
          { atMs: NOON_MS - 60_000, who: 'Ada', what: 'resume', sink: 'trades', shard: 0, messages: 18 },
        ],
      };
    if (path.endsWith('/dead-letters/groups')) return { groups: this.groups };
    if (path.endsWith('/dead-letters'))
      return this.#page(Number(query.get('after')), Number(query.get('limit')));
    const id = /\/dead-letters\/(\d+)$/.exec(path)?.[1];
    if (id !== undefined) {
      const letter = this.letters.find((one) => one.id === Number(id));
      return letter === undefined ? undefined : { ...presented(letter), payload: letter.payload };
    }
    if (path.endsWith('/dead-letters/retry'))
      return { retried: 1, refused: 0, missing: [], remaining: 0, isFull: false };
    if (path.endsWith('/dead-letters/drop')) return { dropped: 37, missing: [] };
    if (method === 'POST' && path.startsWith('/admin/'))
      return shardState({ isPaused: path.endsWith('/pause') });
    if (method === 'POST') return {};
    return undefined;
  }

  #page(after: number, limit: number): unknown {
    const letters = this.letters.filter(({ id }) => id > after).slice(0, limit);
    const isLast = (letters.at(-1)?.id ?? after) >= (this.letters.at(-1)?.id ?? 0);
    return { letters: letters.map(presented), next: isLast ? null : letters.at(-1)?.id, totals: {} };
  }
}

function presented({ id, payload }: FakeLetter): Record<string, unknown> {
  return {
    id,
    producer: 'acme/device-7',
    epoch: 1,
    sequence: id,
    receivedAt: new Date(NOON_MS - 600_000).toISOString(),
    failedAt: new Date(NOON_MS - 540_000).toISOString(),
    reason: 'invalid input syntax for type numeric: "warm"',
    detail: null,
    hint: null,
    excerpt: payload.slice(0, 200),
    payloadBytes: payload.length,
  };
}

/** What a shard answers to an action. */
export function shardState(given: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    isPaused: false,
    code: null,
    message: null,
    missing: null,
    buffered: 0,
    sockets: 3,
    deadLetters: { count: 0, bytes: 0, maxRows: 10_000, maxBytes: 1, isFull: false },
    ...given,
  };
}

function json(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function problem(response: ServerResponse, status: number, code: string, detail: string): void {
  json(response, { code, detail, status }, status);
}
