/** A line chart of uPlot in the page's colours. What it shows is told to screen readers by its container's label. */

import uPlot from 'uplot';

/** Lines that can be told apart; the styles of reports have as many (`.line-0` to `.line-7`). */
export const MAX_LINES = 8;

export interface LineChartOptions {
  /** Ends of the axes; null: as far as there are figures. */
  xRange: [number, number] | null;
  yRange: [number, number] | null;
  /** Steps by factors; only for figures above 0. */
  isLog?: boolean;
  /** A dot for each figure; for few of them. */
  hasDots?: boolean;
  /** Distances that the marks below the chart may have. */
  xSteps?: number[];
  xUnit?: string;
  yUnit?: string;
}

/** Figures of a chart: where they are, and for each line what is there; null where there is nothing. */
export interface ChartData {
  x: number[];
  lines: (number | null)[][];
}

const dark = matchMedia('(prefers-color-scheme: dark)');

export class LineChart {
  readonly #container: HTMLElement;
  readonly #options: LineChartOptions;
  readonly #resized: ResizeObserver;
  readonly #recolour = (): void => this.#make();
  #data: ChartData = { x: [], lines: [] };
  #plot: uPlot | undefined;

  constructor(container: HTMLElement, options: LineChartOptions) {
    this.#container = container;
    this.#options = options;
    this.#resized = new ResizeObserver(() => this.#plot?.setSize(this.#size()));
    this.#resized.observe(container);
    // A canvas keeps the colours that it was painted with.
    dark.addEventListener('change', this.#recolour);
  }

  draw(data: ChartData): void {
    const isSame = this.#plot !== undefined && data.lines.length === this.#data.lines.length;
    this.#data = data;
    if (isSame) this.#plot?.setData(this.#aligned());
    else this.#make();
  }

  close(): void {
    dark.removeEventListener('change', this.#recolour);
    this.#resized.disconnect();
    this.#plot?.destroy();
    this.#plot = undefined;
  }

  #make(): void {
    const { xRange, yRange, isLog = false, hasDots = false, xSteps, xUnit = '', yUnit = '' } = this.#options;
    this.#plot?.destroy();
    const colours = getComputedStyle(this.#container);
    const ink = colours.getPropertyValue('--muted');
    const grid = { stroke: colours.getPropertyValue('--rule'), width: 1 };
    const axis = { stroke: ink, grid, ticks: { ...grid, size: 4 }, font: '12px system-ui, sans-serif' };
    const figures = new Intl.NumberFormat('en', { notation: 'compact' });
    this.#plot = new uPlot(
      {
        ...this.#size(),
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { time: false, ...(xRange === null ? {} : { range: xRange }) },
          y: { distr: isLog ? 3 : 1, ...(yRange === null ? {} : { range: yRange }) },
        },
        axes: [
          {
            ...axis,
            ...(xSteps === undefined ? {} : { incrs: xSteps }),
            values: (_, marks) => marks.map((mark) => `${figures.format(mark)}${xUnit}`),
          },
          {
            ...axis,
            size: 52,
            values: (_, marks) =>
              marks.map((mark) => (mark === null ? '' : `${figures.format(mark)}${yUnit}`)),
          },
        ],
        series: [{}, ...this.#data.lines.map((_, index) => lineStyle(this.#container, index, hasDots))],
      },
      this.#aligned(),
      this.#container,
    );
  }

  #aligned(): uPlot.AlignedData {
    return [this.#data.x, ...this.#data.lines];
  }

  #size(): { width: number; height: number } {
    return { width: this.#container.clientWidth, height: this.#container.clientHeight };
  }
}

/** A short piece of a line as the chart has it, for the table beside it. */
export function swatch(index: number): SVGElement {
  const namespace = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(namespace, 'svg');
  svg.setAttribute('class', 'swatch');
  svg.setAttribute('viewBox', '0 0 24 12');
  svg.setAttribute('aria-hidden', 'true');
  const line = document.createElementNS(namespace, 'line');
  line.setAttribute('class', `line line-${index}`);
  for (const [name, value] of [
    ['x1', '0'],
    ['x2', '24'],
    ['y1', '6'],
    ['y2', '6'],
  ] as const) {
    line.setAttribute(name, value);
  }
  svg.append(line);
  return svg;
}

// The style sheet is the one place that knows the colours, so it is asked by means of a line that it paints.
function lineStyle(container: HTMLElement, index: number, hasDots: boolean): uPlot.Series {
  const sample = swatch(index);
  container.append(sample);
  const { stroke, strokeDasharray } = getComputedStyle(sample.firstChild as SVGElement);
  sample.remove();
  const dash = strokeDasharray.match(/[\d.]+/g)?.map(Number);
  return {
    stroke,
    width: 2,
    ...(dash === undefined ? {} : { dash }),
    spanGaps: true,
    points: hasDots ? { show: true, size: 6, fill: stroke } : { show: false },
  };
}
