/** Every fault of the lab, in the order of the table. */

import type { Scenario } from '../scenario.ts';
import { alarmScenarios } from './alarms.ts';
import { clientScenarios } from './clients.ts';
import { commitScenarios } from './commits.ts';
import { devScenarios } from './dev.ts';
import { failoverScenarios } from './failovers.ts';
import { failpointScenarios } from './failpoints.ts';
import { frameScenarios } from './frames.ts';
import { hostileScenarios } from './hostile.ts';
import { identityScenarios } from './identity.ts';
import { limitScenarios } from './limits.ts';
import { lockScenarios } from './locks.ts';
import { memoryScenarios } from './memory.ts';
import { optionScenarios } from './options.ts';
import { poisonScenarios } from './poison.ts';
import { postgresScenarios } from './postgres.ts';
import { routeScenarios } from './routes.ts';
import { shardScenarios } from './shards.ts';
import { socketScenarios } from './sockets.ts';
import { storageScenarios } from './storages.ts';
import { tenantScenarios } from './tenants.ts';
import { tokenScenarios } from './tokens.ts';
import { upsertScenarios } from './upserts.ts';

export const SCENARIOS: readonly Scenario[] = [
  ...socketScenarios,
  ...clientScenarios,
  ...identityScenarios,
  ...tokenScenarios,
  ...storageScenarios,
  ...frameScenarios,
  ...shardScenarios,
  ...optionScenarios,
  ...failpointScenarios,
  ...alarmScenarios,
  ...commitScenarios,
  ...postgresScenarios,
  ...failoverScenarios,
  ...upsertScenarios,
  ...routeScenarios,
  ...poisonScenarios,
  ...limitScenarios,
  ...memoryScenarios,
  ...tenantScenarios,
  ...lockScenarios,
  ...hostileScenarios,
  ...devScenarios,
];
