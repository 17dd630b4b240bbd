/**
 * A client of EventoDB, written from its documentation: what its SDKs send, and what they take. The suites
 * SDK-TEST-SPEC run over it.
 */

export type Fetch = (
  path: string,
  init?: { method?: string; headers?: Record<string, string>; body?: string },
) => Promise<{
  status: number;
  headers: { get(name: string): string | null };
  text(): Promise<string>;
}>;

export class EventoDbError extends Error {
  readonly code: string;
  readonly status: number;
  readonly details: unknown;

  constructor(status: number, error: { code: string; message: string; details?: unknown }) {
    super(error.message);
    this.code = error.code;
    this.status = status;
    this.details = error.details;
  }
}

export interface WriteResult {
  position: number;
  globalPosition: number;
}

/** `[id, type, position, globalPosition, data, metadata, time]` */
export type StreamMessage = [string, string, number, number, unknown, unknown, string];
/** `[id, streamName, type, position, globalPosition, data, metadata, time]` */
export type CategoryMessage = [string, string, string, number, number, unknown, unknown, string];

export class EventoDbClient {
  readonly #fetch: Fetch;
  readonly #token: string | undefined;

  constructor(fetch: Fetch, token?: string) {
    this.#fetch = fetch;
    this.#token = token;
  }

  /** Sends a body as it is, and returns the answer, or throws its error. */
  async raw(body: string): Promise<unknown> {
    const response = await this.#fetch('/rpc', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
      },
      body,
    });
    const answer = JSON.parse(await response.text()) as { error: { code: string; message: string } };
    if (response.status !== 200) throw new EventoDbError(response.status, answer.error);
    return answer;
  }

  async rpc<Answer>(method: string, ...args: unknown[]): Promise<Answer> {
    return (await this.raw(JSON.stringify([method, ...args]))) as Answer;
  }

  write(stream: string, message: unknown, options: unknown = {}): Promise<WriteResult> {
    return this.rpc('stream.write', stream, message, options);
  }

  get(stream: string, options: unknown = {}): Promise<StreamMessage[]> {
    return this.rpc('stream.get', stream, options);
  }

  last(stream: string, options: unknown = {}): Promise<StreamMessage | null> {
    return this.rpc('stream.last', stream, options);
  }

  version(stream: string): Promise<number | null> {
    return this.rpc('stream.version', stream);
  }

  category(category: string, options: unknown = {}): Promise<CategoryMessage[]> {
    return this.rpc('category.get', category, options);
  }
}
