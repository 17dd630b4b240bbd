/** Checks what a client is told, and says what holds where it is told nothing. */

import type { AckLevel } from './ack-level.ts';
import { SluiceError } from './errors.ts';
import { wholeFrom } from './frames.ts';
import type { SluiceClientOptions, WhenFull } from './options.ts';
import { openWebSocket, platformTimers, randomUuid } from './platform.ts';

/** Options with all that has a default. */
export type CheckedOptions = Required<Omit<SluiceClientOptions, 'url' | 'storage' | 'onEvent'>> &
  Pick<SluiceClientOptions, 'storage' | 'onEvent'> & { url: string };

/** What an option may be: whole numbers by default and bounds, words with the default first, and all others. */
const OPTIONS: Readonly<Record<keyof SluiceClientOptions, readonly number[] | readonly string[]>> = {
  url: [],
  producer: [],
  ack: ['stored', 'none', 'committed'] satisfies AckLevel[],
  batchMessages: [500, 1, 10_000],
  batchBytes: [256 * 1024, 1, 32 * 1024 * 1024],
  lingerMs: [5, 0, 60_000],
  sendBufferMessages: [100_000, 1, 100_000_000],
  sendBufferBytes: [16 * 1024 * 1024, 1, 2 ** 40],
  whenFull: ['block', 'reject', 'drop-oldest', 'drop-newest'] satisfies WhenFull[],
  storage: [],
  openSocket: [],
  timers: [],
  random: [],
  onEvent: [],
};

/**
 * @returns the options, with the producer in the url
 * @throws SluiceError `invalid_options`
 */
export function checkOptions(options: SluiceClientOptions): CheckedOptions {
  if (typeof options !== 'object' || !options) throw invalidOption('url', 'missing');
  for (const name of Object.keys(options))
    if (!Object.hasOwn(OPTIONS, name)) throw unknownOption(name.slice(0, 40));
  const checked: Record<string, unknown> = {
    openSocket: openWebSocket,
    timers: platformTimers,
    random: Math.random,
  };
  for (const [option, allowed] of Object.entries(OPTIONS)) {
    const value = options[option as keyof SluiceClientOptions] ?? checked[option] ?? allowed[0];
    checked[option] = value;
    const [standard, min, max] = allowed as [number, number, number];
    if (typeof standard === 'number') {
      if (!((wholeFrom(value, min) as number) <= max))
        throw invalidOption(option, `a whole number from ${min} to ${max}`, { min, max });
    } else if (standard && !(allowed as unknown[]).includes(value))
      throw invalidOption(option, `one of ${allowed.join(', ')}`, { allowed });
  }
  if (checked.openSocket === openWebSocket && typeof WebSocket === 'undefined')
    throw invalidOption('openSocket', 'there is no WebSocket');
  return Object.assign(checked, addressOf(options)) as unknown as CheckedOptions;
}

/** An option that is misspelt would be passed over without a word. The one with the most pairs of its letters is meant. */
function unknownOption(name: string): SluiceError {
  // What 0.2.0 called the ring is the send buffer.
  const lower = name.replace('ring', 'sendBuffer').toLowerCase();
  const shareOf = (option: string) =>
    [...option.toLowerCase()].filter((letter, index, { [index + 1]: next = '' }) =>
      lower.includes(letter + next),
    ).length / option.length;
  const options = Object.keys(OPTIONS);
  const [meant] = [...options].sort((one, other) => shareOf(other) - shareOf(one)) as [string];
  const hint = shareOf(meant) > 0.5 ? `did you mean ${meant}?` : `there are ${options.join(', ')}`;
  return invalidOption(name, `no option, ${hint}`);
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
    throw invalidOption('url', 'ws(s):// or http(s):// and the path of a sink');
  }
  url.hash = '';
  const named = new Set(url.searchParams.getAll('producer'));
  if (option !== undefined) named.add(option);
  const [first] = named;
  if (named.size > 1) throw invalidOption('producer', 'given twice');
  if (first === undefined && storage) throw invalidOption('producer', 'a storage needs one');
  const producer = first ?? randomUuid();
  if (typeof producer !== 'string' || !/^[A-Za-z0-9._:@-]{1,128}$/.test(producer))
    throw invalidOption('producer', '1 to 128 characters of A-Z a-z 0-9 . _ : @ -');
  url.searchParams.set('producer', producer);
  return { url: url.href, producer };
}

function invalidOption(option: string, message: string, details: Record<string, unknown> = {}): SluiceError {
  return new SluiceError('invalid_options', `${option}: ${message}`, { details: { option, ...details } });
}
