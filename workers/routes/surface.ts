/**
 * What all routes have in common, before and after their own work: which pages may ask (CORS, and who may connect and send), and the
 * headers of every answer that is no socket.
 */

import { Hono, type MiddlewareHandler, type NotFoundHandler } from 'hono';
import { cors } from 'hono/cors';
import { secureHeaders } from 'hono/secure-headers';
import type { Env } from '../env.ts';
import type { OriginRules } from '../origins.ts';
import { isUpgrade, refusedUpgrade } from './socket.ts';

type Routes = Hono<{ Bindings: Env }>;
type Middleware = MiddlewareHandler<{ Bindings: Env }>;

/** How long a browser may remember what a preflight was answered. A changed list of origins is known to all after that. */
const PREFLIGHT_SECONDS = 600;

/** Methods that change nothing. `OPTIONS` is answered here. */
const LOOKING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Headers that a page may read of an answer, besides those that it always may. */
const EXPOSED = ['location', 'retry-after', 'ratelimit', 'ratelimit-policy'];

/**
 * A router with the surface of some routes, to which they have to be added. Only they have it: an application that mounts them at
 * its root may have other paths, which stay as they are.
 */
export function surfaceOf(routes: Routes, origins: OriginRules): Routes {
  const router = new Hono<{ Bindings: Env }>();
  for (const [path, methods] of methodsByPath(routes)) {
    const middleware = middlewareOf(origins, methods);
    if (methods.has('ALL')) router.all(path, ...middleware);
    else router.on([...methods, 'OPTIONS'], path, ...middleware);
  }
  return router;
}

/** Requests whose answer has its surface, or gets it. */
const surfaced = new WeakSet<object>();

/** What goes before a route, and after it, in this order. */
function middlewareOf(origins: OriginRules, methods: ReadonlySet<string>): readonly [Middleware, Middleware] {
  const answerPages = cors({
    origin: (origin, { req, env }) => (origins.allow(req.raw, env as Env) ? origin : null),
    allowMethods: methods.has('ALL') ? ['GET', 'POST', 'DELETE'] : [...methods],
    allowHeaders: ['authorization', 'content-type', 'last-event-id', 'sluice-operator'],
    exposeHeaders: EXPOSED,
    maxAge: PREFLIGHT_SECONDS,
  });
  const guarded: Middleware = async (context, next) => {
    const { env, req } = context;
    // A path may fit several routes, such as `/bench` and `/bench/*`.
    if (surfaced.has(req)) return await next();
    surfaced.add(req);
    if (!isUpgrade(req.raw)) {
      return await harden(context, async () => {
        const preflight = await answerPages(context, next);
        if (preflight !== undefined) context.res = preflight;
      });
    }
    try {
      origins.assertAllowed(req.raw, env);
    } catch (error) {
      // A browser shows no other answer to a page that connects.
      return refusedUpgrade(req.raw, error);
    }
    await next();
    // The headers of a socket's answer cannot be set.
    if (context.res.status !== 101) await harden(context, async () => {});
  };
  const sending: Middleware = async (context, next) => {
    if (!LOOKING.has(context.req.method)) origins.assertAllowed(context.req.raw, context.env);
    await next();
  };
  return [guarded, sending];
}

/** The answer where there is no route, with the same headers as all others. */
export function surfacedNotFound(
  origins: OriginRules,
  answer: NotFoundHandler<{ Bindings: Env }>,
): NotFoundHandler<{ Bindings: Env }> {
  const [guarded] = middlewareOf(origins, new Set());
  return async (context) => {
    const answered = await guarded(context, async () => {
      context.res = await answer(context);
    });
    return answered ?? context.res;
  };
}

/** A page or a report has a policy for what it needs; in every other answer nothing runs, whatever it holds. */
const HEADERS: Middleware = secureHeaders({
  xContentTypeOptions: 'nosniff',
  referrerPolicy: 'no-referrer',
  crossOriginResourcePolicy: 'same-origin',
  xFrameOptions: 'DENY',
  contentSecurityPolicy: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
  // Whether a domain and those below it are for TLS only is decided by its owner.
  strictTransportSecurity: false,
  xDnsPrefetchControl: false,
  xDownloadOptions: false,
  xPermittedCrossDomainPolicies: false,
  xXssProtection: false,
  removePoweredBy: false,
  overwrite: false,
});

const harden: Middleware = (context, next) =>
  HEADERS(context, async () => {
    await next();
    // Setting one makes a copy of the headers: those of an answer of a Durable Object cannot be set.
    context.header('cache-control', context.res.headers.get('cache-control') ?? 'no-store');
  });

/** Each path of the routes with its methods; `ALL` where every method is one. */
function methodsByPath(routes: Routes): Map<string, Set<string>> {
  const paths = new Map<string, Set<string>>();
  for (const { path, method } of routes.routes) {
    const methods = paths.get(path) ?? new Set();
    methods.add(method);
    paths.set(path, methods);
  }
  return paths;
}
