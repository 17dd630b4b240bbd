/** What screen readers are told without anybody going there. */

import { byId } from './elements.ts';

/** Says a sentence when nothing else is being said. For the few things that somebody waits for. */
export function announce(text: string): void {
  byId('announcer', HTMLElement).textContent = text;
}
