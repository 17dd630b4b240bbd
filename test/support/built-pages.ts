/** The pages, which the Worker imports and which are not committed. */

import { ensurePages } from '../../local/build/build-page.ts';

export async function setup(): Promise<void> {
  await ensurePages();
}
