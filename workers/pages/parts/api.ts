/** Requests to the Worker, with the token where one is asked for, and its refusals as errors. */

/** The Worker answered, and said no (RFC 9457). */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.status = status;
    this.code = code;
  }

  /** A token would help. */
  get asksForToken(): boolean {
    return this.status === 401 || this.status === 403;
  }

  /** To ask again in the same way brings the same. */
  get isFinal(): boolean {
    return this.status >= 400 && this.status < 500 && this.status !== 408 && this.status !== 429;
  }
}

export interface ApiOptions {
  /** The path of the page: the Worker's routes lie beside it, below whatever it is mounted at. */
  page: string;
  /** The name that the token is kept under, for as long as the tab is there. */
  tokenKey: string;
}

export class Api {
  readonly #base: string;
  readonly #key: string;
  // In this tab only: it is gone with the tab, and never part of an address.
  #token: string | null;
  /** What somebody has said to be called: the audit log says so beside what was done. */
  operatorName = '';

  constructor({ page, tokenKey }: ApiOptions) {
    const path = location.pathname.replace(/\/$/, '');
    this.#base = path.endsWith(page) ? path.slice(0, -page.length) : '';
    this.#key = tokenKey;
    this.#token = this.#read();
  }

  get hasToken(): boolean {
    return this.#token !== null;
  }

  /** The token for all further requests; null forgets it. */
  setToken(token: string | null): void {
    this.#token = token;
    try {
      if (token === null) sessionStorage.removeItem(this.#key);
      else sessionStorage.setItem(this.#key, token);
    } catch {
      // A browser that lets pages keep nothing: the token lasts until the page is loaded again.
    }
  }

  #read(): string | null {
    try {
      return sessionStorage.getItem(this.#key);
    } catch {
      return null;
    }
  }

  /** @throws ApiError for every status from 400 on; TypeError where nobody answers */
  async request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.#token !== null) headers.set('authorization', `Bearer ${this.#token}`);
    const response = await fetch(this.#base + path, {
      ...init,
      headers,
      cache: 'no-store',
      redirect: 'error',
    });
    if (!response.ok) throw await errorOf(response);
    return response;
  }

  /** What is at an address, as JSON. @throws as `request` */
  async get<Body>(
    path: string,
    query: Record<string, string | number | null | undefined> = {},
  ): Promise<Body> {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== null && value !== undefined) search.set(name, String(value));
    }
    const response = await this.request(search.size === 0 ? path : `${path}?${search}`);
    return (await response.json()) as Body;
  }

  /** @throws as `request` */
  async post<Body>(path: string, body: unknown): Promise<Body> {
    // A header has no other letters.
    const name = this.operatorName.replaceAll(/[^\x20-\x7e]/g, '').trim();
    const response = await this.request(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(name === '' ? {} : { 'sluice-operator': name }) },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    return (text === '' ? undefined : JSON.parse(text)) as Body;
  }
}

async function errorOf(response: Response): Promise<ApiError> {
  const found = (await response.json().catch(() => null)) as { code?: unknown; detail?: unknown } | null;
  // Not one of ours: a proxy in between, or a Worker that is being replaced.
  if (typeof found?.code !== 'string' || typeof found.detail !== 'string')
    return new ApiError(response.status, '', `The server answered with status ${response.status}.`);
  return new ApiError(response.status, found.code, found.detail);
}
