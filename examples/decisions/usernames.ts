/** Names that one account has at a time, and that are kept for some days after it has given them up (dcb.events, "Unique username"). */

import { type DecisionStore, decide, type NewEvent, projection, type Stored } from 'sluice/events';

type AccountEvent =
  | { type: 'AccountRegistered' | 'AccountClosed'; data: { username: string } }
  | { type: 'UsernameChanged'; data: { oldUsername: string; newUsername: string } };

const RETENTION_DAYS = 3;

export function accountRegistered(username: string): NewEvent {
  return { type: 'AccountRegistered', data: { username }, tags: [`username:${username}`] };
}

export function accountClosed(username: string): NewEvent {
  return { type: 'AccountClosed', data: { username }, tags: [`username:${username}`] };
}

export function usernameChanged(oldUsername: string, newUsername: string): NewEvent {
  return {
    type: 'UsernameChanged',
    data: { oldUsername, newUsername },
    tags: [`username:${oldUsername}`, `username:${newUsername}`],
  };
}

function isUsernameClaimed(username: string, keepsNames: boolean) {
  return projection({
    query: [
      {
        types: ['AccountRegistered', 'AccountClosed', 'UsernameChanged'],
        tags: [`username:${username}`],
      },
    ],
    initial: false,
    apply(_isClaimed, event: Stored<AccountEvent>) {
      const daysAgo = event.metadata?.daysAgo;
      const isKept = keepsNames && typeof daysAgo === 'number' && daysAgo <= RETENTION_DAYS;
      if (event.type === 'UsernameChanged') return event.data.newUsername === username || isKept;
      return event.type === 'AccountRegistered' || isKept;
    },
  });
}

export function registerAccount(store: DecisionStore<unknown>, username: string, keepsNames = false) {
  return decide(store, isUsernameClaimed(username, keepsNames), (isClaimed) => {
    if (isClaimed) throw new Error(`Username "${username}" is claimed`);
    return accountRegistered(username);
  });
}
