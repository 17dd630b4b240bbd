/** The statements that look up positions of events. */

import { quoteName } from '../../core/sql-text.ts';

/** The highest bigint: no bound. */
export const MAX_BIGINT = '9223372036854775807';

/** Of a tag with fewer postings, all are read at once, whatever their types. */
export const FEW_POSTINGS = 128;

/** The statements that look up positions, by what they are for. The functions consist of them, and a test explains them. */
export function positionStatements(schema: string) {
  const own = quoteName(schema);
  const postings = `${own}.event_postings p`;
  const ofLeg = 'p.tag = v_tag and p.type = v_type';
  const within = `${ofLeg} and p.last_position > v_after and p.last_position <= v_top`;
  const events = (isBackwards: boolean): string => {
    const direction = isBackwards ? 'desc' : 'asc';
    return `from (
          select p.last_position, p.others from ${postings} where ${within}
          order by p.tag ${direction}, p.type ${direction}, p.last_position ${direction}
        ) p
        cross join lateral (
          select p.last_position - o.distance as "position" from unnest(p.others || 0) o (distance)
        ) x
        where x."position" > v_after and x."position" < v_before`;
  };
  const inOrder = (isBackwards: boolean): string =>
    isBackwards
      ? 'order by p.last_position desc, x."position" desc'
      : 'order by p.last_position, x."position"';
  const postingsOnly = (isBackwards: boolean): string => `select p.last_position, p.others from ${postings}
          where ${within} order by p.last_position ${isBackwards ? 'desc' : 'asc'} limit p_limit + 1`;
  return {
    firstType: `select p.type from ${postings} where p.tag = p_tag order by p.tag, p.type, p.last_position limit 1`,
    nextType: `select p.type from ${postings} where p.tag = p_tag and p.type > v_type order by p.tag, p.type, p.last_position limit 1`,
    last: `select p.last_position from ${postings} where ${ofLeg} order by p.last_position desc limit 1`,
    // The posting that holds the bound: only of this one, some events may lie before it and some behind.
    top: `select p.last_position from ${postings} where ${ofLeg} and p.last_position >= v_before order by p.last_position limit 1`,
    few: `select p.last_position, p.others from ${postings} where p.tag = v_tag order by p.tag, p.type, p.last_position limit ${FEW_POSTINGS}`,
    postings: postingsOnly(false),
    postingsBackwards: postingsOnly(true),
    positions: `select x."position" ${events(false)} ${inOrder(false)} limit p_limit`,
    positionsBackwards: `select x."position" ${events(true)} ${inOrder(true)} limit p_limit`,
    // As a single value: an EXISTS or a join might be turned into a scan of all events.
    withTags: `select x."position" ${events(false)}
          and (select e.tags @> v_needed from ${own}.events e where e."position" = x."position")
        ${inOrder(false)} limit p_limit`,
    withTagsBackwards: `select x."position" ${events(true)}
          and (select e.tags @> v_needed from ${own}.events e where e."position" = x."position")
        ${inOrder(true)} limit p_limit`,
  };
}
