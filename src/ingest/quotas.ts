/**
 * The limits of a shard: whose they are, what each has used, and which clients wait for tokens. Where a deployment has no limits,
 * no socket has a quota, and nothing of this is asked.
 */

import type { Grant } from '../access/grant.ts';
import { type AccessLimits, LIMITED, type Limited, type LimitsOf, mergeLimits } from '../access/limits.ts';
import { tenantOf } from '../access/producer-name.ts';
import { closeCode, closeReason, rawCloseCode, SluiceError } from '../core/errors.ts';
import type { Timers } from '../core/timers.ts';
import type { Credit } from '../protocol/sluice-v1.ts';
import { NO_CREDIT } from './credit.ts';
import type { Holdings } from './holdings.ts';
import type { Peer, Session, SessionAccess, SessionRequest } from './intake.ts';
import { Meter } from './meter.ts';
import type { ShardSession } from './session-port.ts';
import { crowdedSentence, SessionQuota } from './session-quota.ts';

/** Tenants, producers and addresses that are remembered; those that were not seen for longest are forgotten first. */
const MAX_METERS = 65_536;

/** Forgetting is done in lots, since each needs a look at all of them. */
const FORGET_SHARE = 0.01;

/** Clients are told of tokens at most so often. */
const MIN_WAIT_MS = 20;
/** Nobody's clock is trusted for longer. */
const MAX_WAIT_MS = 60_000;

/** Who opens a socket. */
export type QuotaRequest = Pick<SessionRequest, 'producer' | 'address' | 'protocol' | 'access' | 'nowMs'>;

export interface QuotasOptions {
  /** Those of the deployment. */
  limits: LimitsOf;
  /** Of the sink: what a tenant may do is divided by it. */
  shards: number;
  maxMessageBytes: number;
  timers: Timers;
  holdings: Holdings;
}

export class Quotas {
  readonly #options: QuotasOptions;
  readonly #meters = new Map<string, Meter>();
  readonly #waiting = new Set<ShardSession>();
  #cancelTimer: (() => void) | undefined;
  #timerAtMs = 0;
  /** Called when clients that wait may have tokens. */
  onTokens: (() => void) | undefined;
  /** How often a client was told to wait, and how many sockets were refused. */
  restrained = 0;
  refusedConnections = 0;

  constructor(options: QuotasOptions) {
    this.#options = options;
  }

