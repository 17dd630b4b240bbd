/** What `sluice top` shows, as lines of text: a pure function of a view. Texts from outside are made safe for a terminal. */

import { shownAge, shownCount, shownDuration, shownRate } from '../../src/monitor/shown-figures.ts';
import { shardsText, troublesOf, waitingText } from '../../src/monitor/troubles.ts';
import type { MonitorView, ShownState, Tiles } from '../../src/monitor/view.ts';
import { printable } from './admin-client.ts';

export interface ScreenOptions {
  /** Columns of the terminal; 80 at least. */
  width: number;
  /** Lines that there is room for; undefined: all. */
  height?: number;
  hasColour: boolean;
  /** The sink whose shards are shown; undefined: none. */
  chosen?: string | undefined;
  /** A line at the end: what keys do, or what is wrong. */
  foot?: string;
}

type Colour = 'red' | 'yellow' | 'green' | 'bold' | 'dim';
const CODES: Record<Colour, number> = { red: 31, yellow: 33, green: 32, bold: 1, dim: 2 };

const STATE_COLOURS: Partial<Record<ShownState, Colour>> = {
  ok: 'green',
  running: 'green',
  busy: 'green',
  retrying: 'yellow',
  unknown: 'yellow',
  paused: 'red',
  stopped: 'red',
  held: 'red',
  full: 'red',
};

/** A piece of a line that has a colour. Its length is that of its text. */
interface Cell {
  text: string;
  colour?: Colour | undefined;
}

const SHOWN_TROUBLES = 5;
const SHOWN_EVENTS = 5;

/** The lines, each as wide as the terminal at the most. */
export function topScreen(view: MonitorView, options: ScreenOptions): string[] {
  const width = Math.max(80, options.width);
  const paint = ({ text, colour }: Cell): string =>
    options.hasColour && colour !== undefined ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text;
  const line = (...cells: Cell[]): string => {
    let room = width;
    return cells
      .map(({ text, colour }) => {
        const cut = cutTo(text, room);
        room -= cut.length;
        return paint({ text: cut, colour });
      })
      .join('');
  };
  const status = view.health.status;
  const statusColour = status === 'ok' ? 'green' : status === 'degraded' ? 'yellow' : 'red';
  const { all } = view;
  const oldest = all.oldestMs > 0 ? ` (oldest ${shownDuration(all.oldestMs)})` : '';
  const lines = [
    line(
      { text: 'Sluice ', colour: 'bold' },
      { text: status, colour: statusColour },
      {
        text: `  ${safe(view.version)}  ${new Date(view.atMs).toISOString().slice(11, 19)} UTC`,
        colour: 'dim',
      },
    ),
    line({
      text: `in ${shownRate(all.receivedPerSecond)}/s  out ${shownRate(all.committedPerSecond)}/s  waiting ${shownCount(all.queueMessages)}${oldest}  ack p99 ${shownDuration(all.ackP99Ms)}  dead ${shownCount(all.deadLetters)}`,
    }),
    '',
  ];
  const troubles = troublesOf(view);
  for (const trouble of troubles.slice(0, SHOWN_TROUBLES)) {
    const { sink, message, sqlState, status: how, sinceMs } = trouble.first;
    const code = sqlState === null || message.includes(sqlState) ? '' : ` (SQLSTATE ${sqlState})`;
    const text = `${sink ?? 'all'}${shardsText(trouble)}: ${message}${code}, for ${shownDuration(Math.max(0, view.atMs - sinceMs))}. ${waitingText(trouble)}`;
    const [first = '', ...others] = wrapped(safe(text), width - 2).slice(0, 3);
    lines.push(line({ text: '! ', colour: how === 'failing' ? 'red' : 'yellow' }, { text: first }));
    for (const other of others) lines.push(line({ text: `  ${other}` }));
  }
  if (troubles.length > SHOWN_TROUBLES) lines.push(`  and ${troubles.length - SHOWN_TROUBLES} more`);
  if (troubles.length > 0) lines.push('');

  const nameWidth = width - FIGURES.reduce((sum, { width: columns }) => sum + columns + 1, 0) - 2;
  const header = FIGURES.map(
    ({ title, width: columns, isText }) => ` ${isText ? title.padEnd(columns) : title.padStart(columns)}`,
  ).join('');
  lines.push(line({ text: `  ${'sink'.padEnd(nameWidth)}${header}`, colour: 'dim' }));
  const row = (mark: string, name: string, tiles: Tiles & { state: ShownState }): string =>
    line(
      { text: `${mark} ${cutTo(safe(name), nameWidth).padEnd(nameWidth)}` },
      ...FIGURES.map(({ of, width: columns, isText, colour }) => {
        const text = cutTo(of(tiles), columns);
        return {
          text: ` ${isText ? text.padEnd(columns) : text.padStart(columns)}`,
          colour: colour?.(tiles),
        };
      }),
    );
  if (view.sinks.length === 0)
    lines.push('  No shard has reported yet: send a message, and its sink stands here.');
  for (const sink of view.sinks) {
    const isChosen = sink.sink === options.chosen;
    lines.push(row(isChosen ? '>' : ' ', sink.sink, sink));
    if (isChosen) for (const shard of sink.shards) lines.push(row(' ', `  shard ${shard.shard}`, shard));
  }
  lines.push('');
  for (const { address, serverVersion, samples } of view.databases) {
    const sum = (name: string): number =>
      samples.reduce((total, [metric, , value]) => (metric === name ? total + value : total), 0);
    lines.push(
      line({
        text: `Postgres ${safe(serverVersion)} at ${safe(address)}: ${shownCount(sum('postgres_connections'))} of ${shownCount(sum('postgres_connections_limit'))} connections`,
      }),
    );
  }
  for (const { state, rule, message, acknowledgedBy } of view.alerts) {
    if (state === 'resolved') continue;
    const who = acknowledgedBy === null ? '' : ` (${acknowledgedBy} looks after it)`;
    lines.push(
      line(
        { text: `${state} `, colour: state === 'firing' ? 'red' : 'yellow' },
        { text: safe(`${rule}: ${message}${who}`) },
      ),
    );
  }
  for (const { atMs, sink, shard, message } of view.events.slice(0, SHOWN_EVENTS)) {
    const place = sink === null ? '' : `${sink}${shard === null ? '' : `, shard ${shard}`}: `;
    lines.push(
      line(
        { text: `${shownAge(atMs, view.atMs).padEnd(11)} `, colour: 'dim' },
        { text: safe(place + message) },
      ),
    );
  }
  const foot = options.foot === undefined ? [] : [line({ text: safe(options.foot), colour: 'dim' })];
  if (options.height === undefined) return [...lines, ...foot];
  return [...lines.slice(0, Math.max(1, options.height - foot.length)), ...foot];
}

