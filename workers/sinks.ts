/**
 * The sinks of this Worker. Add yours here: a table, what goes into its columns, and how it is batched. Sinks of streams
 * need no code: the variable SINKS defines them.
 */

import { SluiceError } from '../src/core/errors.ts';
import { messages } from '../src/schema/messages.ts';
import { defineSink, messageSources, type Sink } from '../src/sinks/sink.ts';
import type { SinkOptions } from '../src/sinks/sink-options.ts';
import { defineStreamSink } from '../src/sinks/stream-sink.ts';
import type { Env } from './env.ts';

const SINKS: Record<string, (options: Partial<SinkOptions>) => Sink> = {
  messages: (options) =>
    defineSink('messages', {
      table: messages,
      columns: messageSources,
      options,
    }),
};

/** Part of addresses and of the names of shards. */
const SINK_NAME = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * The names of all sinks: those above, and those of streams that the variable SINKS defines by their `namespace`.
 *
 * @throws SluiceError `invalid_configuration` where SINKS is not what it should be
 */
export function sinkNames(env: Env): string[] {
  return [...new Set([...Object.keys(SINKS), ...Object.keys(configuredSinks(env))])];
}

/**
 * The sink of a name, with the options that the variable SINKS sets for it; undefined where there is none.
 *
 * @throws SluiceError `invalid_configuration` where SINKS is not what it should be
 */
export function findSink(env: Env, name: string): Sink | undefined {
  const define = Object.hasOwn(SINKS, name) ? SINKS[name] : undefined;
  const configured = configuredSinks(env);
  const own = Object.hasOwn(configured, name) ? configured[name] : undefined;
  try {
    if (define !== undefined) return define((own ?? {}) as Partial<SinkOptions>);
    if (own === undefined) return undefined;
    const { namespace, ...options } = own;
    return defineStreamSink(name, { namespace: namespace as string, options });
  } catch (error) {
    throw new SluiceError(
      'invalid_configuration',
      `The variable SINKS is wrong: ${error instanceof Error ? error.message : ''}`,
      { cause: error },
    );
  }
}

export function unknownSink(env: Env, name: string): SluiceError {
  const sinks = sinkNames(env);
  return new SluiceError(
    'unknown_sink',
    `There is no sink ${JSON.stringify(name)}: there are ${sinks.join(', ')}`,
    {
      details: { sinks },
    },
  );
}

/** What the variable says, by the names of sinks. Each is one of those above, or has a namespace. */
function configuredSinks(env: Env): Record<string, Record<string, unknown>> {
  const configured = configuredOptions(env);
  for (const [name, options] of Object.entries(configured)) {
    const isObject = typeof options === 'object' && options !== null && !Array.isArray(options);
    const isKnown = Object.hasOwn(SINKS, name);
    if (isObject && (isKnown || ('namespace' in options && SINK_NAME.test(name)))) continue;
    throw new SluiceError(
      'invalid_configuration',
      isKnown || (isObject && 'namespace' in options)
        ? `The variable SINKS is wrong at ${JSON.stringify(name)}: a sink has a name of 1 to 64 letters, digits, _ and -, and a table of options`
        : `The variable SINKS names the sink ${JSON.stringify(name)}; there are ${Object.keys(SINKS).join(', ')}, and sinks of streams need a namespace`,
    );
  }
  return configured as Record<string, Record<string, unknown>>;
}

function configuredOptions({ SINKS: configured }: Env): Record<string, unknown> {
  if (configured === undefined || configured === '') return {};
  if (typeof configured !== 'string') return configured;
  try {
    const parsed: unknown = JSON.parse(configured);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed))
      return parsed as Record<string, unknown>;
  } catch {}
  throw new SluiceError(
    'invalid_configuration',
    'The variable SINKS is not a JSON object of sinks, as in {"messages":{"lingerMs":50}}',
  );
}
