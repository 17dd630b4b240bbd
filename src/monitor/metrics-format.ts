/** Which format of `/metrics` a request asks for. */

import type { MetricsFormat } from './prometheus-text.ts';

/** Longer ones are read up to here. */
const MAX_LENGTH = 1_000;

/**
 * OpenMetrics where the header accepts version 1.0.0 of it, or any, no less than text. Everybody else gets text, those too who accept
 * neither: a scrape that fails says less than one that has to be read.
 *
 * @param accept the header `Accept`
 */
export function acceptedFormat(accept = ''): MetricsFormat {
  let open = 0;
  let text = 0;
  for (const range of accept.slice(0, MAX_LENGTH).toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    const named = new Map(parameters.map((parameter) => parameter.split('=', 2) as [string, string]));
    const quality = Number(named.get('q') ?? 1);
    const version = named.get('version')?.replaceAll('"', '');
    if (type === 'application/openmetrics-text' && (version === undefined || version === '1.0.0'))
      open = Math.max(open, quality);
    if (type === 'text/plain' || type === 'text/*') text = Math.max(text, quality);
  }
  return open > 0 && open >= text ? 'openmetrics' : 'prometheus';
}
