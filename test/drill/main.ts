/** `npm run drill`: makes the incidents of docs/operations.md happen, and checks that everybody who should say so does, and when. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { EXIT, exitCodeOf } from '../../local/cli/exit-codes.ts';
import { REPOSITORY } from '../../local/repository.ts';
import { errorText } from '../../src/core/errors.ts';
import { type IncidentReport, runDrill } from './drill.ts';
import { DrillBed } from './drill-bed.ts';
import { drillTable, withTable } from './drill-table.ts';
import { INCIDENTS } from './incidents.ts';

const HELP = `npm run drill -- [options]

  --only <text>    only incidents whose title has this text
  --short          an outage of seconds instead of a minute, and no limit of seconds for what is said: for CI
  --out <folder>   where the report goes, as JSON and Markdown (default results)
  --write          puts the table into docs/operations.md
`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    short: { type: 'boolean', default: false },
    out: { type: 'string', default: 'results' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function log(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function main(): Promise<void> {
  const incidents = INCIDENTS.filter(({ title }) => title.toLowerCase().includes(values.only.toLowerCase()));
  log('Starting Postgres, the Worker and Chromium …');
  const bed = await DrillBed.open();
  let reports: IncidentReport[] = [];
  const failures: string[] = [];
  try {
    // It sends, and is written: all that follows has a sound beginning.
    await bed.firstSuccess('readings', 0, 60_000);
    reports = await runDrill(bed, incidents, {
      isShort: values.short,
      onReport({ title, failures: found }) {
        log(`${found.length === 0 ? 'ok  ' : 'FAIL'} ${title}`);
        for (const failure of found) log(`     ${failure}`);
      },
    });
    failures.push(...reports.flatMap(({ title, failures: found }) => found.map((one) => `${title}: ${one}`)));
    failures.push(...(await audit(bed)));
    const { log: lines, webhook } = bed.witnesses;
    await mkdir(resolve(values.out), { recursive: true });
    await writeFile(join(values.out, 'drill-log.json'), JSON.stringify(lines.all, null, 1));
    await writeFile(join(values.out, 'drill-webhook.json'), JSON.stringify(webhook.all, null, 1));
  } finally {
    await bed.close();
  }
  const table = drillTable(reports);
  process.stdout.write(`\n${table}\n`);
  await mkdir(resolve(values.out), { recursive: true });
  await writeFile(join(values.out, 'drill.json'), `${JSON.stringify({ reports, failures }, null, 1)}\n`);
  await writeFile(join(values.out, 'drill.md'), `${table}\n`);
  if (values.write) {
    const page = join(REPOSITORY, 'docs/operations.md');
    await writeFile(page, withTable(await readFile(page, 'utf8'), table));
  }
  for (const failure of failures) log(`FAIL ${failure}`);
  if (failures.length > 0) process.exitCode = EXIT.auditFailed;
}

/** Whatever happened: what was sent is in the table, once, or was refused for its content. */
async function audit(bed: DrillBed): Promise<string[]> {
  const { unacked } = await bed.load.stop();
  const expected = bed.load.sent - bed.load.dead;
  const untilMs = Date.now() + 60_000;
  while ((await bed.rows('readings')) < expected && Date.now() < untilMs)
    await new Promise((wait) => setTimeout(wait, 200));
  const [found] = await bed.postgres.query<{ rows: string; distinct: string }>(
    'select count(*) as rows, count(distinct (producer, number)) as distinct from readings',
  );
  log(`${bed.load.sent} messages sent, ${bed.load.dead} refused for their content, ${found?.rows} rows`);
  return Number(found?.rows) === expected && Number(found?.distinct) === expected && unacked === 0
    ? []
    : [
        `${expected} rows were expected, ${found?.rows} are there, ${found?.distinct} of them distinct; ${unacked} messages are not acked`,
      ];
}

if (values.help) process.stdout.write(HELP);
else
  try {
    process.exitCode = EXIT.good;
    await main();
  } catch (error) {
    log(`drill: ${errorText(error)}`);
    process.exitCode = exitCodeOf(error);
  }
