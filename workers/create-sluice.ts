/**
 * A Worker from its sinks: the routes, and the Durable Object classes to extend and export. Everything a user's Worker
 * needs comes from here; nothing of it has to be edited.
 */

import type { Hono } from 'hono';
import type { LimitsOf } from '../src/access/limits.ts';
import { type AlertOptions, type AlertSettings, alertSettings } from '../src/monitor/alerts/options.ts';
import { Authorization, type AuthorizeOption } from './authorization.ts';
import type { Env } from './env.ts';
import { Monitor } from './monitor.ts';
import { OriginRules } from './origins.ts';
import { Limits } from './request-limit.ts';
import { createRouter, type RouterPart } from './routes/router.ts';
import { Shard } from './shard.ts';
import type { AskForToken } from './shard-access.ts';
import { type ShardRole, sinkRole } from './shard-role.ts';
import { type SinkInput, Sinks } from './sinks.ts';

/** A class of Durable Objects, to extend and export. The type is written out: an inferred one cannot be exported (TS4094). */
export type DurableObjectClass = new (
  ctx: DurableObjectState,
  // Whatever the Worker's own type of its bindings is: it may name the classes that extend this one. The types that
  // wrangler generates take no class whose parameter is `never` or `unknown` for one of Durable Objects.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  env: any,
) => import('cloudflare:workers').DurableObject;

/** A part that a Worker has only where it asks for it: routes, and classes of Durable Objects by the names of exports. */
export interface SluicePart<Classes extends Record<string, DurableObjectClass>> extends RouterPart {
  classes: Classes;
}

/** The classes of the message and event store. */
export type StoreClasses = Record<'Namespace' | 'Registry', DurableObjectClass>;
/** The classes of the bench. */
export type LabClasses = Record<'BenchShard' | 'BenchObject' | 'LoadObject', DurableObjectClass>;

export interface SluiceOptions {
  /**
   * The sinks by their names, which are part of addresses (`/ws/readings`): 1 to 64 letters, digits, _ and -. The variable
   * SINKS sets options over those given here.
   */
  sinks: Readonly<Record<string, SinkInput>>;
  /**
   * Who may send: `jwt(…)`, `tokens(…)`, `tickets(…)` of `sluice/worker`, a function of the request, or a list of these, which
   * are asked in this order. `'open'`: everybody. The variable AUTHORIZE sets it over what is given here. With neither, nobody
   * can connect.
   */
  authorize?: AuthorizeOption;
  /**
   * How much somebody may send: a tenant, a producer, a connection, an address. The variable LIMITS sets numbers over those given
   * here, and a grant over both. Default: as much as they want.
   */
  limits?: LimitsOf;
  /**
   * Pages of which origins may connect, send and read answers: `https://app.example.com`, patterns such as
   * `https://*.example.com` and `http://localhost:*`, `*` for all. At most 100. The variable ORIGINS sets them over those given
   * here. Pages of the Worker's own origin always may. Default: only these.
   */
  origins?: readonly string[];
  /**
   * Whom to tell when something is wrong (webhooks), and which rules of alerts differ from the defaults. The variables ALERT_WEBHOOKS
   * and ALERT_RULES are over what is given here. Default: all rules, and nobody is told.
   */
  alerts?: AlertOptions;
  /** The message and event store: `stores` of `sluice/worker`. Default: the Worker has none. */
  stores?: SluicePart<StoreClasses>;
  /** The bench under `/bench`: `lab` of `sluice/lab`. Default: the Worker has none. */
  lab?: SluicePart<LabClasses>;
}

/** What every Worker of Sluice has. It is the module's default export, as it is. */
export interface SluiceWorker {
  /** The fetch handler. */
  fetch(request: Request, env: unknown, context: ExecutionContext): Response | Promise<Response>;
  /** The routes, to be mounted in a Hono application: `app.route('/sluice', sluice.router)`. */
  // biome-ignore lint/suspicious/noExplicitAny: a router fits into applications with any bindings and variables.
  router: Hono<any>;
  /** The Durable Object that holds sockets and messages. Bound as SHARD. */
  Shard: DurableObjectClass;
  /** The Durable Object that keeps what the shards report: dashboard, metrics, history, alerts. Bound as MONITOR. */
  Monitor: DurableObjectClass;
}

/** A Worker with the parts that its options ask for. */
export type Sluice<Options extends SluiceOptions> = SluiceWorker &
  (Options extends { stores: SluicePart<infer Classes> } ? Classes : unknown) &
  (Options extends { lab: SluicePart<infer Classes> } ? Classes : unknown);

/**
 * Makes a Worker.
 *
 * ```ts
 * const sluice = createSluice({ sinks: { readings: { table: readings } } });
 * export default sluice;
 * export class Shard extends sluice.Shard {}
 * ```
 *
 * @throws SluiceError `invalid_options` or `invalid_namespace` where a sink is wrong, which it names, or `authorize`, `origins` or `alerts` are
 */
export function createSluice<const Options extends SluiceOptions>(options: Options): Sluice<Options> {
  const sinks = new Sinks(options.sinks);
  const parts = [options.stores, options.lab].filter((part) => part !== undefined);
  const authorization = new Authorization(options.authorize);
  const limits = new Limits(options.limits);
  const origins = new OriginRules(options.origins);
  const router = createRouter(sinks, authorization, origins, limits, parts);
  const worker: SluiceWorker = {
    fetch: (request, env, context) => router.fetch(request, env as Env, context),
    router,
    Shard: shardOf(sinks, authorization, limits) as unknown as DurableObjectClass,
    Monitor: monitorClass(sinks, options.alerts) as unknown as DurableObjectClass,
  };
  return Object.assign(worker, ...parts.map(({ classes }) => classes)) as Sluice<Options>;
}

/** The class of the shards of these sinks. */
export function shardOf(
  sinks: Sinks,
  authorization: Authorization,
  limits: Limits,
): new (
  ctx: DurableObjectState,
  env: Env,
) => Shard {
  return class extends Shard {
    /** For tools, which load a Worker and find this by the class that it exports (local/worker-sinks.ts). */
    static readonly sluiceSinks = sinks;
    static readonly sluiceAuthorize = authorization.said;

    protected override role(name: string): ShardRole {
      return sinkRole(name, (sink) => {
        // A shard without limits that somebody meant to set takes nothing, as one whose sink is wrong.
        limits.of(this.env);
        return sinks.find(this.env, sink);
      });
    }

    protected override limits(): LimitsOf {
      return limits.of(this.env);
    }

    protected override authorizer(): AskForToken {
      return (request, asked) => authorization.ask(request, { ...asked, ticket: undefined }, this.env);
    }
  };
}

/** The class of the monitor of these sinks. */
function monitorClass(
  sinks: Sinks,
  alerts: AlertOptions = {},
): new (
  ctx: DurableObjectState,
  env: Env,
) => Monitor {
  // Said where the Worker is defined, and not when its monitor first starts. Addresses may be those of this machine until it is known.
  alertSettings(alerts, {}, { isLocal: true });
  return class extends Monitor {
    protected override alertSettings(): AlertSettings {
      return alertSettings(alerts, this.env, { isLocal: this.env.RUNS_ON !== undefined });
    }

    protected override sinks(): Sinks {
      return sinks;
    }
  };
}
