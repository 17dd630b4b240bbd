/**
 * The same query with fewer items. Each item is a separate look-up, in reads as in conditions, and the queries of
 * projections that are composed say much the same: those of the course example have five items and need two.
 */

import { MAX_ITEM_TYPES } from '../core/limits.ts';
import type { QueryItem } from './engine.ts';

/**
 * Leaves out items that match nothing but what another one matches, and joins those that differ in their types only.
 * Both are exact: what the result matches is what any of the items matches. Types and tags are never joined at once,
 * which would match more.
 *
 * @param items without repetitions in their types and tags
 */
export function fewestItems(items: readonly QueryItem[]): readonly QueryItem[] {
  const byTags = new Map<string, QueryItem[]>();
  for (const item of items) {
    const key = JSON.stringify([...item.tags].sort());
    const known = byTags.get(key);
    const last = known?.at(-1);
    if (known === undefined || last === undefined) byTags.set(key, [item]);
    else if (item.types.length === 0 || last.types.length === 0)
      known.splice(0, known.length, item.types.length === 0 ? item : last);
    else {
      const types = [...new Set([...last.types, ...item.types])];
      // An item holds only so many types; the next one goes on.
      if (types.length > MAX_ITEM_TYPES) known.push(item);
      else known[known.length - 1] = { types, tags: last.tags };
    }
  }
  const joined = [...byTags.values()].flat();
  return joined.filter(
    (item, index) =>
      !joined.some(
        (other, otherIndex) =>
          otherIndex !== index && covers(other, item) && (otherIndex < index || !covers(item, other)),
      ),
  );
}

/** Whether the wider item matches all that the narrower one matches. */
function covers(wider: QueryItem, narrower: QueryItem): boolean {
  if (wider.tags.some((tag) => !narrower.tags.includes(tag))) return false;
  if (wider.types.length === 0) return true;
  return narrower.types.length > 0 && narrower.types.every((type) => wider.types.includes(type));
}
