/** The production shard with failpoints, alarms that go wrong, and, for the oracle's own test, broken promises. */

import { benchRole } from '../../../lab/workers/bench-shard.ts';
import type { LimitsOf } from '../../../src/access/limits.ts';
import type { Failpoint, Failpoints } from '../../../src/core/failpoints.ts';
import { type MemoryAccount, MemoryBudget } from '../../../src/core/memory-budget.ts';
import type { HandOver } from '../../../workers/objects.ts';
import { Shard } from '../../../workers/shard.ts';
import type { AskForToken } from '../../../workers/shard-access.ts';
import { decodeShardName } from '../../../workers/shard-name.ts';
import { type ShardRole, sinkRole } from '../../../workers/shard-role.ts';
import { readLabToken } from '../lab-tokens.ts';
import { findLabSink, labLimits, lockOf } from './lab-sinks.ts';
import { labAuthorization } from './locked-door.ts';
import { ordersOf, strikes } from './order-book.ts';
import { tamper } from './sabotage.ts';

/** Frames that a shard of `ack-early` holds back. */
const HELD_FRAMES = 4;

export class FaultShard extends Shard {
  readonly #held: (() => void)[] = [];

  get #name(): string {
    return this.ctx.id.name ?? '';
  }

  protected override failpoints(): Failpoints {
    // Not by #name: this is called before private members exist.
    const { ctx } = this;
    const strike = (point: Failpoint): void => {
      const shard = ctx.id.name ?? '';
      const order = ordersOf(shard).failpoint;
      if (order?.name !== point || !strikes(shard, 'failpoint')) return;
      if (order.action === 'abort') ctx.abort(`Failpoint ${point}`);
      throw new Error(`Failpoint ${point}`);
    };
    return {
      hit: strike,
      async pass(point) {
        strike(point);
      },
    };
  }

  /** What the isolate may hold; and no bound to it, where that is the order. */
  protected override openMemory(holder: object): MemoryAccount {
    const name = this.ctx.id.name ?? '';
    if (ordersOf(name).sabotage !== 'no-breaker') return super.openMemory(holder);
    strikes(name, 'sabotage');
    return new MemoryBudget(Number.POSITIVE_INFINITY).open(name, holder);
  }

  /** The lab's sinks; and a start without what was stored, where that is the order. */
  protected override role(name: string): ShardRole {
    const { storage } = this.ctx;
    if (ordersOf(name).sabotage === 'forget-outbox') {
      const tables = storage.sql.exec("select 1 from sqlite_master where name = 'outbox_groups'").toArray();
      if (tables.length > 0) storage.sql.exec('delete from outbox_groups');
      strikes(name, 'sabotage');
    }
    return name.startsWith('{') ? benchRole(name) : sinkRole(name, findLabSink);
  }

  protected override limits(): LimitsOf {
    // Not by #name: this is called before private members exist.
    const name = this.ctx.id.name ?? '';
    return name.startsWith('{') ? {} : labLimits(decodeShardName(name).sink);
  }

  /** To a locked sink, only those may send whom its lock knows. Elsewhere who brings a token has it looked at, and all others may send. */
  protected override authorizer(): AskForToken | 'open' {
    // Not by #name: this is called before private members exist.
    const name = this.ctx.id.name ?? '{';
    // A run's own shard has no tokens.
    if (name.startsWith('{')) return 'open';
    if (lockOf(decodeShardName(name).sink) === undefined)
      return async (_, { token }) => readLabToken(token, Date.now());
    return (request, asked) =>
      labAuthorization.ask(request, { ...asked, ticket: undefined }, { ...this.env, AUTHORIZE: '' });
  }

  override async handOver(producer: string): Promise<HandOver> {
    if (ordersOf(this.#name).sabotage !== 'keep-producers') return super.handOver(producer);
    strikes(this.#name, 'sabotage');
    return { state: 'unknown' };
  }

  /** RPC: ends the object as a crash would. */
  crash(): void {
    this.ctx.abort('Crashed by the fault lab');
  }

  override async alarm(): Promise<void> {
    const order = ordersOf(this.#name).alarm;
    if (order === undefined || !strikes(this.#name, 'alarm')) return super.alarm();
    switch (order.action) {
      case 'lost':
        return;
      case 'late':
        await scheduler.wait(order.lateMs ?? 0);
        return super.alarm();
      case 'twice':
        await super.alarm();
        return super.alarm();
    }
  }

  override webSocketMessage(socket: WebSocket, frame: string | ArrayBuffer): void {
    const { sabotage } = ordersOf(this.#name);
    if (sabotage === 'resume-any') {
      super.webSocketMessage(socket, typeof frame === 'string' ? this.#inNewestSession(frame) : frame);
      return;
    }
    if (sabotage === undefined || typeof frame !== 'string' || !frame.startsWith('{"t":"batch"')) {
      super.webSocketMessage(socket, frame);
      return;
    }
    if (sabotage !== 'ack-early') {
      const tampered = tamper(frame, sabotage);
      if (tampered !== undefined) strikes(this.#name, 'sabotage');
      super.webSocketMessage(socket, tampered ?? frame);
      return;
    }
    strikes(this.#name, 'sabotage');
    const { seq, n } = JSON.parse(frame.slice(0, frame.indexOf('\n'))) as { seq: number; n: number };
    socket.send(
      `{"t":"ack","stored":${seq + n - 1},"committed":0,"credit":{"messages":1000,"bytes":100000}}`,
    );
    this.#held.push(() => super.webSocketMessage(socket, frame));
    if (this.#held.length > HELD_FRAMES) this.#held.shift()?.();
  }

  // A client that resumes is made to name the session that is the newest of its epoch.
  #inNewestSession(frame: string): string {
    if (!frame.startsWith('{"t":"hello"')) return frame;
    const hello = JSON.parse(frame) as Record<string, unknown>;
    if (hello.resume !== true) return frame;
    const [row] = this.ctx.storage.sql
      .exec<{ identity: string | null }>(
        'select identity from producers where name = ?',
        String(hello.producer),
      )
      .toArray();
    const [epoch, , session] = JSON.parse(row?.identity ?? '[]') as [number?, unknown?, [string]?];
    if (epoch !== hello.epoch || session === undefined || session[0] === hello.session) return frame;
    strikes(this.#name, 'sabotage');
    return JSON.stringify({ ...hello, session: session[0] });
  }
}
