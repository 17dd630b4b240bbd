/**
 * Finds the messages of an import that are stored already: an import that ended early is repeated from its beginning, and
 * the same message at the same place counts as done.
 */

import { MAX_PAGE_BYTES } from '../core/limits.ts';
import { withoutTrailingZeros } from '../core/trailing-zeros.ts';
import { compactJson } from '../store/exact-numbers.ts';
import { PageSize } from '../store/page-size.ts';
import type { ImportRow, MessageEngine, MessageRecord } from './engine.ts';

/** Positions between two rows that are read with them, so that rows that are near each other take one read. */
const MAX_GAP = 16n;

/** Messages of one read. */
const PAGE_MESSAGES = 1_000;

/**
 * The rows that are not in the store yet. What is in another place, or other than the row, is not in the store.
 *
 * @returns in their order; a row that is there twice, and the same, is there once
 */
export async function withoutStored(
  engine: MessageEngine,
  rows: readonly ImportRow[],
): Promise<readonly ImportRow[]> {
  const first = new Map<bigint, ImportRow>();
  const distinct = rows.filter((row) => {
    const before = first.get(row.globalPosition);
    if (before === undefined) first.set(row.globalPosition, row);
    return before === undefined || !isSame(before, row);
  });
  const stored = new Set<bigint>();
  const size = new PageSize(PAGE_MESSAGES, MAX_PAGE_BYTES);
  for (const { from, to } of rangesOf([...first.keys()])) {
    for (let next = from; next <= to; ) {
      const left = Number(to - next) + 1;
      const limit = Math.min(left, size.messages);
      const page = await engine.readCategory({
        category: '',
        globalPosition: next,
        limit,
        correlation: null,
        consumer: null,
      });
      size.learn(page);
      for (const record of page) {
        const row = first.get(record.globalPosition);
        if (row !== undefined && isSame(record, row)) stored.add(record.globalPosition);
      }
      const last = page.at(-1);
      if (last === undefined || page.length < limit) break;
      next = last.globalPosition + 1n;
    }
  }
  return distinct.filter((row) => first.get(row.globalPosition) !== row || !stored.has(row.globalPosition));
}

function rangesOf(positions: bigint[]): { from: bigint; to: bigint }[] {
  const ranges: { from: bigint; to: bigint }[] = [];
  for (const position of positions.sort((a, b) => (a < b ? -1 : 1))) {
    const range = ranges.at(-1);
    if (range !== undefined && position - range.to <= MAX_GAP) range.to = position;
    else ranges.push({ from: position, to: position });
  }
  return ranges;
}

type Compared = Pick<
  MessageRecord,
  'id' | 'stream' | 'type' | 'position' | 'globalPosition' | 'data' | 'metadata' | 'timeUs'
>;

function isSame(one: Compared, other: Compared): boolean {
  return (
    one.id === other.id &&
    one.stream === other.stream &&
    one.type === other.type &&
    one.position === other.position &&
    one.globalPosition === other.globalPosition &&
    one.timeUs === other.timeUs &&
    isSameJson(one.data, other.data) &&
    isSameJson(one.metadata ?? 'null', other.metadata ?? 'null')
  );
}

/** Whether two JSON texts say the same: Postgres keeps another text than it was given. */
function isSameJson(one: string, other: string): boolean {
  return (
    one === other || compactJson(one) === compactJson(other) || canonicalJson(one) === canonicalJson(other)
  );
}

/** Before the text of a number: no string that is stored has it. */
const NUL = '\0';

/** One text for all that say the same: without blanks, members sorted, numbers written in one way. */
export function canonicalJson(text: string): string {
  const canonical = (_name: string, value: unknown, context?: { source?: string }): unknown => {
    if (typeof value === 'number') return NUL + canonicalNumber(context?.source ?? String(value));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  return JSON.stringify(JSON.parse(text, canonical));
}

/** A number as its digits and an exponent, without zeros at either end: 1.50 and 150e-2 are `15e-1`. */
function canonicalNumber(source: string): string {
  const [, sign, whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source) ?? [];
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = withoutTrailingZeros(digits);
  if (significant === '') return '0';
  return `${sign}${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`;
}
