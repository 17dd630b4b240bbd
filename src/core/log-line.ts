/** Lines of the log, as JSON: one for each thing, with a time. What they hold is never a payload, an address or a secret. */

export type LogLevel = 'info' | 'warn' | 'error';

/** A line. `sink` and `shard` are null for what concerns no shard; `sqlstate` is that of PostgreSQL. */
export interface LogLine {
  level: LogLevel;
  /** ISO 8601. */
  at: string;
  sink: string | null;
  shard: number | null;
  /** What it is: `retrying`, `paused`, `resumed`, `dead-letters`, …; `error` for what failed by itself. */
  kind: string;
  code: string | null;
  sqlstate: string | null;
  message: string;
  [field: string]: string | number | null;
}

/** The fields of a line that need not be said. */
export type LogFields = Partial<Omit<LogLine, 'level' | 'at'>> & { message: string };

export function logLine(level: LogLevel, nowMs: number, fields: LogFields): LogLine {
  const nothing = {
    sink: null,
    shard: null,
    kind: level === 'error' ? 'error' : 'note',
    code: null,
    sqlstate: null,
  };
  return { level, at: new Date(nowMs).toISOString(), ...nothing, ...fields } as LogLine;
}
