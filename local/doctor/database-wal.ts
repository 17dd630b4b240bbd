/** Checks of the write-ahead log. What each setting wins is measured (docs/doctor.md); they are told where the server's own figures say it matters. */

import { type Check, unwise } from './check.ts';
import type { DatabaseFacts } from './database-facts.ts';

/** Below this share of the WAL there is nothing to win by compressing images of pages. */
const MANY_IMAGES = 0.3;
const PAGE_BYTES = 8_192;
/** Figures of a server that has hardly written anything say nothing. */
const ENOUGH_WAL_BYTES = 256 * 1024 * 1024;

const SMALL_MAX_WAL_MB = 4_096;

/** So many checkpoints before they say something about the load. */
const ENOUGH_CHECKPOINTS = 10;

const RELOAD = 'select pg_reload_conf()';

export const WAL_CHECKS: readonly Check<DatabaseFacts>[] = [
  {
    name: 'wal-compression',
    about: `Where images of whole pages are ${100 * MANY_IMAGES} % of the WAL or more, \`wal_compression\` is on, by \`zstd\` or \`lz4\` and not by \`pglz\`, which costs more and saves less.`,
    remedy: "`alter system set wal_compression = 'zstd'` or `'lz4'`, where the server was built with it",
    look: lookAtCompression,
  },
  {
    name: 'max-wal-size',
    about: `\`max_wal_size\` is ${SMALL_MAX_WAL_MB / 1_024} GB or more: with less a busy sink causes one checkpoint after the other.`,
    remedy: "`alter system set max_wal_size = '4GB'`; the disk needs the room.",
    async look({ ask, isDevelopment, isNeon }) {
      if (isDevelopment || isNeon) return [];
      const [row] = await ask<{ megabytes: number }>(
        `select setting::float8 as megabytes from pg_settings where name = 'max_wal_size'`,
      );
      if (row === undefined || row.megabytes >= SMALL_MAX_WAL_MB) return [];
      return [
        unwise(
          `max_wal_size is ${row.megabytes} MB`,
          'A busy sink fills it in less than the time between two checkpoints, so that there is one after the other, and pages go into the WAL as a whole. The disk needs the room.',
          "alter system set max_wal_size = '4GB'",
          RELOAD,
        ),
      ];
    },
  },
  {
    name: 'checkpoints',
    about:
      'Checkpoints come by the clock and not because the WAL is full, at least every five minutes apart, and are spread over their time.',
    remedy: 'Double `max_wal_size`; `checkpoint_timeout = 15min`, `checkpoint_completion_target = 0.9`.',
    look: lookAtCheckpoints,
  },
  {
    name: 'replication-slots',
    about: 'No slot that nobody reads keeps WAL: it fills the disk, and then the server stops.',
    remedy: '`select pg_drop_replication_slot(…)`, unless its reader comes back.',
    async look({ ask }) {
      const rows = await ask<{ name: string; bytes: number }>(
        `select slot_name as name, pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end, restart_lsn)::float8 as bytes
          from pg_replication_slots where not active and restart_lsn is not null
            and pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end, restart_lsn) > ${1024 ** 3}
          order by 2 desc limit 5`,
      );
      return rows.map(({ name, bytes }) =>
        unwise(
          `The replication slot ${name} is read by nobody, and keeps ${(bytes / 1024 ** 3).toFixed(1)} GB of WAL`,
          'It fills the disk, and then the server takes no writes. Drop it, unless its reader comes back:',
          `select pg_drop_replication_slot('${name}')`,
        ),
      );
    },
  },
];

async function lookAtCompression({ ask, isDevelopment, isNeon }: DatabaseFacts) {
  if (isDevelopment || isNeon) return [];
  const [row] = await ask<{ value: string; ways: string[]; images: number; bytes: number }>(
    `select s.setting as value, s.enumvals as ways, w.wal_fpi::float8 as images, w.wal_bytes::float8 as bytes
      from pg_settings s cross join pg_stat_wal w where s.name = 'wal_compression'`,
  );
  if (row === undefined || row.bytes < ENOUGH_WAL_BYTES) return [];
  const { value, ways, images, bytes } = row;
  // Compressed images are smaller than their pages.
  const share = Math.min(1, (images * PAGE_BYTES) / bytes);
  if (share < MANY_IMAGES) return [];
  const best = ['zstd', 'lz4'].find((way) => ways?.includes(way));
  const isSlow = value === 'pglz' || value === 'on';
  if (isSlow)
    return [
      unwise(
        `wal_compression is ${value}, and images of pages are a large part of the WAL`,
        'In the lab pglz took a third more of the processor for each row, and saved 8 % of the WAL; lz4 and zstd took a tenth, and saved 13 % and 23 %.',
        `alter system set wal_compression = '${best ?? 'off'}'`,
        RELOAD,
      ),
    ];
  if (value !== 'off' || best === undefined) return [];
  return [
    unwise(
      `wal_compression is off, and about ${Math.round(100 * share)} % of the WAL are images of pages`,
      'After each checkpoint the first change of a page writes all of it. Compressed they take less of the disk, of the network to standbys, and of the archive.',
      `alter system set wal_compression = '${best}'`,
      RELOAD,
    ),
  ];
}

async function lookAtCheckpoints({ ask, version, isDevelopment, isNeon }: DatabaseFacts) {
  if (isDevelopment || isNeon) return [];
  const counts =
    version < 170_000
      ? 'select checkpoints_timed::float8 as timed, checkpoints_req::float8 as requested from pg_stat_bgwriter'
      : 'select num_timed::float8 as timed, num_requested::float8 as requested from pg_stat_checkpointer';
  const [row] = await ask<{ timed: number; requested: number }>(counts);
  const [settings] = await ask<{ seconds: number; target: number; size: number }>(
    `select max(setting::float8) filter (where name = 'checkpoint_timeout') as seconds,
        max(setting::float8) filter (where name = 'checkpoint_completion_target') as target,
        max(setting::float8) filter (where name = 'max_wal_size') as size
      from pg_settings where name in ('checkpoint_timeout', 'checkpoint_completion_target', 'max_wal_size')`,
  );
  if (row === undefined || settings === undefined) return [];
  const findings = [];
  const all = row.timed + row.requested;
  if (all >= ENOUGH_CHECKPOINTS && row.requested > all / 3)
    findings.push(
      unwise(
        `${row.requested} of ${all} checkpoints came because the WAL was full`,
        'Each makes the disk busy, and the pages after it go into the WAL as a whole. Give it more room:',
        `alter system set max_wal_size = '${Math.ceil((2 * settings.size) / 1_024)}GB'`,
        RELOAD,
      ),
    );
  if (settings.seconds < 300)
    findings.push(
      unwise(
        `checkpoint_timeout is ${settings.seconds} s`,
        'Pages that are changed again and again go into the WAL as a whole after each checkpoint.',
        "alter system set checkpoint_timeout = '15min'",
        RELOAD,
      ),
    );
  if (settings.target < 0.7)
    findings.push(
      unwise(
        `checkpoint_completion_target is ${settings.target}`,
        'A checkpoint writes at once what it could spread over its time, and batches wait for the disk.',
        'alter system set checkpoint_completion_target = 0.9',
        RELOAD,
      ),
    );
  return findings;
}
