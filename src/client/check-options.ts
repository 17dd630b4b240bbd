/** Checks what a client is told, and says what holds where it is told nothing. */

import type { AckLevel } from './ack-level.ts';
import { SluiceError } from './errors.ts';
import { wholeFrom } from './frames.ts';
import type { SluiceClientOptions, WhenFull } from './options.ts';
import { openWebSocket, platformTimers, randomUuid } from './platform.ts';

type OptionalName = 'storage' | 'token' | 'ticket' | 'onEvent';

/** Options with all that has a default. */
export type CheckedOptions = Required<Omit<SluiceClientOptions, 'url' | OptionalName>> &
  Pick<SluiceClientOptions, OptionalName> & { url: string };

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
  token: [],
  ticket: [],
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
  // One that is misspelt would be passed over without a word.
  for (const name of Object.keys(options))
    if (!Object.hasOwn(OPTIONS, name))
      throw invalidOption(name.slice(0, 40), `no option, there are ${Object.keys(OPTIONS).join(', ')}`);
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
        throw invalidOption(option, `a whole number from ${min} to ${max}`);
    } else if (standard && !(allowed as unknown[]).includes(value))
      throw invalidOption(option, `one of ${allowed.join(', ')}`);
  }
  if (checked.openSocket === openWebSocket && typeof WebSocket === 'undefined')
    throw invalidOption('openSocket', 'there is no WebSocket');
  return Object.assign(checked, addressOf(options)) as unknown as CheckedOptions;
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

function invalidOption(option: string, message: string): SluiceError {
  return new SluiceError('invalid_options', `${option}: ${message}`, { details: { option } });
}
