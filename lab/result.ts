/** The result of a bench run as data: what the JSON file holds, and all that reports are made from. */

/** What a repetition proved about its rows. */
export interface Audit {
  /** Messages sent. */
  sent: number;
  /** Messages that were answered with an error frame. */
  refused: number;
  /** Rows found. */
  found: number;
  /** Messages sent, not refused, and not found. */
  lost: number;
  /** Rows beyond the first of a message, and rows that nobody sent. */
  duplicated: number;
  /** Rows whose message was sent before the message of an earlier row of the same producer. */
  outOfOrder: number;
}

/** One repetition of one variant. */
export interface RepResult {
  units: number;
  elapsedMs: number;
  /** Further figures by name; null where there is none. */
  metrics: Record<string, number | null>;
  /** Null for floors that leave no rows. */
  audit: Audit | null;
  /** Why this step of a ladder did not hold, in a sentence. The steps after it are not taken. */
  broken?: string;
  /** Latencies, each as a histogram, by the name of what was waited for, such as `ack`. */
  histograms?: Record<string, HistogramRecord>;
  /** Units done in each `WINDOW_MS` of the measured time, from its beginning. */
  windows?: number[];
  server?: ServerFigures;
  warnings?: Warning[];
}

/** Length of the windows in which the units of a repetition are counted. */
export const WINDOW_MS = 250;

/** A latency histogram: percentiles to be read, and all of it to be merged and drawn. */
export interface HistogramRecord {
  count: number;
  /** Microseconds. */
  minUs: number;
  meanUs: number;
  p50Us: number;
  p90Us: number;
  p99Us: number;
  p999Us: number;
  maxUs: number;
  /** HdrHistogram V2, compressed, in base64 (`HISTFAAAA…`), in microseconds with three digits. */
  hdr: string;
}

/** What the server did during a repetition. Null where it may not be asked; `missing` says why. */
export interface ServerFigures {
  walBytesPerRow: number | null;
  /** Images of whole pages, which the first change to a page after a checkpoint writes. */
  walFullPageImages: number | null;
  tableBytesPerRow: number | null;
  indexBytesPerRow: number | null;
  /** Checkpoints that began or ended meanwhile. */
  checkpoints: number | null;
  /** Statements with the most time, from pg_stat_statements. */
  statements: { text: string; calls: number; rows: number; meanMs: number; totalMs: number }[] | null;
  /** Reads and writes of data files and WAL, from pg_stat_io (PostgreSQL 16 and later). */
  io:
    | { object: string; context: string; reads: number; writes: number; extends: number; fsyncs: number }[]
    | null;
  /** How often a backend was seen waiting for what, of `waitSamples` looks: `WALSync`, `ClientRead`; `running` where it waited for nothing. */
  waits: Record<string, number> | null;
  waitSamples: number;
  /** What could not be asked, and why. */
  missing: string[];
}

/** Why a figure may not say what it seems to. */
export interface Warning {
  code: WarningCode;
  /** The variant; empty: the whole run. */
  where: string;
  /** What was seen, and what to do about it. */
  text: string;
}

export const WARNING_CODES = [
  /** The load generator was as busy as it could be: the figure is its own. */
  'client_bound',
  /** The rate was not the same at the end as at the beginning. */
  'not_steady',
  /** The clock does not move without I/O, as in a deployed Worker. */
  'timer_frozen',
  /** The server wrote a checkpoint meanwhile. */
  'checkpoint_during_run',
  /** Too few repetitions to tell a difference from chance. */
  'too_few_runs',
  /** A repetition far from the others. */
  'outlier',
  /** A transaction pooler does not know the names of prepared statements. */
  'unnamed_statements',
  /** Results of different machines, databases or settings were compared. */
  'not_comparable',
] as const;
export type WarningCode = (typeof WARNING_CODES)[number];

/** Something that follows from the figures, in words and, where it helps, a table. */
export interface Conclusion {
  title: string;
  text: string;
  /** Figures of it, for programs. */
  figures?: Record<string, number | string | boolean | null>;
  table?: { header: string[]; rows: string[][] };
}

/** Two variants, or one variant in two runs, by the repetitions of one figure. */
export interface Comparison {
  base: string;
  head: string;
  metric: string;
  /** Change of the typical value, head against base: 0.1 is a tenth more (Hodges-Lehmann). */
  change: number;
  changeLow: number | null;
  changeHigh: number | null;
  /** Of Mann-Whitney's test, two-sided, before and after Holm's correction for all comparisons of the table. */
  p: number;
  correctedP: number;
  verdict: Verdict;
}

/** `faster` and `slower` only where chance is unlikely; `too few runs` where no outcome could have shown it. */
export type Verdict = 'faster' | 'slower' | 'same' | 'too few runs';

/** A repetition as the result keeps it. */
export interface RepRecord extends RepResult {
  perSecond: number;
  /** Which of the run's repetitions it was, from 1. */
  order: number;
  /** Which of the variant's it was, from 1. A ladder that breaks leaves some out. */
  rep: number;
}

export interface VariantResult {
  name: string;
  role: 'measured' | 'floor';
  description: string;
  /** What else tells it from the others: column titles and texts. */
  labels?: Readonly<Record<string, string>>;
  /** Floors that it is shown as a multiple of, by the titles of their columns. */
  floors?: Readonly<Record<string, string>>;
  ladder?: string;
  reps: RepRecord[];
  summary: {
    perSecond: Spread;
    elapsedMs: Spread;
    /** Medians of the metrics over the repetitions that have them. */
    metrics: Record<string, number | null>;
    /** Sums over all repetitions. */
    audit: Audit | null;
  };
}

/** A median and the extremes it lies between. */
export interface Spread {
  median: number;
  min: number;
  max: number;
  /** Where the median of further runs would lie, with 95 % confidence; null below six repetitions, which cannot tell. */
  interval?: { low: number; high: number } | null;
}

export interface BenchResult {
  schemaVersion: 1;
  suite: string;
  title: string;
  unit: string;
  /** `invalid`: a repetition lost or doubled messages, so no figure of this run counts. */
  state: 'complete' | 'aborted' | 'invalid';
  startedAt: string;
  durationMs: number;
  tool: Record<string, string>;
  machine: Record<string, string | number>;
  database: Record<string, string>;
  config: Record<string, unknown>;
  /** Draws the order of the repetitions and all that is random in them. */
  seed?: number;
  /** Time before the first repetition, in which the code ran without being measured. */
  warmUpMs?: number;
  variants: VariantResult[];
  /** What the suite demands, and whether it was met; only for suites that demand something. */
  targets?: JudgedTarget[];
  /** Each measured variant against the baseline. */
  comparisons?: Comparison[];
  conclusions?: Conclusion[];
  warnings?: Warning[];
  notes: string[];
}

/**
 * True where no message was lost and none doubled. The order of rows is judged for suites that promise it; of the
 * others, not every writer does, and it is only shown.
 */
export function passes(audit: Audit, { keepsOrder = false }: { keepsOrder?: boolean } = {}): boolean {
  return audit.lost === 0 && audit.duplicated === 0 && (!keepsOrder || audit.outOfOrder === 0);
}

/** A target with the figure of a run. */
export interface JudgedTarget {
  title: string;
  figure: number;
  unit: string;
  bound: { atMost: number } | { atLeast: number };
  isMet: boolean;
}
