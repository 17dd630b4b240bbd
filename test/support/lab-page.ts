/** The page of the bench, which the Worker imports and which is not committed. */

import { ensureLabPage } from '../../lab/local/build-page.ts';

export async function setup(): Promise<void> {
  await ensureLabPage();
}
