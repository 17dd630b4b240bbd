/** The public surface of `sluice/worker`. */

// Who may send.
export type { AccessQuestion, Authorize } from '../src/access/authorize.ts';
export type { FromEnv } from '../src/access/from-env.ts';
export type { Grant, PriorityClass } from '../src/access/grant.ts';
export type { JwtAlgorithm, JwtOptions } from '../src/access/jwt.ts';
export type { AccessLimits, LimitsOf } from '../src/access/limits.ts';
export { issueTicket, type TicketRequest, type TicketSecrets, tickets } from '../src/access/tickets.ts';
export { type StaticToken, type StaticTokens, tokens } from '../src/access/tokens.ts';
/** What an `Authorize` throws to refuse somebody. */
export { SluiceError } from '../src/core/errors.ts';
export type { AlertOptions } from '../src/monitor/alerts/options.ts';
export type { RuleOptions } from '../src/monitor/alerts/rule-options.ts';
export type { WebhookFormat, WebhookOptions } from '../src/monitor/alerts/webhook.ts';
export type { AuthorizeOption } from './authorization.ts';
export {
  createSluice,
  type DurableObjectClass,
  type LabClasses,
  type Sluice,
  type SluiceOptions,
  type SluicePart,
  type SluiceWorker,
  type StoreClasses,
} from './create-sluice.ts';
export { jwt } from './jwt.ts';
export type { SinkInput } from './sinks.ts';
/** A Durable Object's own SQLite, for the engines of the stores. */
export { DurableObjectSqlite } from './sqlite.ts';
export { stores } from './stores.ts';
