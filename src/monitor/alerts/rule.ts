/** What a rule of alerts is: a name, when it fires and when it stops, and what it says. Conditions are pure functions of facts. */

import type { DatabaseFacts, ShardFacts } from './facts.ts';

export type Severity = 'page' | 'warn';

/** Of what a limit is: seconds, a share from 0 to 1, or a time to come. */
export interface RuleLimit {
  /**
   * The option that sets it. `above`: fires where the value is greater. `below`: fires where it is less.
   */
  option: 'above' | 'below';
  value: number;
  unit: 'seconds' | 'share';
  min: number;
  max: number;
  /** Times the limit: where the value has to come back to before the alert may end. It keeps a value near its limit from flapping. */
  resolvesAt: number;
}

interface RuleOf<Facts> {
  /** As Prometheus' rules are called. It is part of addresses and of users' options: it does not change. */
  name: string;
  severity: Severity;
  limit: RuleLimit | null;
  /** How long the condition has to hold before the alert fires. */
  forSeconds: number;
  /** How long the alert goes on after its condition has ended: what comes back within this time was never gone. */
  keepFiringSeconds: number;
  /** When it fires, for the docs: a sentence without its figures. */
  summary: string;
  /**
   * The figure that people see, in the unit of the limit. Undefined: not known now, and then a state does not change.
   */
  value(facts: Facts): number | undefined;
  /** Whether it fires, of a value that is known. Default: where the value is beyond the limit. */
  fires?(facts: Facts, limit: number): boolean;
  /** Whether it may end. Default: where the value is back at `resolvesAt` times the limit, or further. */
  resolves?(facts: Facts, limit: number): boolean;
  /** In how many milliseconds it fires if no report comes before; undefined: time alone does not make it fire. */
  firesInMs?(facts: Facts, limit: number): number | undefined;
  /** The same of its end. */
  resolvesInMs?(facts: Facts, limit: number): number | undefined;
  /** What is wrong, with its figures, without the name of the sink: "no batch has succeeded for 12 s". */
  sentence(facts: Facts, limit: number): string;
  /** The same rule for Prometheus, with the limit put in. */
  promql(limit: number): string;
}

export interface ShardRule extends RuleOf<ShardFacts> {
  of: 'shard';
}

export interface DatabaseRule extends RuleOf<DatabaseFacts> {
  of: 'database';
}

export type AlertRule = ShardRule | DatabaseRule;

/** Where a rule's page in the docs is. */
export function runbookOf(rule: string): string {
  return `docs/operations.md#alert-${rule.toLowerCase()}`;
}

/** A rule as it is used: with the options of the deployment put in. */
export interface ActiveRule {
  rule: AlertRule;
  severity: Severity;
  /** 0 where the rule has none. */
  limit: number;
  forMs: number;
  keepFiringMs: number;
}

/** What a rule says of some facts. Undefined: it cannot say now. */
export interface Verdict {
  fires: boolean | undefined;
  resolves: boolean | undefined;
  value: number;
  firesInMs: number | undefined;
  resolvesInMs: number | undefined;
}

export function judge<Facts>(rule: RuleOf<Facts>, facts: Facts, limit: number): Verdict {
  const value = rule.value(facts);
  const times = {
    firesInMs: rule.firesInMs?.(facts, limit),
    resolvesInMs: rule.resolvesInMs?.(facts, limit),
  };
  if (value === undefined) return { fires: undefined, resolves: undefined, value: 0, ...times };
  return {
    fires: rule.fires?.(facts, limit) ?? isBeyond(rule.limit, value, limit),
    resolves: rule.resolves?.(facts, limit) ?? isBack(rule.limit, value, limit),
    value,
    ...times,
  };
}

function isBeyond(limit: RuleLimit | null, value: number, at: number): boolean {
  if (limit === null) return value > 0;
  return limit.option === 'above' ? value > at : value < at;
}

function isBack(limit: RuleLimit | null, value: number, at: number): boolean {
  if (limit === null) return value === 0;
  const back = at * limit.resolvesAt;
  return limit.option === 'above' ? value <= back : value >= back;
}
