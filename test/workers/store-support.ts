/** The message store as its clients see it: namespaces made for a test, and their subscriptions. */

import { exports } from 'cloudflare:workers';
import type { LabEnv } from '../../lab/workers/env.ts';
import type { StoreEngine } from '../../src/store/namespaces.ts';
import { EventoDbClient } from '../support/eventodb-client.ts';
import { askWith, until } from './support.ts';

/** Asks as an operator of a deployment that is open. */
export const admin = new EventoDbClient((path, init) =>
  askWith({ OPERATORS: 'open' }, new Request(`http://sluice${path}`, init)),
);

export function clientOf(token: string | undefined): EventoDbClient {
  // Tenants are no operators.
  return new EventoDbClient(
    (path, init) => askWith({ OPERATORS: 'closed' }, new Request(`http://sluice${path}`, init)),
    token,
  );
}

export interface TestNamespace {
  namespace: string;
  token: string;
  client: EventoDbClient;
  /** Asks something else than `/rpc`, with the token in the header. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

export async function createNamespace(engine: StoreEngine): Promise<TestNamespace> {
  const namespace = `test-${engine}-${crypto.randomUUID().slice(0, 13)}`;
  const { token } = await admin.rpc<{ token: string }>('ns.create', namespace, { engine });
  return {
    namespace,
    token,
    client: clientOf(token),
    fetch: (path, init = {}) =>
      exports.default.fetch(`http://sluice${path}`, {
        ...init,
        headers: { ...(init.headers as Record<string, string>), authorization: `Bearer ${token}` },
      }),
  };
}

export interface Poke {
  stream: string;
  position: number;
  globalPosition: number;
}

/** A subscription that is being read. */
export class TestSubscription {
  /** All that came, as it came. */
  text = '';
  isEnded = false;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(response: Response) {
    if (response.status !== 200 || response.body === null)
      throw new Error(`No subscription: ${response.status}`);
    this.#reader = response.body.getReader();
    void this.#read();
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const { done, value } = await this.#reader.read();
        if (done) break;
        this.text += decoder.decode(value, { stream: true });
      }
    } catch {}
    this.isEnded = true;
  }

  get pokes(): Poke[] {
    return [...this.text.matchAll(/^event: poke\ndata: (.*)$/gm)].map(
      ([, data]) => JSON.parse(data ?? '') as Poke,
    );
  }

  /** Resolves once so many pokes have come. */
  came(count: number): Promise<Poke[]> {
    return until(() => {
      const { pokes } = this;
      if (pokes.length < count)
        throw new Error(`${pokes.length} of ${count} pokes: ${JSON.stringify(pokes)}`);
      return pokes;
    });
  }

  async close(): Promise<void> {
    await this.#reader.cancel();
  }
}

/** Subscribes, and resolves when the subscription has begun. */
export async function subscribe(
  { token }: Pick<TestNamespace, 'token'>,
  query: string,
  headers: Record<string, string> = {},
): Promise<TestSubscription> {
  const response = await exports.default.fetch(`http://sluice/subscribe?${query}&token=${token}`, {
    headers,
  });
  const subscription = new TestSubscription(response);
  await until(() => {
    if (!subscription.text.startsWith(': ready\n\n')) throw new Error('It has not begun');
  });
  return subscription;
}

export type { LabEnv };
