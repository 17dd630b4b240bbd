/** The options of rules: what a deployment says over the defaults of the table. */

import { SluiceError } from '../../core/errors.ts';
import type { ActiveRule, AlertRule, Severity } from './rule.ts';
import { ALERT_RULES } from './rules.ts';

/** What may be said of a rule. What is left out is as in the table. */
export interface RuleOptions {
  /** Fires where the value is greater: seconds, or a share from 0 to 1, as the table says. */
  above?: number;
  /** The same of a rule that fires where its value is less. */
  below?: number;
  /** How long the condition has to hold before it fires: seconds, or as Prometheus writes it (`90s`, `5m`, `1h`). At most a day. */
  for?: number | string;
  /** How long the condition has to be over before the alert is: as above. */
  keepFiring?: number | string;
  severity?: Severity;
}

const MAX_SECONDS = 86_400;
const SECONDS_OF: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 };

type Layer = readonly [given: unknown, where: string];

/**
 * The rules that are on.
 *
 * @param layers options and what to call them in errors, the later ones over the earlier ones, member by member
 * @throws SluiceError `invalid_options` that says which rule and what is allowed
 */
export function readRules(layers: readonly Layer[]): ActiveRule[] {
  const active = new Map<string, ActiveRule | undefined>(
    ALERT_RULES.map((rule) => [rule.name, asInTheTable(rule)]),
  );
  for (const [given, where] of layers) {
    if (!isTable(given))
      throw wrong(`${where} is no table of rules: write it as {"SluiceQueueOld":{"above":30}}`);
    for (const [name, options] of Object.entries(given)) {
      const rule = ALERT_RULES.find((one) => one.name === name);
      if (rule === undefined) {
        throw wrong(
          `${where} has ${JSON.stringify(name.slice(0, 60))}: known are ${ALERT_RULES.map((one) => one.name).join(', ')}`,
        );
      }
      if (options === undefined) continue;
      active.set(
        name,
        options === false ? undefined : changed(active.get(name) ?? asInTheTable(rule), options, where),
      );
    }
  }
  return [...active.values()].filter((rule) => rule !== undefined);
}

function asInTheTable(rule: AlertRule): ActiveRule {
  return {
    rule,
    severity: rule.severity,
    limit: rule.limit?.value ?? 0,
    forMs: rule.forSeconds * 1_000,
    keepFiringMs: rule.keepFiringSeconds * 1_000,
  };
}

function changed(active: ActiveRule, options: unknown, where: string): ActiveRule {
  const { rule } = active;
  const at = `${where} at ${rule.name}`;
  if (!isTable(options))
    throw wrong(`${at} is ${JSON.stringify(options)}: a table of options, or false, is allowed`);
  const known = [...(rule.limit === null ? [] : [rule.limit.option]), 'for', 'keepFiring', 'severity'];
  let next = active;
  for (const [name, value] of Object.entries(options)) {
    if (!known.includes(name))
      throw wrong(`${at} has ${JSON.stringify(name.slice(0, 40))}: known are ${known.join(', ')}`);
    if (value === undefined) continue;
    if (name === 'for') next = { ...next, forMs: 1_000 * secondsOf(value, `${at} has for`) };
    else if (name === 'keepFiring')
      next = { ...next, keepFiringMs: 1_000 * secondsOf(value, `${at} has keepFiring`) };
    else if (name === 'severity') next = { ...next, severity: severityOf(value, at) };
    else next = { ...next, limit: limitOf(rule, name, value, at) };
  }
  return next;
}

function limitOf({ limit }: AlertRule, name: string, value: unknown, at: string): number {
  if (limit !== null && typeof value === 'number' && value >= limit.min && value <= limit.max) return value;
  throw wrong(
    `${at} has ${name} ${JSON.stringify(value)}: a number from ${limit?.min} to ${limit?.max} (${limit?.unit === 'share' ? 'a share, 0.5 is half' : 'seconds'}) is allowed`,
  );
}

function severityOf(value: unknown, at: string): Severity {
  if (value === 'page' || value === 'warn') return value;
  throw wrong(`${at} has severity ${JSON.stringify(value)}: page or warn is allowed`);
}

function secondsOf(value: unknown, what: string): number {
  const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)([smhd])$/.exec(value) : null;
  const seconds = match === null ? value : Number(match[1]) * (SECONDS_OF[match[2] as string] as number);
  if (typeof seconds === 'number' && seconds >= 0 && seconds <= MAX_SECONDS) return seconds;
  throw wrong(
    `${what} ${JSON.stringify(value)}: seconds from 0 to ${MAX_SECONDS}, or a text such as "90s", "5m" or "1h", are allowed`,
  );
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(sentence: string): SluiceError {
  return new SluiceError('invalid_options', sentence);
}
