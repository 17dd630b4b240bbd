/** What a shard of the fault lab is told to do wrong. Plain data: it travels from the lab to the Worker. */

import type { Failpoint } from '../../src/core/failpoints.ts';

/** `abort` ends the shard's object on the spot, `throw` makes the place fail. */
export interface FailpointOrder {
  name: Failpoint;
  action: 'abort' | 'throw';
  /** How often the place is passed unharmed before. */
  skip: number;
  /** How often it strikes after that. */
  times: number;
}

/** `late`: an alarm is handled `lateMs` after its time. `twice`: once more when it is done. `lost`: not at all. */
export interface AlarmOrder {
  action: 'late' | 'twice' | 'lost';
  /** For how many alarms. */
  times: number;
  lateMs?: number;
}

/**
 * Ways in which a shard breaks its promises, so that the oracle can be seen to notice:
 *
 * - `ack-early`: acknowledges a batch, and takes it in some frames later. An abort in between loses it.
 * - `replace`: stores a copy of a message's neighbour in its place.
 * - `reorder`: stores two messages of a frame in the wrong order.
 * - `alter`: changes a digit of a message.
 * - `resume-any`: lets every client of an epoch go on in it, whichever session it names.
 * - `forget-outbox`: starts without what it had stored.
 * - `no-breaker`: takes whatever comes, however much the isolate holds. To be ordered before the shard starts.
 * - `keep-producers`: tells other shards nothing of the producers that move to them.
 */
export type Sabotage =
  | 'ack-early'
  | 'replace'
  | 'reorder'
  | 'alter'
  | 'resume-any'
  | 'forget-outbox'
  | 'no-breaker'
  | 'keep-producers';

/** All that a shard is to do wrong from now on. */
export interface ShardOrders {
  failpoint?: FailpointOrder;
  alarm?: AlarmOrder;
  sabotage?: Sabotage;
}

/** How often a shard did what it was told. */
export interface Strikes {
  failpoint: number;
  alarm: number;
  sabotage: number;
}
