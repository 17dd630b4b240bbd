/** Tables of the pages, made from the same data that the code runs on. `test/docs.test.ts` holds the pages to them. */

import { DCB_PARAMETERS } from '../../lab/suites/dcb/parameters.ts';
import { INGEST_PARAMETERS } from '../../lab/suites/ingest/ingest-parameters.ts';
import { RATES_PARAMETERS } from '../../lab/suites/rates/rates-suite.ts';
import { STORE_PARAMETERS } from '../../lab/suites/store/parameters.ts';
import { STRESS_PARAMETERS } from '../../lab/suites/stress/stress-suite.ts';
import { allowedText, type OptionSpec, type OptionTable } from '../../src/core/option-table.ts';
import { SINK_OPTIONS } from '../../src/sinks/sink-options.ts';
import { WRITER_MODES } from '../../src/sinks/writer-mode.ts';
import { WRITERS } from '../../src/writers/writers.ts';

export function modesTable(): string {
  return table(
    ['mode', 'what it does', 'a message is written', 'order of a producer'],
    WRITER_MODES.map((mode) => [
      `\`${mode}\``,
      WRITERS[mode].description,
      WRITERS[mode].isExactlyOnce ? 'exactly once' : 'at least once',
      mode === 'buffered' ? 'not kept' : 'kept',
    ]),
  );
}

export function optionsTable(): string {
  return optionTableText('option', SINK_OPTIONS, '');
}

export function benchTable(): string {
  return optionTableText('flag', INGEST_PARAMETERS, '--');
}

export function storeBenchTable(): string {
  return optionTableText('flag', STORE_PARAMETERS, '--');
}

export function dcbBenchTable(): string {
  return optionTableText('flag', DCB_PARAMETERS, '--');
}

export function ratesBenchTable(): string {
  return optionTableText('flag', RATES_PARAMETERS, '--');
}

export function stressBenchTable(): string {
  return optionTableText('flag', STRESS_PARAMETERS, '--');
}

function optionTableText(title: string, options: OptionTable, prefix: string): string {
  return table(
    [title, 'default', 'allowed', 'meaning'],
    Object.entries(options).map(([name, spec]) => [
      `\`${prefix}${name}\``,
      defaultText(spec),
      allowedText(spec)
        .replace(/^(one of|a comma-separated list of( whole numbers)?|a whole number) ?/, '')
        .replace(' is allowed', '')
        .replace(/^a name .*/, 'a name')
        .replace(/^from /, ''),
      spec.description,
    ]),
  );
}

function defaultText(spec: OptionSpec): string {
  const { default: value } = spec;
  if (spec.kind === 'choices') {
    return spec.default.length === spec.choices.length ? 'all' : spec.default.join(', ');
  }
  if (spec.kind === 'integers') {
    return spec.default.map((number) => number.toLocaleString('en-US')).join(', ');
  }
  return typeof value === 'number' ? value.toLocaleString('en-US') : String(value);
}

function table(header: string[], rows: string[][]): string {
  return [header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}
