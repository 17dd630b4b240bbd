/**
 * How the header of a ticket says what it is. A token of another kind that is signed with the same secret is no ticket, and a
 * ticket is no such token (RFC 8725, 3.11).
 */
export const TICKET_TYPE = 'sluice-ticket+jwt';
