/** What the checks of a deployment know, and how they ask it. None of it wakes a shard. */

import type { MonitorView } from '../../src/monitor/view.ts';
import { operatorHeaders } from '../operator-token.ts';
import { routeOf } from '../worker-address.ts';
import { isLoopback } from './database-facts.ts';

/** Where nothing has to answer, a moment has to do. */
const LOOK_LIMIT_MS = 2_000;
const ANSWER_LIMIT_MS = 15_000;

export interface Answer {
  status: number;
  /** What was answered, where it is JSON. */
  body: unknown;
  /** The code of an error of Sluice; undefined for another answer. */
  code: string | undefined;
  /** Its sentence. */
  detail: string | undefined;
}

export interface DeploymentFacts {
  url: URL;
  /** On this machine: what it opens, it opens to nobody else. */
  isLocal: boolean;
  hasToken: boolean;
  /** Asks a route without following redirects; without the operator's token, as a stranger, where that is said. */
  ask(path: string, who: 'operator' | 'stranger'): Promise<Answer>;
  /** What `/monitor/view` answered to the operator. */
  viewed: Answer;
  /** The same, where it was answered. */
  view: MonitorView | undefined;
  /** Sinks of the project in which the doctor was called. */
  sinkNames: readonly string[];
}

/** Whether something answers there, or takes its time to. */
export function answers(url: URL): Promise<boolean> {
  return fetch(routeOf(url, '/health'), { signal: AbortSignal.timeout(LOOK_LIMIT_MS) }).then(
    () => true,
    (error: unknown) => (error as Error).name === 'TimeoutError',
  );
}

/** @param token in place of the one of the environment */
export async function deploymentFacts(
  url: URL,
  sinkNames: readonly string[],
  token?: string,
): Promise<DeploymentFacts> {
  const headers = operatorHeaders(token);
  async function ask(path: string, who: 'operator' | 'stranger'): Promise<Answer> {
    const response = await fetch(routeOf(url, path), {
      headers: who === 'operator' ? headers : {},
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    });
    const body = jsonOf(await response.text());
    const { code, detail } = (body ?? {}) as { code?: unknown; detail?: unknown };
    return {
      status: response.status,
      body,
      code: typeof code === 'string' ? code : undefined,
      detail: typeof detail === 'string' ? detail : undefined,
    };
  }
  const viewed = await ask('/monitor/view', 'operator');
  const isView = viewed.status === 200 && Array.isArray((viewed.body as Partial<MonitorView> | null)?.sinks);
  return {
    url,
    isLocal: isLoopback(url.hostname.replace(/^\[|\]$/g, '')),
    hasToken: Object.keys(headers).length > 0,
    ask,
    viewed,
    view: isView ? (viewed.body as MonitorView) : undefined,
    sinkNames,
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
