/** A shard in memory whose database is away, its sockets, and those who are asked about their tokens. */

import { benchSink } from '../../../lab/suites/ingest/bench-sink.ts';
import type { Grant } from '../../../src/access/grant.ts';
import type { Peer, Session, SessionAccess, SessionMemory } from '../../../src/ingest/intake.ts';
import { Pipeline } from '../../../src/ingest/pipeline.ts';
import { FakeTimers, settled } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';

export type Frame = Record<string, unknown> & { t: string };

export class Shard {
  readonly timers = new FakeTimers();
  readonly sqlite = new NodeSqlite();
  pipeline = this.start();

  start(): Pipeline {
    return new Pipeline({
      sink: benchSink({ table: 'unused', column: 'jsonb', options: { lingerMs: 0 } }),
      openConnection: () => Promise.reject(new Error('away')),
      timers: this.timers,
      random: () => 0.5,
      sqlite: this.sqlite,
    });
  }

  get buffered(): number {
    return this.pipeline.stats().buffered;
  }
}

/** A token that is being verified. */
export interface Question {
  token: string;
  answer(grant: Grant): Promise<void>;
  fail(error: unknown): Promise<void>;
}

export interface Opening {
  /** `none`: the hello has to bring a token. `open`: everybody may speak. */
  grant?: Grant | 'none' | 'open';
  producer?: string;
  protocol?: 'raw' | 'sluice.v1';
  memory?: SessionMemory | undefined;
}

/** A socket, and those who are asked about its tokens. */
export class Socket implements Peer {
  readonly frames: Frame[] = [];
  closed: { code: number; reason: string } | undefined;
  readonly questions: Question[] = [];
  readonly granted: Grant[] = [];
  memory: SessionMemory | undefined;
  readonly session: Session;
  readonly #timers: FakeTimers;

  constructor(shard: Shard, { grant = {}, producer = 'p', protocol = 'sluice.v1', memory }: Opening = {}) {
    this.#timers = shard.timers;
    const access: SessionAccess = {
      grant: grant === 'none' || grant === 'open' ? undefined : grant,
      authorize: (token) =>
        new Promise<Grant>((resolve, reject) => {
          const settle = (act: () => void): Promise<void> => {
            act();
            return settled();
          };
          this.questions.push({
            token,
            answer: (grant) => settle(() => resolve(grant)),
            fail: (error) => settle(() => reject(error)),
          });
        }),
      onGrant: (grant) => this.granted.push(grant),
    };
    this.session = shard.pipeline.openSession(this, {
      producer,
      protocol,
      access: grant === 'open' ? undefined : access,
      nowMs: shard.timers.now(),
      memory,
      onRemember: (memory) => {
        this.memory = memory;
      },
    });
  }

  send(frame: string): void {
    if (this.closed !== undefined) throw new Error(`sent after the close: ${frame}`);
    this.frames.push(JSON.parse(frame === 'pong' ? '{"t":"pong"}' : frame) as Frame);
  }

  close(code: number, reason: string): void {
    if (this.closed !== undefined) throw new Error('closed twice');
    this.closed = { code, reason };
  }

  say(frame: object | string): this {
    this.session.receive(typeof frame === 'string' ? frame : JSON.stringify(frame), this.#timers.now());
    return this;
  }

  batch(seq: number): this {
    return this.say(`{"t":"batch","seq":${seq},"n":1}\n{"n":${seq}}`);
  }

  types(): string[] {
    return this.frames.map(({ t }) => t);
  }

  question(index = 0): Question {
    return this.questions[index] as Question;
  }
}
