/** Where figures go by OTLP/HTTP: the variables OTLP_URL and OTLP_SERVICE, and the secret OTLP_HEADERS. */

import { SluiceError } from '../../core/errors.ts';

export interface OtlpVariables {
  OTLP_URL?: unknown;
  OTLP_HEADERS?: unknown;
  OTLP_SERVICE?: unknown;
}

export interface OtlpOptions {
  url: URL;
  headers: Record<string, string>;
  service: string;
}

const MAX_LENGTH = 8_192;
const MAX_HEADERS = 20;
const PATH = '/v1/metrics';

/**
 * - `OTLP_URL`: the collector, as `https://otel.example.com:4318`; `/v1/metrics` is added where the path does not end with it.
 * - `OTLP_HEADERS`: `name=value,name=value`, as in OTEL_EXPORTER_OTLP_HEADERS: values may be percent-encoded.
 * - `OTLP_SERVICE`: `service.name`. Default: `sluice`.
 *
 * @returns undefined where OTLP_URL is unset or empty
 * @throws SluiceError `invalid_configuration`; never with what a header holds
 */
export function readOtlpOptions({
  OTLP_URL,
  OTLP_HEADERS,
  OTLP_SERVICE,
}: OtlpVariables): OtlpOptions | undefined {
  const url = textOf('OTLP_URL', OTLP_URL);
  if (url === '') return undefined;
  const service = textOf('OTLP_SERVICE', OTLP_SERVICE);
  return {
    url: urlOf(url),
    headers: headersOf(textOf('OTLP_HEADERS', OTLP_HEADERS)),
    service: service === '' ? 'sluice' : service,
  };
}

function textOf(variable: string, value: unknown): string {
  if (value === undefined) return '';
  if (typeof value !== 'string' || value.length > MAX_LENGTH)
    throw refuse(variable, `it is no text of at most ${MAX_LENGTH} characters`);
  return value.trim();
}

function urlOf(text: string): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw refuse('OTLP_URL', 'it is no address of a collector, as https://otel.example.com:4318');
  if (url.username !== '' || url.password !== '')
    throw refuse('OTLP_URL', 'a name or a password belongs to OTLP_HEADERS, as authorization=Basic%20…');
  const path = url.pathname.replace(/\/+$/, '');
  url.pathname = path.endsWith(PATH) ? path : path + PATH;
  return url;
}

function headersOf(text: string): Record<string, string> {
  const headers: [string, string][] = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part, index) => {
      const [, name = '', encoded = ''] = /^([!#$%&'*+.^_`|~\w-]+)\s*=\s*(.*)$/.exec(part) ?? [];
      const value = decoded(encoded);
      if (name === '' || value === undefined || !/^[\t\x20-\x7e]*$/.test(value))
        throw refuse('OTLP_HEADERS', `part ${index + 1} is no name=value; encode other characters with %`);
      return [name.toLowerCase(), value];
    });
  if (headers.length > MAX_HEADERS) throw refuse('OTLP_HEADERS', `it has more than ${MAX_HEADERS}`);
  return Object.fromEntries(headers);
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function refuse(variable: string, why: string): SluiceError {
  return new SluiceError('invalid_configuration', `Cannot use the variable ${variable}: ${why}`);
}
