/** The orders of each shard by its name. They live in the isolate, so an aborted shard still has them when it is back. */

import type { ShardOrders, Strikes } from '../orders.ts';

interface Page {
  orders: ShardOrders;
  strikes: Strikes;
}

const book = new Map<string, Page>();

/** Replaces what a shard was told before; what it did so far still counts. */
export function giveOrders(shard: string, orders: ShardOrders): void {
  pageOf(shard).orders = structuredClone(orders);
}

export function ordersOf(shard: string): ShardOrders {
  return book.get(shard)?.orders ?? {};
}

export function strikesOf(shard: string): Strikes {
  return { ...pageOf(shard).strikes };
}

/** Tells whether an order is to be followed this time, and counts it. */
export function strikes(shard: string, kind: keyof Strikes): boolean {
  const page = pageOf(shard);
  const order = page.orders[kind];
  if (order === undefined) return false;
  if (typeof order === 'object') {
    if ('skip' in order && order.skip > 0) {
      order.skip -= 1;
      return false;
    }
    if (order.times <= 0) return false;
    order.times -= 1;
  }
  page.strikes[kind] += 1;
  return true;
}

function pageOf(shard: string): Page {
  let page = book.get(shard);
  if (page === undefined) {
    page = { orders: {}, strikes: { failpoint: 0, alarm: 0, sabotage: 0 } };
    book.set(shard, page);
  }
  return page;
}