interface Figure {
  title: string;
  width: number;
  isText?: boolean;
  of(tiles: Tiles & { state: ShownState }): string;
  colour?(tiles: Tiles & { state: ShownState }): Colour | undefined;
}

const FIGURES: readonly Figure[] = [
  {
    title: 'state',
    width: 8,
    isText: true,
    of: ({ state }) => (state === 'running' ? 'ok' : state),
    colour: ({ state }) => STATE_COLOURS[state],
  },
  { title: 'in/s', width: 6, of: ({ receivedPerSecond }) => shownRate(receivedPerSecond) },
  { title: 'out/s', width: 6, of: ({ committedPerSecond }) => shownRate(committedPerSecond) },
  { title: 'waiting', width: 7, of: ({ queueMessages }) => shownCount(queueMessages) },
  { title: 'oldest', width: 7, of: ({ oldestMs }) => (oldestMs === 0 ? '–' : shownDuration(oldestMs)) },
  { title: 'ack p99', width: 7, of: ({ ackP99Ms }) => shownDuration(ackP99Ms) },
  {
    title: 'dead',
    width: 6,
    of: ({ deadLetters }) => shownCount(deadLetters),
    colour: ({ deadLetters }) => (deadLetters > 0 ? 'red' : undefined),
  },
  {
    title: 'conn',
    width: 6,
    of: ({ connectionsOpen, connectionsLimit }) => `${connectionsOpen}/${connectionsLimit}`,
  },
];

function safe(text: string): string {
  return printable(text);
}

function cutTo(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** A text in lines of at most so many characters, broken between words where it can be. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let rest = text.trim();
  while (rest.length > width) {
    const space = rest.lastIndexOf(' ', width);
    const end = space > width / 2 ? space : width;
    lines.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  return [...lines, rest];
}
