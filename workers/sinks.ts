/** The sinks of a Worker: those that its code defines, and those of streams that the variable SINKS adds. */

import { SluiceError } from '../src/core/errors.ts';
import { defineRouteSink, type RouteSinkDefinition } from '../src/sinks/route-sink.ts';
import type { Sink } from '../src/sinks/sink.ts';
import { defineStreamSink, type StreamSinkDefinition } from '../src/sinks/stream-sink.ts';
import { defineSink, type TableSinkDefinition } from '../src/sinks/table-sink.ts';
import type { Env } from './env.ts';

/** A sink as `createSluice` takes it: a table, routes to several tables, or a namespace of the message store in Postgres. */
export type SinkInput = TableSinkDefinition | RouteSinkDefinition | StreamSinkDefinition;

/** Part of addresses and of the names of shards. */
const SINK_NAME = /^[A-Za-z0-9_-]{1,64}$/;

type Configured = Record<string, Record<string, unknown>>;

export class Sinks {
  readonly #definitions: Readonly<Record<string, SinkInput>>;
  /** What was made for the variable as it was last seen; it changes only with a deployment. */
  #made: { variable: Env['SINKS']; sinks: Map<string, Sink> } | undefined;

  /** @throws SluiceError `invalid_options`, `invalid_namespace` where a definition is wrong */
  constructor(definitions: Readonly<Record<string, SinkInput>>) {
    for (const [name, definition] of Object.entries(definitions)) {
      if (!SINK_NAME.test(name)) {
        throw new SluiceError(
          'invalid_options',
          `Cannot name a sink ${JSON.stringify(name)}: a name has 1 to 64 letters, digits, _ and -`,
        );
      }
      makeSink(name, definition, {});
    }
    this.#definitions = definitions;
  }

  /**
   * The names of all sinks: those of the code, and those of streams that the variable SINKS defines by their `namespace`.
   *
   * @throws SluiceError `invalid_configuration` where SINKS is not what it should be
   */
  names(env: Env): string[] {
    return [...new Set([...Object.keys(this.#definitions), ...Object.keys(this.#configured(env))])];
  }

  /**
   * The sink of a name, with the options that the variable SINKS sets for it; undefined where there is none.
   *
   * @throws SluiceError `invalid_configuration` where SINKS is not what it should be
   */
  find(env: Env, name: string): Sink | undefined {
    if (this.#made === undefined || this.#made.variable !== env.SINKS)
      this.#made = { variable: env.SINKS, sinks: new Map() };
    const { sinks } = this.#made;
    let sink = sinks.get(name);
    if (sink === undefined) {
      sink = this.#make(env, name);
      // Names come in with requests: only those that are defined are kept.
      if (sink !== undefined) sinks.set(name, sink);
    }
    return sink;
  }

  #make(env: Env, name: string): Sink | undefined {
    const configured = this.#configured(env);
    const own = Object.hasOwn(configured, name) ? configured[name] : undefined;
    const definition = this.#definitionOf(name);
    try {
      if (definition !== undefined) return makeSink(name, definition, own ?? {});
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

  /** The error for a name that no sink has. */
  unknown(env: Env, name: string): SluiceError {
    const sinks = this.names(env);
    return new SluiceError(
      'unknown_sink',
      `There is no sink ${JSON.stringify(name.slice(0, 64))}: there are ${sinks.join(', ')}`,
      { details: { sinks } },
    );
  }

  #definitionOf(name: string): SinkInput | undefined {
    return Object.hasOwn(this.#definitions, name) ? this.#definitions[name] : undefined;
  }

  /** What the variable says, by the names of sinks. Each is one of the code, or has a namespace. */
  #configured(env: Env): Configured {
    const configured = configuredOptions(env);
    for (const [name, options] of Object.entries(configured)) {
      const isObject = typeof options === 'object' && options !== null && !Array.isArray(options);
      const isKnown = this.#definitionOf(name) !== undefined;
      if (isObject && (isKnown || ('namespace' in options && SINK_NAME.test(name)))) continue;
      throw new SluiceError(
        'invalid_configuration',
        isKnown || (isObject && 'namespace' in options)
          ? `The variable SINKS is wrong at ${JSON.stringify(name)}: a sink has a name of 1 to 64 letters, digits, _ and -, and a table of options`
          : `The variable SINKS names the sink ${JSON.stringify(name)}; there are ${Object.keys(this.#definitions).join(', ')}, and sinks of streams need a namespace`,
      );
    }
    return configured as Configured;
  }
}

/** Options of the variable win over those of the code. */
function makeSink(name: string, definition: SinkInput, configured: Record<string, unknown>): Sink {
  const options = { ...definition.options, ...configured };
  if ('namespace' in definition) return defineStreamSink(name, { ...definition, options });
  if ('routes' in definition) return defineRouteSink(name, { ...definition, options });
  return defineSink(name, { ...definition, options });
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
