/** Requests to the Worker, with the token where one is asked for, and its refusals as errors. */

/** What a refusal says (RFC 9457), as far as this page reads it. */
export interface Refusal {
  code: string;
  detail: string;
  /** The option that was no good. */
  option?: string;
  /** The run that is in the way. */
  run?: string;
}

/** The Worker answered, and said no. */
export class ApiError extends Error {
  readonly status: number;
  readonly refusal: Refusal;

  constructor(status: number, refusal: Refusal) {
    super(refusal.detail);
    this.status = status;
    this.refusal = refusal;
  }
}

// The Worker's routes may be mounted below a path: `/sluice/bench` asks `/sluice/bench/runs`.
const BASE = location.pathname.replace(/\/bench\/?$/, '');

const TOKEN_KEY = 'sluice-bench-token';

export class Api {
  // In this tab only: it is gone with the tab, and never part of an address.
  #token = readToken();

  get hasToken(): boolean {
    return this.#token !== null;
  }

  /** The token for all further requests; null forgets it. */
  setToken(token: string | null): void {
    this.#token = token;
    try {
      if (token === null) sessionStorage.removeItem(TOKEN_KEY);
      else sessionStorage.setItem(TOKEN_KEY, token);
    } catch {
      // A browser that lets pages keep nothing: the token lasts until the page is loaded again.
    }
  }

  /** @throws ApiError for every status from 400 on; TypeError where nobody answers */
  async request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.#token !== null) headers.set('authorization', `Bearer ${this.#token}`);
    const response = await fetch(BASE + path, { ...init, headers, cache: 'no-store', redirect: 'error' });
    if (!response.ok) throw new ApiError(response.status, await refusalOf(response));
    return response;
  }

  async json<Body>(path: string, init?: RequestInit): Promise<Body> {
    return (await (await this.request(path, init)).json()) as Body;
  }

  async text(path: string): Promise<string> {
    return (await this.request(path)).text();
  }

  post<Body>(path: string, body: unknown): Promise<Body> {
    return this.json(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  /** Saves what is at an address as a file. A link could not send the token. */
  async download(path: string): Promise<void> {
    const response = await this.request(path);
    const named = /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1];
    const address = URL.createObjectURL(await response.blob());
    const link = document.createElement('a');
    link.href = address;
    link.download = named ?? path.slice(path.lastIndexOf('/') + 1);
    link.click();
    URL.revokeObjectURL(address);
  }
}

function readToken(): string | null {
  try {
    return sessionStorage.getItem(TOKEN_KEY);
  } catch {
    return null;
  }
}

async function refusalOf(response: Response): Promise<Refusal> {
  const found = (await response.json().catch(() => null)) as Partial<Refusal> | null;
  // Not one of ours: a proxy in between, or a Worker that is being replaced.
  if (typeof found?.code !== 'string' || typeof found.detail !== 'string') {
    return { code: '', detail: `The server answered with status ${response.status}.` };
  }
  return found as Refusal;
}
