/** Requests as they are below the path that the router is mounted at. */

import type { Context } from 'hono';
import { basePath } from 'hono/route';

/**
 * The address of a request without the path that the router is mounted at: Durable Objects know their own paths only.
 * `/sluice/rpc?token=…` of a router that is mounted at `/sluice` becomes `/rpc?token=…`.
 */
export function ownAddress(context: Context): string {
  const url = new URL(context.req.url);
  const base = basePath(context).replace(/\/$/, '');
  if (base !== '' && url.pathname.startsWith(`${base}/`)) url.pathname = url.pathname.slice(base.length);
  return url.href;
}

/** The path of `ownAddress` alone: `/rpc`. */
export function ownPath(context: Context): string {
  return new URL(ownAddress(context)).pathname;
}
