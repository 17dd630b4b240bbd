/** Numbers without gaps (dcb.events, "Invoice number"). */

import { type DecisionStore, decide, type EventStore, projection } from 'sluice/events';

type InvoiceCreated = { type: 'InvoiceCreated'; data: { invoiceNumber: number; invoiceData: unknown } };

export function invoiceCreated(invoiceNumber: number, invoiceData: unknown) {
  return {
    type: 'InvoiceCreated',
    data: { invoiceNumber, invoiceData },
    tags: [`invoice:${invoiceNumber}`],
  };
}

const nextInvoiceNumber = projection({
  query: [{ types: ['InvoiceCreated'] }],
  initial: 1,
  apply: (_number, event: InvoiceCreated) => event.data.invoiceNumber + 1,
});

/** Reads all invoices. */
export function createInvoice(store: DecisionStore<unknown>, invoiceData: unknown) {
  return decide(store, nextInvoiceNumber, (number) => invoiceCreated(number, invoiceData));
}

/** Reads the last invoice only: the decision goes on from the state that the one before it leaves. */
export async function createInvoiceAfterLast(store: EventStore, invoiceData: unknown) {
  const { query } = nextInvoiceNumber;
  const [last] = await store.read(query, { backwards: true, limit: 1 });
  const from = last === undefined ? 0n : last.position - 1n;
  return decide(store, nextInvoiceNumber, (number) => invoiceCreated(number, invoiceData), { from });
}
