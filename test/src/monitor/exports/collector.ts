/**
 * A small collector for OTLP/HTTP in JSON. It reads what comes with the protocol's own definitions: the messages that OpenTelemetry's
 * JavaScript makes from the .proto files.
 */

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';

interface MessageType {
  fromObject(object: unknown): object;
  verify(message: object): string | null;
  encode(message: object): { finish(): Uint8Array };
  decode(bytes: Uint8Array): object;
  toObject(message: object, options: object): Record<string, unknown>;
}

// The package's main entry does not have them.
const root = createRequire(import.meta.url)(
  '@opentelemetry/otlp-transformer/build/src/generated/root.js',
) as {
  opentelemetry: { proto: { collector: { metrics: { v1: { ExportMetricsServiceRequest: MessageType } } } } };
};
const { ExportMetricsServiceRequest: Request } = root.opentelemetry.proto.collector.metrics.v1;

/**
 * Reads a request by the definitions, through their binary form and back. What the definitions do not know is lost on that way, and a
 * number that is no 64-bit one as text comes back as one: so what comes back is the same only where the request was right.
 */
export function throughTheDefinitions(request: unknown): unknown {
  const message = Request.fromObject(request);
  const fault = Request.verify(message);
  if (fault !== null) throw new Error(fault);
  return Request.toObject(Request.decode(Request.encode(message).finish()), { longs: String });
}

export interface NumberPoint {
  attributes: { key: string; value: { stringValue: string } }[];
  timeUnixNano: string;
  asDouble: number;
}

export interface HistogramPoint extends Omit<NumberPoint, 'asDouble'> {
  startTimeUnixNano: string;
  count: string;
  sum: number;
  max: number;
  scale: number;
  zeroCount: string;
  zeroThreshold: number;
  positive: { offset: number; bucketCounts: string[] };
}

export interface OtlpMetric {
  name: string;
  unit: string;
  gauge?: { dataPoints: NumberPoint[] };
  sum?: { aggregationTemporality: number; isMonotonic: boolean; dataPoints: NumberPoint[] };
  exponentialHistogram?: { aggregationTemporality: number; dataPoints: HistogramPoint[] };
}

export interface OtlpRequest {
  resourceMetrics: {
    resource: { attributes: NumberPoint['attributes'] };
    scopeMetrics: { scope: { name: string; version: string }; metrics: OtlpMetric[] }[];
  }[];
}

/** An answer of the collector; the default takes all. */
export interface CollectorAnswer {
  status?: number;
  headers?: Record<string, string>;
  body?: string;
}

export interface Received {
  path: string;
  headers: Record<string, string | string[] | undefined>;
  request: OtlpRequest;
}

export interface Collector {
  url: string;
  received: Received[];
  /** Answers for the next requests, in their order. */
  answers: CollectorAnswer[];
  close(): Promise<void>;
}

export async function startCollector(): Promise<Collector> {
  const received: Received[] = [];
  const answers: CollectorAnswer[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => {
      const { status = 200, headers = {}, body = '{}' } = answers.shift() ?? {};
      received.push({
        path: request.url ?? '',
        headers: request.headers,
        request: JSON.parse(text) as OtlpRequest,
      });
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    answers,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
