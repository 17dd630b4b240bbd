/** Sessions whose tokens expire while they send. */

import { TokenMaker } from '../lab-tokens.ts';
import type { LoadOptions } from '../load.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';
import { plainWire, type Wire } from '../wire.ts';

/** No fresh token is sent within a session. */
const withoutRenewal: Wire = ({ forward, cut }) => {
  const pass = plainWire({ forward, cut });
  return (frame) => {
    if (!frame.startsWith('{"t":"auth"')) pass(frame);
  };
};

/** What became of the sessions. */
interface Tally {
  maker: TokenMaker;
  /** Sessions that were welcomed, and those that ended by 4401. */
  connected: number;
  ended: number;
}

function loadWithTokens(run: Run, isStale: boolean, options: LoadOptions = {}): Tally {
  const tally: Tally = { maker: new TokenMaker(run.random.fork(), isStale), connected: 0, ended: 0 };
  run.load({
    ...options,
    producers: 4,
    credentials: () => ({ token: tally.maker.make }),
    onEvent(producer, event) {
      if (event.type === 'connected') tally.connected += 1;
      else if (event.type === 'disconnected' && event.code === 4401) tally.ended += 1;
      else if (event.type === 'failed') run.fail(`The client of ${producer} has ended: ${event.code}`);
    },
  });
  return tally;
}

/** @param isStale no client ever gets a fresh token, which the verdict has to show */
export async function expireTokens(run: Run, isStale = false): Promise<void> {
  const tally = loadWithTokens(run, isStale);
  if (isStale) {
    await run.until('a client has ended', () => run.notes.length > 0);
    run.struck();
    return;
  }
  // Asked for by a session that goes on: not for a connection, and not one that was refused.
  const renewed = (): number => tally.maker.asked - tally.connected - tally.ended;
  for (let crash = run.times(3); crash > 0; crash -= 1) {
    const wanted = renewed() + run.times(8);
    await run.until('tokens were renewed within their sessions', () => renewed() >= wanted);
    // What is being verified at that moment is lost with the shard.
    await run.shard.crash();
  }
  await run.until('a session ended by a token that was refused', () => tally.ended > 0);
  run.struck(renewed());
}

const tokenExpired: Scenario = {
  name: 'token-expired',
  title: 'Tokens expire under load, are renewed or refused',
  hasSink: true,
  run: (run) => expireTokens(run),
};

const tokenNotRenewed: Scenario = {
  name: 'token-not-renewed',
  title: 'Sessions that send no fresh token end, and come back',
  hasSink: true,
  isLong: true,
  async run(run) {
    const tally = loadWithTokens(run, false, { wire: withoutRenewal, maxMessages: 100_000, paceMs: 60 });
    await run.until('each session has ended for want of a token', () => tally.ended >= 8);
    run.struck(tally.ended);
  },
};

export const tokenScenarios: readonly Scenario[] = [tokenExpired, tokenNotRenewed];
