/** Where the drill happens: a real Postgres behind a proxy, a Worker in workerd, a dashboard in Chromium, a receiver of alerts, and load. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import { Cleanup } from '../../local/cli/cleanup.ts';
import { migrateDatabase } from '../../local/migrate.ts';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import type { Health } from '../../src/monitor/view.ts';
import { type FaultProxy, startFaultProxy } from '../faults/fault-proxy.ts';
import { PostgresServer } from '../faults/postgres-server.ts';
import { launchChromium } from '../support/chromium.ts';
import { DrillLoad } from './drill-load.ts';
import { Samples } from './samples.ts';
import { startWebhookReceiver, type Told } from './webhook-receiver.ts';
import { Witness } from './witness.ts';

/** Messages a second of all producers together. */
const RATE = 100;
const PRODUCERS = 3;

/** What `/health` says to those who may read. */
export type HealthAnswer = Pick<Health, 'status' | 'sinks'> & {
  httpStatus: number;
  reasons: Health['reasons'];
};

/** A line of the log. */
export type LogLine = Readonly<Record<string, unknown>> & { message: string };

export interface Witnesses {
  health: Witness<HealthAnswer>;
  metrics: Witness<Samples>;
  log: Witness<LogLine>;
  /** The text of the page, from its head to its foot. */
  dashboard: Witness<string>;
  webhook: Witness<Told>;
}
export type WitnessName = keyof Witnesses;

export class DrillBed {
  readonly witnesses: Witnesses = {
    health: new Witness('health'),
    metrics: new Witness('metrics'),
    log: new Witness('log'),
    dashboard: new Witness('dashboard'),
    webhook: new Witness('webhook'),
  };
  readonly load: DrillLoad;
  readonly postgres: PostgresServer;
  readonly toPostgres: FaultProxy;
  readonly #worker: LocalWorker;
  readonly #cleanup: Cleanup;

  private constructor(parts: {
    postgres: PostgresServer;
    toPostgres: FaultProxy;
    worker: LocalWorker;
    cleanup: Cleanup;
  }) {
    this.postgres = parts.postgres;
    this.toPostgres = parts.toPostgres;
    this.#worker = parts.worker;
    this.#cleanup = parts.cleanup;
    this.load = new DrillLoad(this.url('/ws/readings'), PRODUCERS, RATE);
  }

  static async open(): Promise<DrillBed> {
    const cleanup = new Cleanup();
    try {
      const folder = await mkdtemp(join(tmpdir(), 'sluice-drill-'));
      cleanup.add('remove the folder', () => rm(folder, { recursive: true, force: true }));
      const postgres = new PostgresServer(folder);
      cleanup.add('stop Postgres', () => postgres.remove());
      await postgres.start();
      await postgres.prepare();
      await migrateDatabase(postgres.url);
      for (const name of ['readings', 'small'])
        await postgres.query(
          `create table ${name} (id bigint generated always as identity primary key, producer text not null, number bigint not null, celsius double precision)`,
        );
      await postgres.query('grant select, insert, update, delete on all tables in schema public to writer');
      const toPostgres = await startFaultProxy({ target: { host: '127.0.0.1', port: postgres.port } });
      cleanup.add('close the proxy to Postgres', () => toPostgres.close());
      const told: Told[] = [];
      let onTold = (one: Told): void => void told.push(one);
      const receiver = await startWebhookReceiver((one) => onTold(one));
      cleanup.add('close the receiver', () => receiver.close());
      const lines: { text: string; atMs: number }[] = [];
      let onLine = (text: string): void => void lines.push({ text, atMs: Date.now() });
      const worker = await startWorker({
        main: 'test/drill/worker/drill-worker.ts',
        objects: ['SHARD', 'MONITOR'],
        bindings: {
          AUTHORIZE: 'open',
          OPERATORS: 'open',
          DATABASE_URL: postgres.writerUrl(toPostgres.port),
          DRIVER: 'tcp',
          RUNS_ON: 'drill',
          ALERT_WEBHOOKS: receiver.variable,
        },
        onLog: (text) => onLine(text),
      });
      cleanup.add('stop the Worker', () => worker.stop());
      const browser = await launchChromium();
      cleanup.add('close Chromium', () => browser.close());
      const bed = new DrillBed({ postgres, toPostgres, worker, cleanup });
      onTold = (one) => bed.witnesses.webhook.note(one);
      onLine = (text) => bed.#noteLine(text);
      await bed.#watch(browser);
      cleanup.add('end the watching', () => bed.#endWatching());
      return bed;
    } catch (error) {
      await cleanup.run();
      throw error;
    }
  }

  #noteLine(text: string): void {
    for (const line of text.split('\n')) {
      if (!line.startsWith('{')) continue;
      try {
        this.witnesses.log.note(JSON.parse(line) as LogLine);
      } catch {}
    }
  }

  async #watch(browser: Browser): Promise<void> {
    const { health, metrics, dashboard } = this.witnesses;
    health.look(async () => {
      const response = await fetch(this.url('/health'));
      return {
        httpStatus: response.status,
        ...((await response.json()) as Omit<HealthAnswer, 'httpStatus'>),
      };
    });
    metrics.look(async () => new Samples(await (await fetch(this.url('/metrics'))).text()));
    const page: Page = await browser.newPage();
    await page.goto(this.url('/dashboard').href);
    // As a person sees it: with line breaks, and without what is hidden.
    // biome-ignore lint/performance/useDomNodeTextContent: see above
    dashboard.look(() => page.innerText('body'));
  }

  async #endWatching(): Promise<void> {
    for (const witness of Object.values(this.witnesses)) await witness.end();
  }

  url(path: string): URL {
    return new URL(path, this.#worker.url);
  }

  /** The Worker loses its database, at once. */
  losePostgres(): void {
    this.toPostgres.set({ refuse: true });
    this.toPostgres.reset();
  }

  healPostgres(): void {
    this.toPostgres.heal();
  }

  async killShard(sink: string): Promise<void> {
    await fetch(this.url(`/drill/kill?sink=${sink}`), { method: 'POST' });
  }

  /** What operators do. */
  async operate(path: string, body: unknown): Promise<void> {
    const response = await fetch(this.url(`/admin/${path}`), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`POST /admin/${path}: ${response.status} ${await response.text()}`);
  }

  /** Rows of a table. It goes past the proxy. */
  async rows(table: string): Promise<number> {
    const [row] = await this.postgres.query<{ rows: string }>(`select count(*) as rows from ${table}`);
    return Number(row?.rows);
  }

  /** When the table has more rows than so many: a batch has succeeded. A table that is not there has none. */
  async firstSuccess(table: string, before: number, limitMs: number): Promise<number> {
    const untilMs = Date.now() + limitMs;
    while ((await this.rows(table).catch(() => 0)) <= before) {
      if (Date.now() > untilMs) throw new Error(`Nothing was written to ${table} for ${limitMs / 1_000} s`);
      await delay(50);
    }
    return Date.now();
  }

  async close(): Promise<void> {
    await this.#cleanup.run();
  }
}
