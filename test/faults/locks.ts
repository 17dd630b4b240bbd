/** What lets the clients of a run in whose sink is locked: tokens and tickets. */

import { SignJWT } from 'jose';
import { issueTicket } from '../../src/access/tickets.ts';
import type { LabClientOptions } from './lab-client.ts';

/** Signs them. It guards nothing but the runs of the lab. */
export const LAB_SECRET = 'secret-of-the-fault-lab-which-guards-nothing';

/** How a client says who it is. */
export type LabCredentials = Pick<LabClientOptions, 'token' | 'ticket'>;

/**
 * A token for one producer.
 *
 * @param tokenId names it for operators
 * @param lifetimeMs from now on; less than nothing makes one that has expired
 */
export function labToken(producer: string, tokenId: string, lifetimeMs = 3_600_000): Promise<string> {
  return new SignJWT({ producers: [producer] })
    .setProtectedHeader({ alg: 'HS256' })
    .setJti(tokenId)
    .setExpirationTime((Date.now() + lifetimeMs) / 1000)
    .sign(new TextEncoder().encode(LAB_SECRET));
}

/** A ticket for one producer. */
export function labTicket(sink: string, producer: string): Promise<string> {
  return issueTicket(LAB_SECRET, { sink, producer });
}
