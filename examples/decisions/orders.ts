/** Orders that a token of the client's keeps from being placed twice (dcb.events, "Prevent record duplication"). */

import { type DecisionStore, decide, projection } from 'sluice/events';

export function orderPlaced(orderId: string, idempotencyToken: string) {
  return {
    type: 'OrderPlaced',
    data: { orderId, idempotencyToken },
    tags: [`order:${orderId}`, `idempotency:${idempotencyToken}`],
  };
}

const wasTokenUsed = (idempotencyToken: string) =>
  projection({
    query: [{ types: ['OrderPlaced'], tags: [`idempotency:${idempotencyToken}`] }],
    initial: false,
    apply: () => true,
  });

export function placeOrder(store: DecisionStore<unknown>, orderId: string, idempotencyToken: string) {
  return decide(store, wasTokenUsed(idempotencyToken), (wasUsed) => {
    if (wasUsed) throw new Error('Re-submission');
    return orderPlaced(orderId, idempotencyToken);
  });
}
