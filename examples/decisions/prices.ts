/**
 * Products that are ordered at the price that was displayed, if it is still valid (dcb.events, "Dynamic product price"), in three stages: one price;
 * prices that change, the one before being good for ten minutes more; several products in one order.
 */

import { type DecisionStore, decide, projection } from 'sluice/events';

type ProductDefined = { type: 'ProductDefined'; data: { productId: string; price: number; at: number } };
type ProductPriceChanged = {
  type: 'ProductPriceChanged';
  data: { productId: string; newPrice: number; at: number };
};

export interface Item {
  productId: string;
  price: number;
}

const GRACE_MINUTES = 10;

/** @param at the minute */
export function productDefined(productId: string, price: number, at = 0) {
  return { type: 'ProductDefined', data: { productId, price, at }, tags: [`product:${productId}`] };
}

/** @param at the minute */
export function productPriceChanged(productId: string, newPrice: number, at: number) {
  return { type: 'ProductPriceChanged', data: { productId, newPrice, at }, tags: [`product:${productId}`] };
}

export function productsOrdered(items: readonly Item[]) {
  return {
    type: 'ProductsOrdered',
    data: { items },
    tags: items.map(({ productId }) => `product:${productId}`),
  };
}

const productPrice = (productId: string) =>
  projection({
    query: [{ types: ['ProductDefined'], tags: [`product:${productId}`] }],
    initial: undefined as number | undefined,
    apply: (_price, event: ProductDefined) => event.data.price,
  });

const validPrices = (productId: string, now: number) =>
  projection({
    query: [{ types: ['ProductDefined', 'ProductPriceChanged'], tags: [`product:${productId}`] }],
    initial: [] as number[],
    apply(prices, event: ProductDefined | ProductPriceChanged) {
      if (event.type === 'ProductDefined') return [event.data.price];
      const { newPrice, at } = event.data;
      return now - at <= GRACE_MINUTES ? [...prices, newPrice] : [newPrice];
    },
  });

export function orderProduct(store: DecisionStore<unknown>, productId: string, displayedPrice: number) {
  return decide(store, productPrice(productId), (price) => {
    if (price !== displayedPrice) throw new Error('Price has changed');
    return productsOrdered([{ productId, price }]);
  });
}

/** @param now the minute */
export function orderProducts(store: DecisionStore<unknown>, items: readonly Item[], now: number) {
  const prices = Object.fromEntries(items.map(({ productId }) => [productId, validPrices(productId, now)]));
  return decide(store, prices, (valid) => {
    for (const { productId, price } of items) {
      if (valid[productId]?.includes(price) !== true) throw new Error('Price is no longer valid');
    }
    return productsOrdered(items);
  });
}
