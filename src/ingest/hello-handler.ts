/** Welcomes clients: asks `decideHello` what becomes of a hello, and carries out what was decided. */

import type { Producer } from '../outbox/producer.ts';
import type { ProducerRegistry, Resumption } from '../outbox/producer-registry.ts';
import { sessionName } from '../outbox/session-name.ts';
import type { Hello } from '../protocol/sluice-v1.ts';
import type { FlowControl } from './flow-control.ts';
import type { GroupCommit } from './group-commit.ts';
import { decideHello, type HelloDecision } from './hello.ts';
import type { SessionMemory } from './intake.ts';
import type { ShardSession, Welcomed } from './session-port.ts';
import type { Sessions } from './sessions.ts';

export interface HelloHandlerOptions {
  producers: ProducerRegistry;
  sessions: Sessions;
  group: GroupCommit;
  flow: FlowControl;
  /** A text that nobody else ever got. */
  randomId: () => string;
  /** True where new messages go to the outbox. */
  hasOutbox: boolean;
  /** Called when the storage cannot be read or written. */
  failStorage: (error: unknown) => void;
}

export class HelloHandler {
  readonly #options: HelloHandlerOptions;

  constructor(options: HelloHandlerOptions) {
    this.#options = options;
  }

  /** `SessionPort.welcome`. */
  welcome(session: ShardSession, name: string, hello: Hello, nowMs: number): Welcomed | undefined {
    try {
      return this.#welcome(session, name, hello, nowMs);
    } catch (error) {
      // All that can fail in it is the storage, and what memory holds of the producer may differ from it now.
      session.close('shard_unavailable', 'the shard cannot read or write its storage: try again later');
      this.#options.failStorage(error);
      return undefined;
    }
  }

  #welcome(session: ShardSession, name: string, hello: Hello, nowMs: number): Welcomed | undefined {
    const { producers, sessions, group, flow, hasOutbox } = this.#options;
    // The session before, if there is one, is acked what it sent before anything changes; and what is welcomed as stored
    // has to be.
    if (!group.store()) {
      session.close('shard_unavailable', 'the shard cannot write its outbox: try again later');
      return undefined;
    }
    const epochs = producers.epochsOf(name);
    if (epochs.length === 0 && producers.isFull) {
      session.close('shard_unavailable', 'the shard has no room for another producer: try again later');
      return undefined;
    }
    const decision = decideHello(hello, epochs, nowMs);
    if (decision.kind === 'refuse') {
      sessions.release(epochs.at(-1));
      session.close(decision.code, decision.reason);
      return undefined;
    }
    const carriedOut = this.#carryOut(name, decision, nowMs);
    const { producer } = carriedOut;
    sessions.add(producer, session);
    if (decision.kind === 'begin') sessions.fenceOlder(producer);
    return {
      ...carriedOut,
      ack: hello.ack === 'stored' && !hasOutbox ? 'committed' : hello.ack,
      isRecovery: hello.intent === 'recover',
      session: decision.ordinal === undefined ? undefined : producer.session?.id,
      sure: decision.kind === 'recover' ? decision.sure : undefined,
      credit: flow.grant(session),
    };
  }

  // What was decided becomes durable: a welcome that names a session leaves when its row is written.
  #carryOut(
    name: string,
    decision: Exclude<HelloDecision, { kind: 'refuse' }>,
    nowMs: number,
  ): { producer: Producer; next: number } & Resumption {
    const { producers, randomId } = this.#options;
    const startSession = (
      producer: Producer,
      ordinal: number,
      previous: string | undefined,
      cameUpTo?: number,
    ): void =>
      producers.startSession(
        producer,
        sessionName(ordinal, randomId().slice(0, 8)),
        previous,
        nowMs,
        cameUpTo,
      );
    if (decision.kind === 'begin') {
      const { epoch, next, instance, ordinal, previous } = decision;
      const producer = producers.begin(name, epoch, next, nowMs, instance);
      producer.isKnown = false;
      if (ordinal !== undefined) startSession(producer, ordinal, previous);
      return { producer, next, isKnown: false, missing: undefined };
    }
    const { producer } = decision;
    if (decision.kind === 'continue' && decision.isForgetful) producer.isKnown = false;
    const next = decision.next ?? 1;
    const cameUpTo = producer.nextSequence - 1;
    const resumption = producers.resume(producer, next, nowMs);
    const { ordinal } = decision;
    if (ordinal !== undefined)
      startSession(producer, ordinal, decision.kind === 'continue' ? decision.previous : undefined, cameUpTo);
    return { producer, next, ...resumption };
  }

  /** `SessionPort.wake`. */
  wake(
    session: ShardSession,
    name: string,
    { epoch, session: id, isCaughtUp }: SessionMemory,
  ): Producer | undefined {
    const { producers, sessions, flow } = this.#options;
    const producer = producers.findEpoch(name, epoch);
    const isItsOwn = id === null || producer?.session?.id === id;
    if (producer === undefined || !isItsOwn || producer.isFloor || !isCaughtUp) {
      sessions.release(producer);
      return undefined;
    }
    sessions.add(producer, session);
    flow.wake(session);
    return producer;
  }
}
