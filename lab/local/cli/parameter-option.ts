/** A parameter as a flag of the command line. */

import { Option } from 'commander';
import { allowedText, type OptionSpec } from '../../../src/core/option-table.ts';

/** The flag `--name`, with what it allows and its default in the description. */
export function optionOf(name: string, spec: OptionSpec): Option {
  const value = {
    integer: '<n>',
    integers: '<n,n>',
    name: '<name>',
    choice: '<word>',
    choices: '<words>',
    switch: '',
  }[spec.kind];
  const standard =
    spec.kind === 'choices' && spec.default.length === spec.choices.length
      ? 'all'
      : Array.isArray(spec.default)
        ? spec.default.join(',')
        : String(spec.default);
  return new Option(
    `--${name} ${value}`.trim(),
    `${spec.description} (${allowedText(spec).replace(' is allowed', '')}; default ${standard})`,
  );
}