  /** What a socket that opens may send; undefined where nothing bounds it. It counts until `leave`. */
  open(request: QuotaRequest): SessionQuota | undefined {
    const limits = mergeLimits(this.#options.limits, request.access?.grant?.limits);
    const meters: Meter[] = [];
    for (const whose of LIMITED) {
      const own = limits[whose];
      const meter = own === undefined ? undefined : this.#meterOf(whose, own, request);
      if (meter !== undefined) meters.push(meter);
    }
    return meters.length === 0 ? undefined : new SessionQuota(meters);
  }

  /**
   * Other limits hold for a session once a token has come within it that says so.
   *
   * @returns the request to open the session with, and what is to be told of the session
   */
  followGrants(request: SessionRequest): {
    followed: SessionRequest;
    follow: (session: ShardSession & { quota: SessionQuota | undefined }) => void;
  } {
    const { access } = request;
    let session: (ShardSession & { quota: SessionQuota | undefined }) | undefined;
    const follow = (opened: typeof session): void => {
      session = opened;
    };
    if (access === undefined) return { followed: request, follow };
    const onGrant: SessionAccess['onGrant'] = (grant) => {
      access.onGrant(grant);
      if (session === undefined || session.quota?.hasLeft === true) return;
      const isWaiting = this.#waiting.has(session);
      this.forget(session);
      session.quota?.leave();
      const nowMs = this.#options.timers.now();
      session.quota = this.open({ ...request, nowMs, access: { ...access, grant } });
      if (isWaiting) this.#wait(session, session.quota);
    };
    return { followed: { ...request, access: { ...access, onGrant } }, follow };
  }

  /**
   * Why a socket is one too many that has not come in yet: it need not cost more than this. It is asked again when it opens, since
   * others may open meanwhile.
   */
  crowdOf(
    request: Pick<SessionRequest, 'producer' | 'address'> & { grant: Grant | undefined },
  ): SluiceError | undefined {
    const limits = mergeLimits(this.#options.limits, request.grant?.limits);
    for (const whose of LIMITED) {
      const own: AccessLimits | undefined = limits[whose];
      const name = nameOf(whose, request);
      if (own?.connections === undefined || name === undefined) continue;
      const { connections = 0 } = whose === 'tenant' ? this.#shareOf(own) : own;
      const sockets = this.#meters.get(`${whose} ${name}`)?.sockets ?? 0;
      if (sockets < connections) continue;
      this.refusedConnections += 1;
      return new SluiceError('too_many_connections', crowdedSentence({ whose, limits: { connections } }));
    }
    return undefined;
  }

  /** Closes a socket that is one too many. */
  refuse(peer: Peer, quota: SessionQuota, protocol: 'raw' | 'sluice.v1'): Session {
    const code = 'too_many_connections';
    const { crowded } = quota;
    quota.leave();
    this.refusedConnections += 1;
    const sentence = crowded === undefined ? '' : crowdedSentence(crowded);
    peer.close(protocol === 'raw' ? rawCloseCode(code) : closeCode(code), closeReason(code, sentence));
    return { protocol, receive() {}, end() {}, memory: undefined, isWelcome: false };
  }

  #meterOf(whose: Limited, limits: AccessLimits, request: QuotaRequest): Meter | undefined {
    const { nowMs } = request;
    const { messagesPerSecond, bytesPerSecond, connections, outboxShare } = limits;
    const name = nameOf(whose, request);
    const isBound = [messagesPerSecond, bytesPerSecond, connections, outboxShare].some(Number.isFinite);
    if (name === undefined || !isBound) return undefined;
    const meter = this.#find(whose, name, nowMs);
    meter.limit(whose === 'tenant' ? this.#shareOf(limits) : limits, nowMs);
    return meter;
  }

  #find(whose: Limited, name: string, nowMs: number): Meter {
    const { maxMessageBytes, holdings } = this.#options;
    // Those of one socket end with it.
    if (whose === 'connection') return new Meter(whose, name, maxMessageBytes, holdings);
    const key = `${whose} ${name}`;
    const found = this.#meters.get(key);
    const meter = found ?? new Meter(whose, name, maxMessageBytes, holdings);
    // Set again, it is the youngest in the map's order.
    this.#meters.delete(key);
    if (found === undefined && this.#meters.size >= MAX_METERS) this.#makeRoom(nowMs);
    this.#meters.set(key, meter);
    return meter;
  }

  // Of those that nobody uses, the ones go first that have nothing to remember.
  #makeRoom(nowMs: number): void {
    for (const [key, meter] of this.#meters) if (meter.isAtRest(nowMs)) this.#meters.delete(key);
    let surplus = this.#meters.size - MAX_METERS * (1 - FORGET_SHARE);
    for (const [key, { sockets }] of this.#meters) {
      if (surplus <= 0) return;
      if (sockets > 0) continue;
      this.#meters.delete(key);
      surplus -= 1;
    }
  }

  // A tenant's producers are spread over the shards by their names.
  #shareOf({ messagesPerSecond, bytesPerSecond, connections, outboxShare }: AccessLimits): AccessLimits {
    const { shards } = this.#options;
    return {
      ...(messagesPerSecond === undefined ? {} : { messagesPerSecond: messagesPerSecond / shards }),
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond: bytesPerSecond / shards }),
      ...(connections === undefined ? {} : { connections: Math.max(1, Math.floor(connections / shards)) }),
      ...(outboxShare === undefined ? {} : { outboxShare }),
    };
  }

  /** The credit of a session: what the shard grants, and no more than it has tokens for. One that gets none waits. */
  grant(session: ShardSession, credit: Credit): Credit {
    const { quota } = session;
    // Where the shard itself has no room, that is what the client waits for.
    if (quota === undefined || credit.bytes === 0) return credit;
    // One that waits is told by its turn, also where an ack comes before that.
    if (this.#waiting.has(session)) return NO_CREDIT;
    const own = quota.hasToQueue ? NO_CREDIT : quota.limit(credit, this.#options.timers.now());
    if (own.bytes === 0) this.#wait(session, quota);
    return own;
  }

  // One whose limits have gone while it waited has no quota, and its turn comes at once.
  #wait(session: ShardSession, quota: SessionQuota | undefined): void {
    if (quota?.hasLeft === true) return;
    this.#waiting.add(session);
    quota?.beginWaiting(this.#options.timers.now());
    this.#setTimer(quota);
    if (quota !== undefined) this.restrained += 1;
  }

  /** True while some client waits for tokens, or for room in its share. */
  get hasWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** The session has ended. */
  forget(session: ShardSession): void {
    if (this.#waiting.delete(session)) session.quota?.endWaiting();
  }

  /** Those that wait have tokens, as many as there are; the others wait on, before those that follow them. */
  *takeReady(credit: Credit): Generator<{ session: ShardSession; credit: Credit }> {
    const nowMs = this.#options.timers.now();
    for (const { quota } of this.#waiting) quota?.forgetPromises();
    for (const session of [...this.#waiting]) {
      if ((session.quota?.msUntilTokens(nowMs) ?? 0) > 0) continue;
      const own = session.quota?.limit(credit, nowMs) ?? credit;
      if (own.bytes === 0 || session.quota?.promise(own, nowMs) === false) continue;
      this.forget(session);
      yield { session, credit: own };
    }
  }

  /** The shard has no room: who waits will hear of that. */
  forgetAll(): void {
    for (const session of [...this.#waiting]) this.forget(session);
  }

  // One timer for all, and only while somebody waits: nothing else keeps the object awake.
  #setTimer(quota: SessionQuota | undefined): void {
    // Room comes with a batch that is written, and a database that is away keeps no object awake.
    if (quota?.waitsForRoom === true) return;
    const { timers } = this.#options;
    const nowMs = timers.now();
    const waitMs = Math.max(MIN_WAIT_MS, Math.min(MAX_WAIT_MS, quota?.msUntilTokens(nowMs) ?? 0));
    if (this.#cancelTimer !== undefined && this.#timerAtMs <= nowMs + waitMs) return;
    this.#cancelTimer?.();
    this.#timerAtMs = nowMs + waitMs;
    this.#cancelTimer = timers.after(waitMs, () => {
      this.#cancelTimer = undefined;
      this.onTokens?.();
      for (const { quota: waiting } of this.#waiting) this.#setTimer(waiting);
    });
  }
}

function nameOf(
  whose: Limited,
  { producer, address }: Pick<QuotaRequest, 'producer' | 'address'>,
): string | undefined {
  switch (whose) {
    case 'tenant':
      return tenantOf(producer);
    case 'address':
      return address;
    default:
      return producer;
  }
}
