import { issueTicket } from 'sluice';

/** In your backend, once you know who the user is. */
export function ticketFor(user: string, secret: string): Promise<string> {
  return issueTicket(secret, {
    sink: 'notes',
    producer: `user-${user}`,
    // The session ends after an hour. The ticket itself is good for 30 seconds, and for one socket.
    expiresAtMs: Date.now() + 3_600_000,
  });
}
