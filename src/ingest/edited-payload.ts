/** A dead letter's payload as somebody has corrected it: a message like any other, so it has to pass the same check. */

import { SluiceError } from '../core/errors.ts';
import { JSON_ESCAPED, JSON_PLAIN } from '../protocol/check-json.ts';
import { DEFAULT_FRAME_LIMITS, judgeMessage, refusalText } from '../protocol/frame.ts';

/**
 * The message of an edited payload: the text without the white space around it, such as the newline that a shell adds.
 *
 * @param maxMessageBytes the sink's, in UTF-8
 * @throws SluiceError with the code of the refusal that the message would meet on the wire
 */
export function readEditedPayload(payload: string, maxMessageBytes: number): string {
  const message = payload.trim();
  // A message is one line: the outbox keeps messages one below the other.
  const verdict = message.includes('\n')
    ? 'invalid_json'
    : judgeMessage(message, 0, message.length, maxMessageBytes);
  if (verdict === JSON_PLAIN || verdict === JSON_ESCAPED) return message;
  const hint = message.includes('\n') ? '; this payload has several lines' : '';
  throw new SluiceError(
    verdict,
    `The payload would be refused again. ${refusalText(verdict, { ...DEFAULT_FRAME_LIMITS, maxMessageBytes })}${hint}`,
    { details: { option: 'payload' } },
  );
}
