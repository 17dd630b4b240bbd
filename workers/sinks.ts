/** The sinks of this Worker. Add yours here: a table, what goes into its columns, and how it is batched. */

import { SluiceError } from '../src/errors.ts';
import { messages } from '../src/schema/messages.ts';
import { defineSink, messageSources, type Sink } from '../src/sink.ts';
import type { SinkOptions } from '../src/sink-options.ts';
import type { Env } from './env.ts';

const SINKS: Record<string, (options: Partial<SinkOptions>) => Sink> = {
  messages: (options) =>
    defineSink('messages', {
      table: messages,
      columns: messageSources,
      options,
    }),
};

/** The names of all sinks. */
export const SINK_NAMES: readonly string[] = Object.keys(SINKS);

/**
 * The sink of a name, with the options that the variable SINKS sets for it; undefined where there is none.
 *
 * @throws SluiceError `invalid_configuration` where SINKS is not what it should be
 */
export function findSink(env: Env, name: string): Sink | undefined {
  const define = Object.hasOwn(SINKS, name) ? SINKS[name] : undefined;
  if (define === undefined) return undefined;
  const configured = configuredOptions(env);
  for (const known of Object.keys(configured)) {
    if (!Object.hasOwn(SINKS, known)) {
      throw new SluiceError(
        'invalid_configuration',
        `The variable SINKS names the sink ${JSON.stringify(known)}; there are ${SINK_NAMES.join(', ')}`,
      );
    }
  }
  try {
    return define((configured[name] ?? {}) as Partial<SinkOptions>);
  } catch (error) {
    throw new SluiceError(
      'invalid_configuration',
      `The variable SINKS is wrong: ${error instanceof Error ? error.message : ''}`,
      { cause: error },
    );
  }
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
