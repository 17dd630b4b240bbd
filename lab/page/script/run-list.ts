/** The list of runs: each to be opened, saved and removed, and any two to be compared. */

import { byId, make } from './elements.ts';
import { isUnderWay, type StoredRun } from './run-events.ts';

/** Formats of a report, as their addresses end, with what a button calls them. */
export const DOWNLOADS = [
  ['html', 'HTML'],
  ['json', 'JSON'],
  ['csv', 'CSV'],
  ['md', 'Markdown'],
  ['text', 'Text'],
] as const;

export interface RunListOptions {
  download: (path: string) => void;
  remove: (run: StoredRun) => void;
}

export class RunList {
  readonly #options: RunListOptions;
  readonly #rows = byId('history-rows', HTMLTableSectionElement);
  readonly #base = byId('base', HTMLSelectElement);
  readonly #head = byId('head', HTMLSelectElement);

  constructor(options: RunListOptions) {
    this.#options = options;
  }

  show(runs: readonly StoredRun[]): void {
    byId('history', HTMLElement).hidden = runs.length === 0;
    byId('history-empty', HTMLElement).hidden = runs.length > 0;
    this.#rows.replaceChildren(...runs.map((run) => this.#row(run)));
    const ended = runs.filter((run) => !isUnderWay(run));
    byId('compare-form', HTMLElement).hidden = ended.length < 2;
    const [latest] = ended;
    const before = ended.find((run) => run !== latest && run.suite === latest?.suite) ?? ended[1];
    fill(this.#base, ended, before);
    fill(this.#head, ended, latest);
  }

  #row(run: StoredRun): HTMLTableRowElement {
    const { id, suite, status, createdAtMs, endedAtMs, taken, total } = run;
    const time = make('time', { datetime: new Date(createdAtMs).toISOString() }, timeText(createdAtMs));
    const name = `${suite}, ${timeText(createdAtMs)}`;
    const remove = make('button', { type: 'button', 'aria-label': `Delete ${name}` }, 'Delete');
    remove.addEventListener('click', () => this.#options.remove(run));
    const took = endedAtMs === null ? '' : `${((endedAtMs - createdAtMs) / 1000).toFixed(1)} s`;
    return make(
      'tr',
      { 'data-run': id },
      make('th', { scope: 'row' }, make('a', { href: `#run=${id}` }, time)),
      make('td', {}, suite),
      make('td', {}, status),
      make('td', {}, isUnderWay(run) ? '' : `${taken} of ${total}`),
      make('td', {}, took),
      make('td', {}, make('div', { class: 'actions' }, ...downloadButtons(run, this.#options.download))),
      make('td', {}, ...(isUnderWay(run) ? [] : [remove])),
    );
  }
}

/** A button for each format of a run's report. */
export function downloadButtons(run: StoredRun, download: (path: string) => void): HTMLButtonElement[] {
  return DOWNLOADS.map(([format, title]) => {
    const label = `${title} of ${run.suite}, ${timeText(run.createdAtMs)}`;
    const button = make('button', { type: 'button', 'aria-label': label }, title);
    button.addEventListener('click', () => download(`/bench/runs/${run.id}/report.${format}`));
    return button;
  });
}

/** When a run began, in the reader's own time zone; to the second, as short runs follow each other. */
export function timeText(atMs: number): string {
  return new Date(atMs).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
}

function fill(select: HTMLSelectElement, runs: readonly StoredRun[], preset: StoredRun | undefined): void {
  const chosen = select.value;
  select.replaceChildren(
    ...runs.map(({ id, suite, status, createdAtMs }) =>
      make('option', { value: id }, `${suite}, ${timeText(createdAtMs)}, ${status}`),
    ),
  );
  // What was chosen stays chosen while the list changes around it.
  const isThere = runs.some(({ id }) => id === chosen);
  select.value = isThere ? chosen : (preset?.id ?? '');
}
