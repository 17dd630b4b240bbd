/** What a client takes from the platform where it is told nothing else. */

import type { ClientTimers, WebSocketLike } from './options.ts';

export const platformTimers: ClientTimers = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

export function openWebSocket(url: string, protocols: string | string[]): WebSocketLike {
  return new WebSocket(url, protocols) as WebSocketLike;
}

/** 128 random bits in hexadecimal digits. */
export function randomName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A random UUID: `crypto.randomUUID` is missing in pages that came without TLS. */
export function randomUuid(): string {
  return randomName().replace(/(.{8})(.{4}).(.{3}).(.{3})/, '$1-$2-4$3-a$4-');
}
