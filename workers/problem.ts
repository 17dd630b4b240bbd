/** Errors as HTTP answers. */

import { toProblem } from '../src/core/errors.ts';

/** An error as `application/problem+json` (RFC 9457). */
export function problemResponse(error: unknown): Response {
  const problem = toProblem(error);
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' };
  if (problem.code === 'upgrade_required') headers.upgrade = 'websocket';
  if (problem.code === 'unauthorized') headers['www-authenticate'] = 'Bearer';
  if (problem.code === 'bench_running') headers['retry-after'] = '10';
  // Where it is known better, it is said over this.
  if (problem.code === 'rate_limited') headers['retry-after'] = '1';
  return new Response(`${JSON.stringify(problem)}\n`, { status: problem.status, headers });
}
