import { IS_CHECKOUT } from './repository.ts';

/**
 * A command of Sluice as it is typed here: a script of npm in a checkout, the package's program everywhere else.
 *
 * @param options what follows the command's name
 */
export function commandText(command: string, options = '', isCheckout = IS_CHECKOUT): string {
  if (!isCheckout) return ['npx sluice', command, options].join(' ').trim();
  return options === '' ? `npm run ${command}` : `npm run ${command} -- ${options}`;
}
