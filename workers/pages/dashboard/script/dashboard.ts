/** What the page knows, and what it asks the Worker. Whatever changes here, the page is painted again. */

import type { MonitorView, ShardView, SinkView } from '../../../../src/monitor/view.ts';
import { Api } from '../../parts/api.ts';
import type { Question } from '../../parts/confirm-dialog.tsx';
import { LiveEvents, type StreamState } from '../../parts/live-events.ts';
import { Toasts } from '../../parts/toasts.tsx';
import { type Route, readRoute } from './route.ts';

export class Dashboard {
  readonly api = new Api({ page: '/dashboard', tokenKey: 'sluice-operator-token' });
  readonly toasts: Toasts;
  readonly #live: LiveEvents;
  readonly #onChange: () => void;
  view: MonitorView | undefined;
  /** When the view came, by this machine's clock. */
  viewedAtMs = 0;
  stream: StreamState = { state: 'connecting' };
  route: Route = readRoute(location.hash);
  question: Question | undefined;
  /** How many things were done here: what was read before them is read again. */
  actions = 0;
  /** True while somebody wants to give another token. */
  isChangingToken = false;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
    this.toasts = new Toasts(onChange);
    this.#live = new LiveEvents({
      open: (signal) =>
        this.api.request('/monitor/events', { headers: { accept: 'text/event-stream' }, signal }),
      onEvent: (kind, data) => this.#take(kind, data),
      onState: (state) => {
        this.stream = state;
        onChange();
      },
    });
    addEventListener('hashchange', () => {
      this.route = readRoute(location.hash);
      onChange();
      // As after loading a page: at its top, and what is read next is what it is about; once that is painted.
      scrollTo(0, 0);
      queueMicrotask(() => document.querySelector('h1')?.focus({ preventScroll: true }));
    });
    // Times are relative to now, also while nothing comes.
    setInterval(onChange, 1_000);
    this.#live.connect();
  }

  /** The time by the server's clock, which is what its times are relative to. */
  get nowMs(): number {
    return this.view === undefined ? Date.now() : this.view.atMs + (Date.now() - this.viewedAtMs);
  }

  #take(kind: string, data: string): void {
    if (kind !== 'view') return;
    this.view = JSON.parse(data) as MonitorView;
    this.viewedAtMs = Date.now();
    this.#onChange();
  }

  setToken(token: string | null): void {
    this.api.setToken(token);
    this.isChangingToken = false;
    this.view = undefined;
    this.connect();
  }

  connect(): void {
    this.stream = { state: 'connecting' };
    this.#onChange();
    this.#live.connect();
  }

  changeToken(isChanging: boolean): void {
    this.isChangingToken = isChanging;
    this.#onChange();
  }

  ask(question: Question | undefined): void {
    this.question = question;
    this.#onChange();
  }

  /** Something was done: says so, and closes the question. */
  done(result: string): void {
    this.actions += 1;
    this.question = undefined;
    this.toasts.show(result);
  }

  sink(name: string): SinkView | undefined {
    return this.view?.sinks.find(({ sink }) => sink === name);
  }

  shard(name: string, shard: number): ShardView | undefined {
    return this.sink(name)?.shards.find((one) => one.shard === shard);
  }
}
