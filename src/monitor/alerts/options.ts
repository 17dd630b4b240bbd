/** What a deployment says of its alerts: whom to tell, and which rules. From the code, or from variables, which win. */

import { SluiceError } from '../../core/errors.ts';
import type { ActiveRule } from './rule.ts';
import { type RuleOptions, readRules } from './rule-options.ts';
import type { TargetRules } from './target.ts';
import { readWebhooks, type Webhook, type WebhookOptions } from './webhook.ts';

export interface AlertOptions {
  /** Whom to tell: at most 10. Default: nobody; alerts are on the dashboard and in the log. */
  webhooks?: readonly (WebhookOptions | string)[];
  /** Rules by name, with what is different from the defaults; `false` turns one off. */
  rules?: Readonly<Record<string, RuleOptions | false>>;
  /** Where the deployment is (`https://ingest.example.com`): messages link to its dashboard. Default: they do not. */
  url?: string;
}

/** The same, checked and complete. */
export interface AlertSettings {
  webhooks: readonly Webhook[];
  rules: readonly ActiveRule[];
  /** Where the dashboard is; null where nobody said. */
  dashboard: string | null;
}

/** Variables of the deployment; both are JSON or a table, and the first one may be one address. */
export interface AlertVariables {
  ALERT_WEBHOOKS?: unknown;
  ALERT_RULES?: unknown;
}

/**
 * @param isLocal whether the Worker runs on a developer's machine, where addresses of that machine are allowed
 * @throws SluiceError `invalid_options` where an option is wrong, `invalid_configuration` where a variable is. Both say which, and
 * repeat no secret
 */
export function alertSettings(
  given: AlertOptions = {},
  variables: AlertVariables = {},
  { isLocal = false }: Partial<Pick<TargetRules, 'isLocal'>> = {},
): AlertSettings {
  const options = 'The option alerts';
  if (!isTable(given)) throw new SluiceError('invalid_options', `${options} is no table of options`);
  for (const name of Object.keys(given)) {
    if (!['webhooks', 'rules', 'url'].includes(name)) {
      throw new SluiceError(
        'invalid_options',
        `${options} has ${JSON.stringify(name.slice(0, 40))}: known are webhooks, rules, url`,
      );
    }
  }
  const ownWebhooks = readWebhooks(given.webhooks ?? [], isLocal, `${options}.webhooks`);
  const ownRules = readRules([[given.rules ?? {}, `${options}.rules`]]);
  const { ALERT_WEBHOOKS: webhooks, ALERT_RULES: rules } = variables;
  return {
    dashboard: dashboardOf(given.url),
    webhooks: isUnset(webhooks)
      ? ownWebhooks
      : variable('ALERT_WEBHOOKS', (where) => readWebhooks(webhooksIn(webhooks), isLocal, where)),
    rules: isUnset(rules)
      ? ownRules
      : variable('ALERT_RULES', (where) =>
          readRules([
            [given.rules ?? {}, `${options}.rules`],
            [parsed(rules, where), where],
          ]),
        ),
  };
}

function dashboardOf(url: unknown): string | null {
  if (url === undefined) return null;
  if (typeof url !== 'string' || !URL.canParse(url) || !/^https?:/.test(url)) {
    throw new SluiceError(
      'invalid_options',
      'The option alerts.url is no address: write it as https://ingest.example.com',
    );
  }
  return `${new URL(url).href.replace(/\/$/, '')}/dashboard`;
}

function isUnset(variable: unknown): boolean {
  return variable === undefined || variable === '';
}

/** One address is as good as a list of it. */
function webhooksIn(variable: unknown): unknown {
  if (typeof variable !== 'string') return variable;
  const text = variable.trim();
  return /^[[{"]/.test(text) ? parsed(text, 'The variable ALERT_WEBHOOKS') : [text];
}

function parsed(variable: unknown, where: string): unknown {
  if (typeof variable !== 'string') return variable;
  try {
    return JSON.parse(variable);
  } catch {
    // The text is not repeated: it may hold a secret.
    throw new SluiceError('invalid_options', `${where} is no JSON`);
  }
}

function variable<Value>(name: string, read: (where: string) => Value): Value {
  try {
    return read(`The variable ${name}`);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    throw new SluiceError('invalid_configuration', error.message, { cause: error });
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
