/** The part of the page that shows one run: live while it goes on, its report afterwards. */

import { announce } from './announce.ts';
import type { Api } from './api.ts';
import { byId, make, showHtml, showText } from './elements.ts';
import { followRun } from './follow-run.ts';
import { LiveRun } from './live-run.ts';
import { isUnderWay, type RunStatus, type ShownRun, type StoredRun } from './run-events.ts';
import { downloadButtons, timeText } from './run-list.ts';

export interface RunViewOptions {
  api: Api;
  download: (path: string) => void;
  /** Fills the form with the options of a run. */
  reuse: (suite: string, config: Readonly<Record<string, unknown>>) => void;
  /** The run has begun or ended: the list is to be read again. */
  onChange: () => void;
  onError: (error: unknown) => void;
}

const ENDS: Readonly<Record<string, string>> = {
  complete: 'The run is complete.',
  invalid: 'The run is invalid: messages were lost or doubled.',
  aborted: 'The run was cancelled.',
  failed: 'The run failed.',
};

export class RunView {
  readonly #options: RunViewOptions;
  readonly #section = byId('run', HTMLElement);
  readonly #title = byId('run-title', HTMLElement);
  readonly #facts = byId('run-facts', HTMLElement);
  readonly #error = byId('run-error', HTMLElement);
  readonly #live = byId('run-live', HTMLElement);
  readonly #cancel = byId('cancel', HTMLButtonElement);
  readonly #again = byId('again', HTMLButtonElement);
  readonly #downloads = byId('run-downloads', HTMLElement);
  readonly #report = byId('run-report', HTMLElement);
  #run: ShownRun | undefined;
  /** Ends whatever is being read for the run that is shown. */
  #reading = new AbortController();

  constructor(options: RunViewOptions) {
    this.#options = options;
    this.#cancel.addEventListener('click', () => void this.#cancelRun().catch(options.onError));
    this.#again.addEventListener('click', () => {
      if (this.#run !== undefined) options.reuse(this.#run.suite, this.#run.result.config);
    });
  }

  close(): void {
    this.#reading.abort();
    this.#run = undefined;
    this.#section.hidden = true;
  }

  /** Shows a run, and what becomes of it. @param isAsked whether somebody has gone there, and the focus follows */
  async open(id: string, isAsked: boolean): Promise<void> {
    this.close();
    const reading = new AbortController();
    this.#reading = reading;
    const { api } = this.#options;
    const run = await api.json<ShownRun>(`/bench/runs/${encodeURIComponent(id)}`, { signal: reading.signal });
    if (reading.signal.aborted) return;
    this.#showHead(run);
    this.#section.hidden = false;
    if (isAsked) this.#title.focus();
    if (isUnderWay(run)) await this.#follow(run, reading.signal);
    else await this.#showReport(run, reading.signal);
  }

  async #follow(run: ShownRun, signal: AbortSignal): Promise<void> {
    const { api, onChange } = this.#options;
    this.#live.hidden = false;
    const live = new LiveRun({
      now: () => performance.now(),
      onState: (status) => this.#showStatus(status),
      onEnd: ({ status, error }) =>
        announce(error === undefined ? (ENDS[status] ?? status) : `The run failed: ${error}`),
    });
    signal.addEventListener('abort', () => live.close(), { once: true });
    try {
      await followRun(api, run.id, live, signal);
    } finally {
      live.close();
    }
    if (signal.aborted) return;
    onChange();
    const ended = await api.json<ShownRun>(`/bench/runs/${encodeURIComponent(run.id)}`, { signal });
    if (signal.aborted) return;
    // The button goes with the run; a reader who stood on it goes on at the result.
    const hadFocus = document.activeElement === this.#cancel;
    this.#showHead(ended);
    if (hadFocus) this.#title.focus();
    await this.#showReport(ended, signal);
  }

  async #showReport(run: ShownRun, signal: AbortSignal): Promise<void> {
    const { api } = this.#options;
    const html = await api.text(`/bench/runs/${encodeURIComponent(run.id)}/fragment`);
    if (!signal.aborted) showHtml(this.#report, html);
  }

  #showStatus(status: RunStatus): void {
    // Events of what was before the page was opened come too.
    if (this.#run === undefined || this.#run.status === status || status === 'queued') return;
    this.#run = { ...this.#run, status };
    this.#title.textContent = titleOf(this.#run);
    this.#options.onChange();
  }

  #showHead(run: ShownRun): void {
    const { createdAtMs, result, error, id, files } = run;
    const { download } = this.#options;
    this.#run = run;
    this.#title.textContent = titleOf(run);
    this.#facts.textContent = `${result.title}. Started ${timeText(createdAtMs)}${result.seed === undefined ? '' : `, seed ${result.seed}`}, id ${id}.`;
    showText(this.#error, error === null ? undefined : `The run failed: ${error}`);
    const isActive = isUnderWay(run);
    this.#live.hidden = true;
    this.#cancel.hidden = !isActive;
    this.#again.hidden = isActive;
    this.#downloads.hidden = isActive;
    byId('run-download-buttons', HTMLElement).replaceChildren(
      ...downloadButtons(run, download),
      ...files.map((name) => {
        const button = make('button', { type: 'button' }, name);
        button.addEventListener('click', () =>
          download(`/bench/runs/${id}/files/${encodeURIComponent(name)}`),
        );
        return button;
      }),
    );
    this.#report.replaceChildren();
  }

  async #cancelRun(): Promise<void> {
    if (this.#run === undefined) return;
    // What follows comes with the run's last event. Until then the button stays as it is: one that is disabled would lose
    // the focus, and to cancel twice does no harm.
    await this.#options.api.post<StoredRun>(`/bench/runs/${this.#run.id}/cancel`, {});
  }
}

function titleOf({ suite, status }: StoredRun): string {
  return `Run of ${suite}: ${status}`;
}
