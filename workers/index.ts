/** This repository's own Worker: what `wrangler dev` and `wrangler deploy` run. */

import { lab } from '../lab/workers/lab.ts';
import { messages } from '../src/schema/messages.ts';
import { messageSources } from '../src/sinks/column-sources.ts';
import { createSluice } from './create-sluice.ts';
import { stores } from './stores.ts';

const sluice = createSluice({
  sinks: { messages: { table: messages, columns: messageSources } },
  stores,
  lab,
});

export default sluice;
export class Shard extends sluice.Shard {}
export class Monitor extends sluice.Monitor {}
export class Namespace extends sluice.Namespace {}
export class Registry extends sluice.Registry {}
export class BenchShard extends sluice.BenchShard {}
export class BenchObject extends sluice.BenchObject {}
export class LoadObject extends sluice.LoadObject {}
