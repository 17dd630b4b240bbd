/** A schema that is asked of each message before it is stored. Its output is what is stored and mapped. */

import type { StandardSchemaV1 } from '@standard-schema/spec';
import { errorText } from '../core/errors.ts';
import { parseExact, stringifyExact } from '../core/exact-json.ts';
import { wrongDefinition } from './definition-checks.ts';

/** What a schema says of a message: the text to store in its place, or why it is not taken. */
export type SchemaVerdict = { payload: string } | SchemaRefusal;

export interface SchemaRefusal {
  /** `invalid_message`: the schema refuses it. `sink_failed`: the schema itself failed. */
  code: 'invalid_message' | 'sink_failed';
  message: string;
}

/** Asks a schema of the text of a message. Never throws. */
export type AskSchema = (payload: string) => SchemaVerdict;

/** Issues that a refusal spells out, and the most that is shown of each part. */
const MAX_ISSUES = 3;
const MAX_SHOWN = 80;

/** @throws SluiceError `invalid_options` for what is no Standard Schema, or one that says itself that it is asynchronous */
export function schemaAsker(sink: string, schema: StandardSchemaV1): AskSchema {
  if (typeof schema?.['~standard']?.validate !== 'function')
    throw wrongDefinition(
      sink,
      'schema is not a Standard Schema (https://standardschema.dev): those of zod, valibot and arktype are',
    );
  if ('async' in schema && schema.async === true)
    throw wrongDefinition(sink, `schema is asynchronous: ${WHY_SYNCHRONOUS}`);
  const failed = (why: string): SchemaRefusal => ({
    code: 'sink_failed',
    message: `The schema of the sink ${sink} failed, and the message was not taken: ${why}`,
  });
  return (payload) => {
    try {
      const result = schema['~standard'].validate(parseExact(payload));
      if (result instanceof Promise) {
        // Nobody waits for it.
        result.catch(() => {});
        return failed(
          `it returned a promise. ${WHY_SYNCHRONOUS}. zod returns one too where the schema's own code throws`,
        );
      }
      if (result.issues !== undefined) return { code: 'invalid_message', message: issuesText(result.issues) };
      return { payload: stringifyExact(result.value) };
    } catch (error) {
      return failed(errorText(error));
    }
  };
}

const WHY_SYNCHRONOUS =
  'Messages are taken in their order, and none can wait for an answer: use a synchronous one';

function issuesText(issues: readonly StandardSchemaV1.Issue[]): string {
  const shown = issues.slice(0, MAX_ISSUES).map(issueText);
  const more = issues.length > MAX_ISSUES ? ` (and ${issues.length - MAX_ISSUES} more)` : '';
  return `The message is not as the sink's schema says: ${shown.join('; ')}${more}`;
}

function issueText({ message, path = [] }: StandardSchemaV1.Issue): string {
  const place = path.map((step) => String(typeof step === 'object' ? step.key : step)).join('.');
  return place === '' ? cut(message) : `${cut(place)}: ${cut(message)}`;
}

function cut(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length <= MAX_SHOWN ? line : `${line.slice(0, MAX_SHOWN)}…`;
}
