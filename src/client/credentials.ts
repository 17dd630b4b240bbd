import { type Alarm, createAlarm } from './alarm.ts';
import type { ClientTimers, Credential } from './options.ts';

/** A function of the user's that has not answered by then is not waited for. */
const ANSWER_LIMIT_MS = 10_000;

/**
 * Asks for a token or a ticket. `done` is called once: with what there is, or without where the function fails or takes too long. Why it failed is not told: such an error may hold a token.
 *
 * @returns stops it: `done` is not called any more
 */
export function askFor(
  source: Credential | undefined,
  clock: ClientTimers,
  done: (text: string | undefined) => void,
): Alarm {
  const limit = createAlarm(clock);
  const answer = (text?: string) => {
    if (!limit.isSet) return;
    limit.stop();
    done(text);
  };
  limit.set(ANSWER_LIMIT_MS, done as () => void);
  (async () => (typeof source === 'function' ? source() : source))().then(answer, () => answer());
  return limit;
}

/** The subprotocol that carries a token (PROTOCOL.md, "Who may connect"). */
export function tokenProtocol(token: string): string {
  return `sluice.token.${btoa(token).replace(/\W/g, (sign) => '-_'['+/'.indexOf(sign)] ?? '')}`;
}
