/**
 * The bench inside the Worker: one object for the whole deployment, so that one run at a time is a fact and not a
 * hope. It answers with a stream: progress while the run lasts, the table at its end.
 */

import { DurableObject } from 'cloudflare:workers';
import { databaseFacts } from '../../src/bench/facts.ts';
import { IngestHost } from '../../src/bench/ingest-host.ts';
import { INGEST_PARAMETERS, type IngestParameters, ingestSuite } from '../../src/bench/ingest-suite.ts';
import { jsonReport, textReport } from '../../src/bench/report.ts';
import type { BenchResult } from '../../src/bench/result.ts';
import { type BenchProgress, runSuite } from '../../src/bench/runner.ts';
import { ConnectionSlot } from '../../src/database/connection-slot.ts';
import { errorText, isSluiceError, SluiceError } from '../../src/errors.ts';
import { systemTimers } from '../../src/ingest/timers.ts';
import { MAX_WORKER_BENCH_MESSAGES } from '../../src/limits.ts';
import { optionTable, resolveOptions } from '../../src/option-table.ts';
import { connect, databaseTarget } from '../database.ts';
import type { Env } from '../env.ts';
import { problemResponse } from '../problem.ts';
import { workerIngestPorts } from './ingest-ports.ts';

/** Parameters that only the Worker's bench has. */
const RUN_PARAMETERS = optionTable({
  reps: { kind: 'integer', min: 1, max: 20, default: 3, description: 'Repetitions of each mode' },
  format: { kind: 'choice', choices: ['text', 'json'], default: 'text', description: 'What the answer is' },
});

const STATEMENT_LIMIT_MS = 120_000;
const PROGRESS_LINE_EVERY_MS = 1_000;

export class BenchObject extends DurableObject<Env> {
  #isRunning = false;

  /** `GET /bench`: the Worker has checked who asks. */
  override async fetch(request: Request): Promise<Response> {
    try {
      const { reps, format, parameters } = readParameters(new URL(request.url).searchParams);
      if (this.#isRunning) {
        throw new SluiceError(
          'bench_running',
          'Another run is under way: one at a time, or they would measure each other',
        );
      }
      this.#isRunning = true;
      const controller = new AbortController();
      const run = (onProgress: (progress: BenchProgress) => void): Promise<BenchResult> =>
        this.#run(parameters, reps, whereText(this.env, request), controller.signal, onProgress).finally(
          () => {
            this.#isRunning = false;
          },
        );
      if (format === 'json') {
        return new Response(jsonReport(await run(() => {})), {
          headers: { 'content-type': 'application/json' },
        });
      }
      return streamText(run, controller);
    } catch (error) {
      if (!isSluiceError(error)) console.error(JSON.stringify({ level: 'error', message: errorText(error) }));
      return problemResponse(error);
    }
  }

  async #run(
    parameters: IngestParameters,
    reps: number,
    where: string,
    signal: AbortSignal,
    onProgress: (progress: BenchProgress) => void,
  ): Promise<BenchResult> {
    const target = databaseTarget(this.env, parameters.driver);
    const slot = new ConnectionSlot({
      open: () => connect(target),
      timers: systemTimers,
      useTimeLimitMs: STATEMENT_LIMIT_MS,
    });
    const host = new IngestHost(workerIngestPorts(this.env, slot), parameters);
    try {
      const database = await slot.use(({ db }) => databaseFacts(db, target));
      await host.warmUp();
      const result = await runSuite({
        suite: ingestSuite,
        parameters,
        reps,
        host,
        now: Date.now,
        signal,
        onProgress,
        facts: {
          tool: { name: 'sluice' },
          machine: { where },
          database,
        },
      });
      result.notes.push(
        "A deployed Worker's clock only moves when I/O happens; every time here is taken around I/O.",
      );
      return result;
    } finally {
      await host.close().catch(() => {});
      slot.close();
    }
  }
}

/** Where the run takes place. A local workerd pretends to be in some data centre; RUNS_ON says better. */
function whereText({ RUNS_ON }: Env, { cf }: Request): string {
  return `inside the Worker, ${RUNS_ON ?? `Cloudflare ${cf?.colo ?? ''}`}`.trim();
}

function readParameters(query: URLSearchParams): {
  reps: number;
  format: string;
  parameters: IngestParameters;
} {
  // One check for all names, so that an unknown one is answered with everything there is.
  const { reps, format, ...parameters } = resolveOptions(
    { ...INGEST_PARAMETERS, ...RUN_PARAMETERS },
    { ...ingestSuite.presets.quick, ...Object.fromEntries(query) },
  );
  const messages = parameters.clients * parameters.messages * (parameters.modes.length + 2) * reps;
  if (messages > MAX_WORKER_BENCH_MESSAGES) {
    throw new SluiceError(
      'invalid_options',
      `This run would send ${messages} messages: at most ${MAX_WORKER_BENCH_MESSAGES} are allowed, over clients × messages × (modes + 2 floors) × reps`,
      { details: { allowed: MAX_WORKER_BENCH_MESSAGES } },
    );
  }
  return { reps, format, parameters };
}

type Run = (onProgress: (progress: BenchProgress) => void) => Promise<BenchResult>;

function streamText(run: Run, controller: AbortController): Response {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const encoder = new TextEncoder();
  // A reader that is gone ends the run: nobody is left to read its result, and it costs money.
  const write = (text: string): void =>
    void writer.write(encoder.encode(text)).catch(() => controller.abort());
  writer.closed.catch(() => controller.abort());
  void run(throttledProgress(write))
    .then((result) => write(`\n${textReport(result, ingestSuite)}`))
    .catch((error: unknown) =>
      write(`\nThe run failed: ${isSluiceError(error) ? error.message : 'internal error, see the log'}\n`),
    )
    .finally(() => writer.close().catch(() => {}));
  return new Response(readable, {
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
      'content-encoding': 'identity',
    },
  });
}

/** Lines of progress: the end of every repetition, and in between one now and then. */
function throttledProgress(write: (text: string) => void): (progress: BenchProgress) => void {
  let writtenAtMs = Date.now();
  return function writeProgress({ variant, rep, reps, done, total, result }) {
    const label = `${variant.padEnd(13)} ${rep}/${reps}`;
    if (result === undefined && (done === 0 || Date.now() - writtenAtMs < PROGRESS_LINE_EVERY_MS)) return;
    writtenAtMs = Date.now();
    write(
      result === undefined
        ? `${label}  ${Math.round((done / total) * 100)}%\n`
        : `${label}  ${(result.elapsedMs / 1000).toFixed(2)} s  ${Math.round(result.perSecond)}/s\n`,
    );
  };
}
