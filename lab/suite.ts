/**
 * A bench suite as data: what is compared, with which parameters, what each run must prove, and what stands beside
 * it as a floor. One runner, one result and one report serve every suite, in the CLI and in the Worker.
 */

import type { ChoiceSpec, OptionsOf, OptionTable } from '../src/core/option-table.ts';
import type { ServerWatch } from './measure/server-watch.ts';
import type { BenchResult, Conclusion, RepResult } from './result.ts';
import type { Target } from './targets.ts';

/** One way of doing the work, or a floor: a figure that shows what is left to gain. */
export interface Variant {
  name: string;
  role: 'measured' | 'floor';
  /** One line for the report. */
  description: string;
  /** What else tells it from the others, by the titles in the suite's `labels`. */
  labels?: Readonly<Record<string, string>>;
  /** Floors that its `usPerOperation` is shown as a multiple of, by the titles of their columns. */
  floors?: Readonly<Record<string, string>>;
  /** Steps of one ladder run in the order in which they are declared, and end at the first that breaks. Default: none. */
  ladder?: string;
  /** The variant that it is run directly before or after, because their figures are divided by each other. */
  beside?: string;
}

/** A column of the report's table. */
export interface ReportColumn {
  title: string;
  /** Which figure of a repetition it shows: the median over the repetitions. */
  metric: string;
  digits: number;
}

export interface Suite<Table extends OptionTable = OptionTable> {
  name: string;
  /** A sentence for the head of the report. */
  title: string;
  /** What is counted per second. */
  unit: string;
  parameters: Table;
  /** Named sets of parameters, as in `--quick`. */
  presets: Readonly<Record<'quick' | 'full', Partial<OptionsOf<Table>>>>;
  variants(parameters: OptionsOf<Table>): Variant[];
  /** How many units one repetition counts, for the progress shown. */
  unitsPerRep(variant: Variant, parameters: OptionsOf<Table>): number;
  /** Titles of the columns that show the variants' labels. */
  labels?: readonly string[];
  /** The measured variant that the others are compared with. Default: none. */
  baseline?: string;
  /** Floors that measured variants are shown as a share of. */
  sharesOf: readonly { floor: string; title: string }[];
  columns: readonly ReportColumn[];
  /** What the figures have to reach. A target that is missed is told and fails nothing. */
  targets?(parameters: OptionsOf<Table>): readonly Target[];
  /** Whether a user could choose a measured variant, so that it may be recommended. Default: each. */
  canBeChosen?(variant: Pick<Variant, 'labels'>): boolean;
  /** Order is part of what is promised: a row out of order makes the run invalid. */
  keepsOrder?: boolean;
  /** What follows from the figures beyond the table: points of a ramp, a rate that holds, a before and after. */
  conclude?(result: Omit<BenchResult, 'conclusions'>, parameters: OptionsOf<Table>): readonly Conclusion[];
  /** Files in formats of the suite's own, beside those that every suite has. */
  files?(result: BenchResult): readonly { name: string; text: string }[];
  /** What the figures do not include, for the foot of the report. */
  notes(parameters: OptionsOf<Table>): string[];
}

/** The option of every suite that needs a database. */
export const DRIVER_OPTION = {
  kind: 'choice',
  choices: ['auto', 'tcp', 'neon'],
  default: 'auto',
  description: 'Driver of the database',
} as const satisfies ChoiceSpec;

/** What a repetition gets from the runner. */
export interface RepContext {
  /** For all that is drawn by lot: the same for each run with the same seed. */
  seed: number;
  /** Looks at the server while the load runs; undefined where nobody looks. */
  server: ServerWatch | undefined;
}

/** What runs a suite's variants in one place: the CLI's machine, or the Worker. */
export interface SuiteHost {
  /** Runs what is measured for the first time, so that no repetition pays for code that has never run. */
  warmUp(): Promise<void>;
  /** Runs one repetition. It calls `onUnits` now and then with the units done so far. */
  run(
    variant: Variant,
    rep: number,
    onUnits: (done: number) => void,
    context: RepContext,
  ): Promise<RepResult>;
  /** Deletes what was made. */
  close(): Promise<void>;
}
