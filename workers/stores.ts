/** The message and event store as a part of a Worker: `createSluice({ sinks, stores })`. */

import type { DurableObjectClass, SluicePart, StoreClasses } from './create-sluice.ts';
import { Namespace } from './namespace.ts';
import { Registry } from './registry.ts';
import { storeRoutes } from './routes/store.ts';

/** The classes are bound as NAMESPACE and REGISTRY. */
export const stores: SluicePart<StoreClasses> = {
  help: [
    'POST /rpc       the message store: ["stream.write", …] and its other methods',
    'GET /subscribe  tells of new messages (?stream=, ?category= or ?all=true)',
    'GET /read       the event store: events that match ?query=; POST /append adds some, under a condition',
    'GET /events/subscribe   sends events that match ?query=, those to come as well',
    'POST /import    stores lines of JSON with their positions; GET /export writes them',
  ],
  routes: () => storeRoutes,
  classes: {
    Namespace: Namespace as unknown as DurableObjectClass,
    Registry: Registry as unknown as DurableObjectClass,
  },
};
