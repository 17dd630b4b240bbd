/** Checks what a client is told, and says what holds where it is told nothing. */

import { SluiceError } from './errors.ts';
import type { SluiceClientOptions } from './options.ts';
import { openWebSocket, platformTimers, randomUuid } from './platform.ts';

/** Options with all that has a default. */
export type CheckedOptions = Required<Omit<SluiceClientOptions, 'url' | 'storage' | 'onEvent'>> &
  Pick<SluiceClientOptions, 'storage' | 'onEvent'> & { url: string };

/**
 * @returns the options, with the producer in the url
 * @throws SluiceError `invalid_options`
 */
export function checkOptions(options: SluiceClientOptions): CheckedOptions {
  refuseUnknownOptions(options);
  const { openSocket, timers, random, ack, whenFull } = options;
  if (!openSocket && typeof WebSocket === 'undefined')
    throw new SluiceError('invalid_options', 'There is no WebSocket here: give openSocket');
  return {
    ...options,
    ...addressOf(options),
    ack: oneOf('ack', ack ?? 'stored', ['none', 'stored', 'committed']),
    batchMessages: whole(options, 'batchMessages', 500, 1, 10_000),
    batchBytes: whole(options, 'batchBytes', 256 * 1024, 1, 32 * 1024 * 1024),
    lingerMs: whole(options, 'lingerMs', 5, 0, 60_000),
    ringMessages: whole(options, 'ringMessages', 100_000, 1, 100_000_000),
    ringBytes: whole(options, 'ringBytes', 16 * 1024 * 1024, 1, 2 ** 40),
    whenFull: oneOf('whenFull', whenFull ?? 'block', ['block', 'reject', 'drop-oldest', 'drop-newest']),
    openSocket: openSocket ?? openWebSocket,
    timers: timers ?? platformTimers,
    random: random ?? Math.random,
  };
}

const OPTIONS: readonly string[] = [
  'url',
  'producer',
  'ack',
  'batchMessages',
  'batchBytes',
  'lingerMs',
  'ringMessages',
  'ringBytes',
  'whenFull',
  'storage',
  'openSocket',
  'timers',
  'random',
  'onEvent',
] satisfies (keyof SluiceClientOptions)[];

/** An option that is misspelt would be passed over without a word. */
function refuseUnknownOptions(options: SluiceClientOptions): void {
  if (typeof options !== 'object' || options === null)
    throw invalidOption('url', 'The options are missing: name a url');
  for (const name of Object.keys(options)) {
    if (OPTIONS.includes(name)) continue;
    const shown = name.slice(0, 40);
    const distances = OPTIONS.map((option) => editDistance(shown, option));
    const least = Math.min(...distances);
    const hint =
      least <= Math.max(2, name.length / 2)
        ? `did you mean ${OPTIONS[distances.indexOf(least)]}?`
        : `there are ${OPTIONS.join(', ')}`;
    throw invalidOption(shown, `There is no option ${JSON.stringify(shown)}: ${hint}`);
  }
}

/** How many letters have to be put in, taken away or replaced to make one word of the other, whatever their case. */
function editDistance(one: string, other: string): number {
  const to = [...other.toLowerCase()];
  let row = [0, ...to.map((_, index) => index + 1)];
  for (const letter of one.toLowerCase()) {
    const next = [(row[0] as number) + 1];
    for (const [index, wanted] of to.entries()) {
      const replaced = (row[index] as number) + Number(letter !== wanted);
      next.push(Math.min(replaced, (row[index + 1] as number) + 1, (next[index] as number) + 1));
    }
    row = next;
  }
  return row.at(-1) as number;
}

/** The address of a socket, with the producer in it, and the producer. */
function addressOf({ url: given, producer: option, storage }: SluiceClientOptions): {
  url: string;
  producer: string;
} {
  let url: URL;
  try {
    url = new URL(given);
    url.protocol = url.protocol.replace(/^http/, 'ws');
    if (!/^wss?:$/.test(url.protocol)) throw url;
  } catch {
    throw invalidOption('url', 'url: ws://, wss://, http:// or https:// and the path of a sink');
  }
  url.hash = '';
  const named = url.searchParams.getAll('producer');
  if (option !== undefined) named.push(option);
  const [first] = named;
  if (named.some((name) => name !== first)) {
    throw invalidOption(
      'producer',
      'The producer is given twice, in the url and beside it or twice in the url: give it once',
    );
  }
  if (first === undefined && storage) {
    throw invalidOption('producer', 'A storage belongs to one producer: name it');
  }
  const producer = first ?? randomUuid();
  if (typeof producer !== 'string' || !/^[A-Za-z0-9._:@-]{1,128}$/.test(producer)) {
    const shown = JSON.stringify(String(producer).slice(0, 40));
    throw invalidOption(
      'producer',
      `Cannot use ${shown} as a producer: 1 to 128 characters of A-Z a-z 0-9 . _ : @ - are allowed`,
    );
  }
  url.searchParams.set('producer', producer);
  return { url: url.href, producer };
}

function invalidOption(option: string, message: string, details: Record<string, unknown> = {}): SluiceError {
  return new SluiceError('invalid_options', message, { details: { option, ...details } });
}

function whole(
  options: SluiceClientOptions,
  option: 'batchMessages' | 'batchBytes' | 'lingerMs' | 'ringMessages' | 'ringBytes',
  standard: number,
  min: number,
  max: number,
): number {
  const value = options[option] ?? standard;
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw invalidOption(option, `${option}: a whole number from ${min} to ${max}`, { min, max });
}

function oneOf<T extends string>(option: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw invalidOption(option, `${option}: one of ${allowed.join(', ')}`, { allowed });
}
