/** What the Worker is bound to: the only place where the names of bindings and variables are spelled. */

import type { AnalyticsDataset } from '../src/monitor/exports/analytics-exporter.ts';
import type { MonitorCalls, NamespaceCalls, ObjectsOf, RegistryCalls, ShardCalls } from './objects.ts';

export interface Env {
  SHARD: ObjectsOf<ShardCalls>;
  /** Keeps what the shards report: one object. Not bound: there is no dashboard, no history and no alert. */
  MONITOR?: ObjectsOf<MonitorCalls>;
  /** Namespaces of the stores, each by its name. Bound where the Worker has the stores, and so is the next. */
  NAMESPACE: ObjectsOf<NamespaceCalls>;
  /** The list of them: one object. */
  REGISTRY: ObjectsOf<RegistryCalls>;
  /** Which version of the Worker runs; where it is bound, it marks deployments. */
  CF_VERSION_METADATA?: { id: string; tag: string };
  /** Wins over DATABASE_URL where it is bound. */
  HYPERDRIVE?: Hyperdrive;
  /** `postgres://user:password@host:port/database`; a secret. */
  DATABASE_URL?: string;
  /** `auto` (default), `tcp` or `neon`. */
  DRIVER?: string;
  /** Where the Neon driver goes instead of the Neon host: `host:port/path`. For local use. */
  NEON_PROXY?: string;
  /** Who may send: `open`, or a list, by commas, of `jwt`, `tokens` and `tickets`. Over `authorize` of `createSluice`. */
  AUTHORIZE?: string;
  /** Of `jwt`: the address of the issuer's keys, or one or more secrets with white space between them. */
  JWKS_URL?: string;
  JWT_SECRET?: string;
  /** What `aud` and `iss` may be, with white space between several. */
  JWT_AUDIENCE?: string;
  JWT_ISSUER?: string;
  /** Of `tokens`: `name:sha256:<hex>`, or a JSON list; a secret. */
  INGEST_TOKENS?: string;
  /** Of `tickets`: one or more secrets with white space between them. The first one signs. */
  TICKET_SECRETS?: string;
  /** Pages of which origins may ask: a list by white space or commas. Over `origins` of `createSluice`. */
  ORIGINS?: string;
  /** Tokens of those who may look at figures: a list by white space or commas; a secret (src/access/operator-tokens.ts). */
  READ_TOKENS?: string;
  /** Tokens of those who may also see messages, and change something: a secret, as above. */
  OPERATE_TOKENS?: string;
  /** `open` lets everybody look and operate. Unset, empty or `closed`: the tokens decide. */
  OPERATORS?: string;
  /**
   * How much somebody may send, as JSON or a table: `{"producer":{"messagesPerSecond":100}}`. Over `limits` of `createSluice`,
   * number by number.
   */
  LIMITS?: string | Record<string, unknown>;
  /** What all objects of an isolate may hold in memory, in bytes (workers/isolate-memory.ts). */
  MEMORY_BUDGET_BYTES?: string;
  /** Whom to tell of alerts: an address, or JSON; a secret. Over `alerts.webhooks` of `createSluice`. */
  ALERT_WEBHOOKS?: string | readonly unknown[];
  /** Rules of alerts by name, as JSON or a table. Over `alerts.rules`. */
  ALERT_RULES?: string | Record<string, unknown>;
  /** Where the messages of a new namespace are, unless it says otherwise: `sqlite` (default) or `postgres`. */
  STORE_ENGINE?: string;
  /** The namespace that requests without a token belong to, made at its first use; for local use. Unset: none. */
  OPEN_NAMESPACE?: string;
  /** Takes a point of each shard each minute (docs/metrics.md). */
  ANALYTICS?: AnalyticsDataset;
  /** A collector that figures are sent to by OTLP/HTTP, as `https://otel.example.com:4318` (src/monitor/exports/otlp-options.ts). */
  OTLP_URL?: string;
  /** Headers for it, as `authorization=Bearer%20…`; a secret. */
  OTLP_HEADERS?: string;
  /** `service.name` there. Default: `sluice`. */
  OTLP_SERVICE?: string;
  /** Where the Worker runs, for reports; set by the local commands. Unset: on Cloudflare. */
  RUNS_ON?: string;
  /**
   * Options of the sinks by name, as a table or as JSON text; over those of `createSluice`. A name with a `namespace` is a
   * sink of streams.
   */
  SINKS?: string | Record<string, Record<string, unknown>>;
}
