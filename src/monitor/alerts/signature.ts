/** Signatures of webhooks, as https://www.standardwebhooks.com has them: HMAC-SHA256 over `id.time.body`. */

const encoder = new TextEncoder();

export interface Signed {
  id: string;
  /** Seconds since 1970. */
  timestamp: number;
  body: string;
}

/**
 * The headers by which a receiver knows that a message is from here, is whole, and is not an old one that somebody sends again.
 *
 * @param secrets one signature by each, so that a receiver can change to another one
 */
export async function signatureHeaders(
  secrets: readonly Uint8Array<ArrayBuffer>[],
  { id, timestamp, body }: Signed,
): Promise<Record<string, string>> {
  const signatures = await Promise.all(
    secrets.map(async (secret) => `v1,${await hmac(secret, `${id}.${timestamp}.${body}`)}`),
  );
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signatures.join(' '),
  };
}

async function hmac(secret: Uint8Array<ArrayBuffer>, text: string): Promise<string> {
  const key = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
  ]);
  const bytes = new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(text)));
  return btoa(String.fromCharCode(...bytes));
}

/** Bytes that a secret has at least: as many as the hash. */
export const MIN_SECRET_BYTES = 24;
const MAX_SECRET_BYTES = 1_024;

/**
 * The bytes of a secret: `whsec_` and base64, or any other text.
 *
 * @returns undefined where it is shorter than 24 bytes, longer than 1,024, or no base64
 */
export function secretBytes(text: string): Uint8Array<ArrayBuffer> | undefined {
  const bytes = text.startsWith('whsec_')
    ? base64Bytes(text.slice('whsec_'.length))
    : Uint8Array.from(encoder.encode(text));
  if (bytes === undefined || bytes.length < MIN_SECRET_BYTES || bytes.length > MAX_SECRET_BYTES)
    return undefined;
  return bytes;
}

function base64Bytes(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}
