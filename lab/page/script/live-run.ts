/** A run while it goes on: how far it is, what each repetition reached, and both as charts. */

import { announce } from './announce.ts';
import { byId, make, showText } from './elements.ts';
import type { RunReader } from './follow-run.ts';
import { LineChart, MAX_LINES, swatch } from './line-chart.ts';
import type { EndEvent, RepetitionEvent, RunProgressEvent, RunStatus, StateEvent } from './run-events.ts';

/** Points of the chart of progress. When there are more, every other one is left out. */
const MAX_POINTS = 1_000;

/** As reports write figures. */
const FIGURES = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

interface Row {
  rates: (number | null)[];
  cells: HTMLTableCellElement[];
}

export interface LiveRunOptions {
  /** Milliseconds since this page was loaded. */
  now: () => number;
  /** It waits no longer, or has ended. */
  onState: (status: RunStatus) => void;
  /** The run has ended. */
  onEnd: (event: EndEvent) => void;
}

/** Takes the events of one run and shows them in the page, until `close`. */
export class LiveRun implements RunReader {
  readonly #options: LiveRunOptions;
  readonly #step = byId('run-step', HTMLElement);
  readonly #bar = byId('run-progress', HTMLProgressElement);
  readonly #table = byId('rate-table', HTMLTableElement);
  readonly #rateLabel = byId('rate-chart', HTMLElement);
  readonly #progressLabel = byId('progress-chart', HTMLElement);
  readonly #rows = new Map<string, Row>();
  readonly #progressChart: LineChart;
  readonly #startedAtMs: number;
  #body: HTMLTableSectionElement | undefined;
  #rateChart: LineChart | undefined;
  #reps = 0;
  #points: { seconds: number; percent: number }[] = [];
  #share = 0;
  #text = 'Waiting for its turn.';
  #isConnected = true;
  /** Quarters of the run that were told. */
  #toldQuarters = 0;
  #frame = 0;

