/** Reads of more than a page, in memory for one page. */

import type { PageSize, Sized } from './page-size.ts';

/**
 * Goes through pages until one is the last.
 *
 * @param size how large the next page may be; it learns from each
 * @param read reads a page of at most `limit`, after `last`; undefined: the first page
 * @param toItem what is handed out for a record; undefined: nothing
 * @param isLast whether nothing comes after a page of a read with this limit
 */
export async function* readPages<Record extends Sized, Item>(
  size: PageSize,
  read: (limit: number, last: Record | undefined) => Promise<readonly Record[]>,
  toItem: (record: Record) => Item | undefined,
  isLast: (page: readonly Record[], limit: number) => boolean = (page, limit) => page.length < limit,
): AsyncGenerator<Item, void, undefined> {
  let last: Record | undefined;
  for (;;) {
    const limit = size.messages;
    const page = await read(limit, last);
    size.learn(page);
    for (const record of page) {
      const item = toItem(record);
      if (item !== undefined) yield item;
    }
    last = page.at(-1);
    if (last === undefined || isLast(page, limit)) return;
  }
}

export interface AnswerPage<Record> {
  records: readonly Record[];
  isLast: boolean;
}

/**
 * Records as a JSON array: one text where the first page is all of them, otherwise pieces, each of which is read when it
 * is asked for. The first page is read before the answer begins, so that what is wrong with the request is a status.
 *
 * @param toJson a record as JSON text
 * @param beforeMore called once where there are more pages, before the answer begins
 */
export async function jsonArray<Record>(
  nextPage: () => Promise<AnswerPage<Record>>,
  toJson: (record: Record) => string,
  beforeMore: () => Promise<void> = async () => {},
): Promise<string | AsyncIterable<string>> {
  const first = await nextPage();
  const firstText = first.records.map(toJson).join(',');
  if (first.isLast) return `[${firstText}]`;
  await beforeMore();
  return (async function* () {
    yield `[${firstText}`;
    for (;;) {
      const { records, isLast } = await nextPage();
      if (records.length > 0) yield `,${records.map(toJson).join(',')}`;
      if (isLast) break;
    }
    yield ']';
  })();
}
