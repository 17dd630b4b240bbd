/** Where the monitor's figures go beside its own pages: what the variables and bindings of the Worker say. */

import { systemTimers } from '../src/core/timers.ts';
import { AnalyticsExporter } from '../src/monitor/exports/analytics-exporter.ts';
import type { Exporter } from '../src/monitor/exports/exporter.ts';
import { Exports, type ExportsPorts } from '../src/monitor/exports/exports.ts';
import { OtlpExporter } from '../src/monitor/exports/otlp-exporter.ts';
import { readOtlpOptions } from '../src/monitor/exports/otlp-options.ts';
import type { StoredReport } from '../src/monitor/shard-report.ts';
import type { Env } from './env.ts';
import { log, logFailure } from './log.ts';

/**
 * @param instance names this deployment: the id of the monitor's object
 * @param known what the shards reported before the monitor was started
 */
export function monitorExports(
  env: Env,
  instance: string,
  known: readonly StoredReport[],
  about: ExportsPorts['about'],
): Exports {
  const exporters: Exporter[] = [];
  if (env.ANALYTICS !== undefined) exporters.push(new AnalyticsExporter(env.ANALYTICS, known));
  const otlp = otlpExporter(env, instance);
  if (otlp !== undefined) exporters.push(otlp);
  return new Exports(exporters, {
    about,
    onFault: (fault) => logFailure('An export of metrics failed', fault),
  });
}

// A variable that is wrong is said, and costs nothing else: the monitor goes on without it.
function otlpExporter(env: Env, instance: string): OtlpExporter | undefined {
  try {
    const options = readOtlpOptions(env);
    if (options === undefined) return undefined;
    return new OtlpExporter(options, instance, {
      fetch: (url, init) => fetch(url, init),
      timers: systemTimers,
      random: Math.random,
      log: (level, message) => log(level, { message }),
    });
  } catch (error) {
    logFailure('Metrics are not exported', error);
    return undefined;
  }
}
