import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type Server } from 'node:http';

// #region verify
/** True for a message that Sluice sent within the last five minutes and nobody has changed. */
export function isFromSluice(secret: string, headers: Record<string, unknown>, body: string): boolean {
  const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signatures } = headers;
  if (!(Math.abs(Date.now() / 1_000 - Number(time)) <= 300)) return false;
  const expected = createHmac('sha256', secret).update(`${id}.${time}.${body}`).digest();
  // Several, while a secret is replaced by another one.
  return String(signatures)
    .split(' ')
    .some((signature) => {
      const given = Buffer.from(signature.replace(/^v1,/, ''), 'base64');
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
}
// #endregion

/** A server that tells `onAlert` of each message once: a retry has the same id. */
export function alertServer(
  secret: string,
  onAlert: (message: { type: string; data: AlertData }) => void,
): Server {
  const seen = new Set<string>();
  return createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts).toString();
    if (!isFromSluice(secret, request.headers, body)) {
      response.writeHead(401).end();
      return;
    }
    const id = String(request.headers['webhook-id']);
    if (!seen.has(id)) onAlert(JSON.parse(body));
    seen.add(id);
    response.writeHead(204).end();
  });
}

export interface AlertData {
  id: string;
  incident: string;
  rule: string;
  severity: 'page' | 'warn';
  sink: string | null;
  title: string;
}
