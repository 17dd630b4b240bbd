/** A client and a fake server that share a clock. */

import { type ClientEvent, SluiceClient, type SluiceClientOptions } from '../../../src/client/index.ts';
import { type FakeServerOptions, FakeSluiceServer } from '../../support/fake-sluice-server.ts';
import { FakeTimers, settled } from '../../support/fake-timers.ts';

export interface Bed {
  timers: FakeTimers;
  server: FakeSluiceServer;
  events: ClientEvent[];
  /** Makes a client of the producer `p`, unless told otherwise. */
  connect: (options?: Partial<SluiceClientOptions>) => SluiceClient;
  /** Lets time pass, and what waits for promises run on the way. */
  pass: (ms: number, stepMs?: number) => Promise<void>;
}

export function bed(options: FakeServerOptions = {}): Bed {
  const timers = new FakeTimers();
  const server = new FakeSluiceServer(timers, options);
  const events: ClientEvent[] = [];
  return {
    timers,
    server,
    events,
    connect: (given = {}) =>
      new SluiceClient({
        url: 'ws://sluice.test/ws/messages',
        producer: 'p',
        openSocket: server.open,
        timers,
        random: () => 0.5,
        onEvent: (event) => events.push(event),
        ...given,
      }),
    async pass(ms, stepMs = ms > 1_000 ? 50 : 1) {
      for (let passed = 0; passed < ms; passed += stepMs) {
        await settled();
        timers.advance(Math.min(stepMs, ms - passed));
      }
      await settled();
    },
  };
}

/** What became of a promise so far. */
export interface Outcome<T> {
  state: 'pending' | 'resolved' | 'rejected';
  value?: T;
  code?: string;
}

export function outcomeOf<T>(promise: Promise<T>): Outcome<T> {
  const outcome: Outcome<T> = { state: 'pending' };
  promise.then(
    (value) => {
      outcome.state = 'resolved';
      outcome.value = value;
    },
    (error: { code?: string }) => {
      outcome.state = 'rejected';
      outcome.code = String(error.code);
    },
  );
  return outcome;
}

/** `{"i":from}` to `{"i":to}`. */
export function messages(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => `{"i":${from + index}}`);
}

/** The header of a batch frame, and its messages. */
export function readBatch(frame: string): { seq: number; n: number; texts: string[] } {
  const [header, ...texts] = frame.split('\n');
  const { seq, n } = JSON.parse(header as string) as { seq: number; n: number };
  return { seq, n, texts };
}
