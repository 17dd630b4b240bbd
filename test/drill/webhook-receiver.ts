/** A receiver of webhooks: it takes what is signed, and notes it. */

import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the receiver was told, as far as the drill looks at it. */
export interface Told {
  /** `alert.firing`, `alert.resolved`. */
  type: string;
  id: string;
  rule: string;
  sink: string | null;
  title: string;
  runbook: string;
}

export interface WebhookReceiver {
  /** The variable ALERT_WEBHOOKS. */
  variable: string;
  /** Requests whose signature was wrong. */
  forged(): number;
  close(): Promise<void>;
}

const SECRET = 'a secret of the drill that is long enough';

export async function startWebhookReceiver(onTold: (told: Told) => void): Promise<WebhookReceiver> {
  let forged = 0;
  const server = createServer(async (request, response) => {
    const body = await textOf(request);
    const isSigned = hasSignature(request, body);
    response.statusCode = isSigned ? 204 : 401;
    response.end();
    if (!isSigned) {
      forged += 1;
      return;
    }
    const { type, data } = JSON.parse(body) as { type: string; data: Omit<Told, 'type'> };
    onTold({ type, ...data });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  const webhook = {
    url: `http://127.0.0.1:${port}/alerts`,
    format: 'json',
    secret: SECRET.replaceAll(' ', '-'),
    allowPrivate: true,
  };
  return {
    variable: JSON.stringify([webhook]),
    forged: () => forged,
    close: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

// As https://www.standardwebhooks.com has it.
function hasSignature({ headers }: IncomingMessage, body: string): boolean {
  const text = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const expected = Buffer.from(
    createHmac('sha256', SECRET.replaceAll(' ', '-')).update(text).digest('base64'),
  );
  return String(headers['webhook-signature'])
    .split(' ')
    .some((signature) => {
      const given = Buffer.from(signature.replace(/^v1,/, ''));
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
