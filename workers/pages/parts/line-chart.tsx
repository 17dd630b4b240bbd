/** A chart of lines over time (uPlot) in the page's colours, with a legend, markers, and a table of the same figures. */

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { Table } from './table.tsx';

export interface ChartLine {
  name: string;
  values: readonly (number | null)[];
}

/** Something that happened at a time. */
export interface Marker {
  atMs: number;
  text: string;
}

export interface LineChartProps {
  /** A sentence that says what there is to see. */
  title: string;
  /** When each figure is of, in milliseconds. */
  times: readonly number[];
  /** At most four. */
  lines: readonly ChartLine[];
  markers: readonly Marker[];
  /** A figure with its unit, short. */
  show(value: number | null): string;
  isLog?: boolean;
}

const dark = matchMedia('(prefers-color-scheme: dark)');

export function LineChart(props: LineChartProps): JSX.Element {
  const { title, times, lines, show, isLog = false } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const latest = useRef(props);
  latest.current = props;
  const [at, setAt] = useState<number | null>(null);
  const [isTable, setTable] = useState(false);

  useEffect(() => {
    // Kept, since what observes it is told once more when it is gone.
    const element = box.current as HTMLDivElement;
    const make = (): void => {
      plot.current?.destroy();
      plot.current = draw(element, () => latest.current, setAt);
    };
    make();
    const resized = new ResizeObserver(() => plot.current?.setSize(sizeOf(element)));
    resized.observe(element);
    // A canvas keeps the colours that it was painted with.
    dark.addEventListener('change', make);
    return () => {
      resized.disconnect();
      dark.removeEventListener('change', make);
      plot.current?.destroy();
    };
  }, []);
  useEffect(() => plot.current?.setData(aligned(latest.current)), [times, lines]);

  const shown = at ?? lastKnown(lines);
  return (
    <figure>
      <div class="row apart">
        <figcaption>
          {title}
          {isLog ? <span class="quiet small"> (logarithmic)</span> : null}
        </figcaption>
        <button type="button" class="plain small" aria-expanded={isTable} onClick={() => setTable(!isTable)}>
          {isTable ? 'Chart' : 'Table'}
          <span class="unseen"> of: {title}</span>
        </button>
      </div>
      <div class="legend" aria-hidden="true">
        <span>{shown === null ? '' : timeOf(times[shown] as number)}</span>
        {lines.map(({ name, values }, index) => (
          <span key={name}>
            <svg class={`line line-${index}`} viewBox="0 0 24 12" aria-hidden="true">
              <path d="M0 6h24" />
            </svg>{' '}
            {name} {shown === null ? '' : show(values[shown] ?? null)}
          </span>
        ))}
      </div>
      <div class="chart" ref={box} role="img" aria-label={title} hidden={isTable} />
      {isTable ? <ChartTable {...props} /> : null}
    </figure>
  );
}

/** At most so many rows, the latest first: a table of a week is there to be read. */
const TABLE_ROWS = 60;

function ChartTable({ title, times, lines, show }: LineChartProps): JSX.Element {
  const every = Math.max(1, Math.ceil(times.length / TABLE_ROWS));
  const rows = times
    .map((time, index) => ({ time, index }))
    .reverse()
    .filter((_, index) => index % every === 0)
    .map(({ time, index }) => ({
      key: String(time),
      cells: [timeOf(time), ...lines.map(({ values }) => show(values[index] ?? null))],
    }));
  return (
    <Table
      label={title}
      columns={[{ title: 'time' }, ...lines.map(({ name }) => ({ title: name }))]}
      rows={rows}
    />
  );
}

function lastKnown(lines: readonly ChartLine[]): number | null {
  const length = lines[0]?.values.length ?? 0;
  for (let index = length - 1; index >= 0; index -= 1)
    if (lines.some(({ values }) => values[index] !== null)) return index;
  return null;
}

const DAY_MS = 86_400_000;

function timeOf(atMs: number): string {
  const time = new Date(atMs);
  const clock = time.toLocaleTimeString('en-GB');
  return Date.now() - atMs < DAY_MS ? clock : `${time.toLocaleDateString('en-CA')} ${clock.slice(0, 5)}`;
}

/** A mark of the time axis: the day where marks are days apart, else the time, by a clock of 24 hours. */
function markOf(atS: number, stepS: number): string {
  const time = new Date(atS * 1_000);
  if (stepS >= 86_400) return time.toLocaleDateString('en-CA').slice(5);
  return time.toLocaleTimeString('en-GB').slice(0, stepS < 60 ? 8 : 5);
}

function sizeOf(box: HTMLElement): { width: number; height: number } {
  return { width: box.clientWidth, height: box.clientHeight };
}

function aligned({ times, lines }: LineChartProps): uPlot.AlignedData {
  return [times.map((atMs) => atMs / 1_000), ...lines.map(({ values }) => [...values])];
}

function draw(box: HTMLElement, props: () => LineChartProps, onPoint: (index: number | null) => void): uPlot {
  const { lines, show, isLog = false } = props();
  const colours = getComputedStyle(box);
  const grid = { stroke: colours.getPropertyValue('--rule'), width: 1 };
  const axis = {
    stroke: colours.getPropertyValue('--muted'),
    grid,
    ticks: { ...grid, size: 4 },
    font: '12px system-ui, sans-serif',
  };
  return new uPlot(
    {
      ...sizeOf(box),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        y: { distr: isLog ? 3 : 1, ...(isLog ? {} : { range: (_, __, max) => [0, niceTop(max)] }) },
      },
      axes: [
        { ...axis, values: (_, marks, __, ___, stepS) => marks.map((mark) => markOf(mark, stepS)) },
        { ...axis, size: 62, values: (_, marks) => marks.map((mark) => (mark === null ? '' : show(mark))) },
      ],
      series: [{}, ...lines.map((_, index) => lineStyle(box, index))],
      hooks: {
        setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)],
        draw: [(plot) => drawMarkers(plot, props().markers, colours.getPropertyValue('--warn'))],
      },
    },
    aligned(props()),
    box,
  );
}

/** A line at 0 is at the bottom, and what is there is not at the very top. */
function niceTop(max: number | null): number {
  return max === null || max <= 0 ? 1 : max * 1.08;
}

/** A dashed line from top to bottom, with a triangle at its foot, for each marker. */
function drawMarkers({ ctx, bbox, valToPos }: uPlot, markers: readonly Marker[], colour: string): void {
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.fillStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  const half = 4 * devicePixelRatio;
  const bottom = bbox.top + bbox.height;
  for (const { atMs } of markers) {
    const x = valToPos(atMs / 1_000, 'x', true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bottom);
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(x - half, bottom);
    ctx.lineTo(x + half, bottom);
    ctx.lineTo(x, bottom - half * 1.6);
    ctx.fill();
  }
  ctx.restore();
}

// The style sheet is the one place that knows the colours, so it is asked by means of a line that it paints.
function lineStyle(box: HTMLElement, index: number): uPlot.Series {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('class', `line line-${index}`);
  box.append(svg);
  const { stroke, strokeDasharray } = getComputedStyle(svg);
  svg.remove();
  const dash = strokeDasharray.match(/[\d.]+/g)?.map(Number);
  return { stroke, width: 2, ...(dash === undefined ? {} : { dash }), points: { show: false } };
}
