import { SluiceError } from '../src/core/errors.ts';

/**
 * The sink that is meant where `--sink` names none: the only one that the Worker has.
 *
 * @throws SluiceError `invalid_options` where there are several, or none
 */
export function onlySink(sinks: readonly string[]): string {
  const [only] = sinks;
  if (only !== undefined && sinks.length === 1) return only;
  throw new SluiceError(
    'invalid_options',
    only === undefined
      ? 'The Worker has no sink'
      : `The Worker has several sinks: name one with --sink (${sinks.join(', ')})`,
    { details: { option: 'sink', allowed: sinks } },
  );
}