  constructor(options: LiveRunOptions) {
    this.#options = options;
    this.#startedAtMs = options.now();
    this.#table.replaceChildren(make('caption', {}, 'No repetition is over yet.'));
    this.#rateLabel.setAttribute('aria-label', 'Rate of each repetition: none is over yet');
    showText(byId('rate-note', HTMLElement), undefined);
    this.#progressChart = new LineChart(this.#progressLabel, {
      xRange: null,
      yRange: [0, 100],
      xSteps: [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600],
      xUnit: ' s',
      yUnit: ' %',
    });
    this.#render();
  }

  state({ status, taken, total, warmUpMs }: StateEvent): void {
    this.#options.onState(status);
    if (status === 'running') this.#text = warmUpMs === undefined ? 'Warming up.' : stepsText(taken, total);
    this.#moved(taken / Math.max(total, 1));
  }

  repetition(event: RepetitionEvent): void {
    const { variant, rep, taken, total, perSecond } = event;
    this.#prepareTable(event.reps);
    const row = this.#rowOf(variant);
    row.rates[rep - 1] = perSecond > 0 ? perSecond : null;
    const cell = row.cells[rep - 1];
    if (cell !== undefined) fillCell(cell, event);
    this.#text = stepsText(taken, total);
    this.#moved(taken / Math.max(total, 1));
  }

  progress({ variant, rep, reps, done, total, steps }: RunProgressEvent): void {
    const share = total === 0 ? 0 : done / total;
    this.#text = `${variant}, repetition ${rep} of ${reps}: ${Math.round(share * 100)} %. ${stepsText(steps.taken, steps.total)}`;
    this.#moved((steps.taken + share) / Math.max(steps.total, 1));
  }

  end(event: EndEvent): void {
    this.#options.onEnd(event);
  }

  connected(isConnected: boolean): void {
    if (this.#isConnected === isConnected) return;
    this.#isConnected = isConnected;
    announce(isConnected ? 'Connected again.' : 'The connection is lost; trying again.');
    this.#changed();
  }

  /** No more is shown; what is shown stays. */
  close(): void {
    if (this.#frame !== 0) {
      cancelAnimationFrame(this.#frame);
      this.#render();
    }
    this.#rateChart?.close();
    this.#progressChart.close();
  }

  #moved(share: number): void {
    // A repetition that is repeated after the Worker was started again must not look like a run that goes backwards.
    this.#share = Math.max(this.#share, Math.min(share, 1));
    this.#points.push({
      seconds: (this.#options.now() - this.#startedAtMs) / 1000,
      percent: this.#share * 100,
    });
    if (this.#points.length > MAX_POINTS) this.#points = this.#points.filter((_, index) => index % 2 === 0);
    this.#changed();
  }

  // Many events may come at once; they are painted together.
  #changed(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  }

  #render(): void {
    this.#step.textContent = this.#isConnected ? this.#text : 'The connection is lost; trying again.';
    this.#bar.value = this.#share;
    this.#tellQuarter();
    this.#progressChart.draw({
      x: this.#points.map(({ seconds }) => seconds),
      lines: [this.#points.map(({ percent }) => percent)],
    });
    const percent = Math.round(this.#share * 100);
    const seconds = Math.round(this.#points.at(-1)?.seconds ?? 0);
    this.#progressLabel.setAttribute(
      'aria-label',
      `Progress over time: ${percent} % after ${seconds} seconds`,
    );
    this.#renderRates();
  }

  #renderRates(): void {
    if (this.#rateChart === undefined) return;
    const shown = [...this.#rows].slice(0, MAX_LINES);
    this.#rateChart.draw({
      x: Array.from({ length: this.#reps }, (_, index) => index + 1),
      lines: shown.map(([, { rates }]) => rates),
    });
    const highest = [...this.#rows]
      .map(([name, { rates }]) => ({ name, rate: Math.max(0, ...rates.map((rate) => rate ?? 0)) }))
      .toSorted((left, right) => right.rate - left.rate)[0];
    if (highest === undefined) return;
    this.#rateLabel.setAttribute(
      'aria-label',
      `Rate of each repetition, on a scale by factors of ten. The highest so far is ${highest.name} with ${FIGURES.format(highest.rate)} per second. The table below has all figures`,
    );
    const hidden = this.#rows.size - shown.length;
    showText(
      byId('rate-note', HTMLElement),
      hidden > 0
        ? `The chart shows the first ${MAX_LINES} variants; ${hidden} more are in the table.`
        : undefined,
    );
  }

  // Screen readers hear of a quarter, not of every repetition; after a reload only where the run is.
  #tellQuarter(): void {
    const quarters = Math.floor(this.#share * 4);
    if (quarters <= this.#toldQuarters) return;
    this.#toldQuarters = quarters;
    if (quarters < 4) announce(`${quarters * 25} % of the run is over.`);
  }

  #prepareTable(reps: number): void {
    if (this.#body !== undefined) return;
    this.#reps = reps;
    this.#body = make('tbody');
    const numbers = Array.from({ length: reps }, (_, index) =>
      make('th', { scope: 'col' }, String(index + 1)),
    );
    this.#table.replaceChildren(
      make('caption', {}, 'Rate per second, by repetition'),
      make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, 'variant'), ...numbers)),
      this.#body,
    );
    this.#rateChart = new LineChart(this.#rateLabel, {
      xRange: [0.5, reps + 0.5],
      yRange: null,
      isLog: true,
      hasDots: true,
      xSteps: [1, 2, 5, 10],
    });
  }

  #rowOf(variant: string): Row {
    const known = this.#rows.get(variant);
    if (known !== undefined) return known;
    const index = this.#rows.size;
    const row: Row = {
      rates: new Array<number | null>(this.#reps).fill(null),
      cells: Array.from({ length: this.#reps }, () => make('td')),
    };
    this.#rows.set(variant, row);
    const title = make('th', { scope: 'row' }, ...(index < MAX_LINES ? [swatch(index)] : []), variant);
    this.#body?.append(make('tr', {}, title, ...row.cells));
    return row;
  }
}

function stepsText(taken: number, total: number): string {
  return `${taken} of ${total} repetitions are over.`;
}

function fillCell(cell: HTMLTableCellElement, { perSecond, broken, audit }: RepetitionEvent): void {
  const wrong = audit === null ? 0 : audit.lost + audit.duplicated;
  const marks = [
    ...(broken === undefined ? [] : ['broke']),
    ...(wrong === 0 ? [] : [`${FIGURES.format(wrong)} lost or doubled`]),
  ];
  cell.textContent = [FIGURES.format(perSecond), ...marks].join(', ');
  cell.classList.toggle('broken', marks.length > 0);
  if (broken !== undefined) cell.title = broken;
}
