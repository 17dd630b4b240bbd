/** Requests as bytes, for those that no client would send. */

import { connect, type Socket } from 'node:net';

/**
 * Sends bytes over a connection of their own, and gives all that comes back until it ends.
 *
 * @param text of Latin-1 characters, a byte each. The request should ask for the end of the connection
 */
export function rawAnswer(worker: URL, text: string): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect(Number(worker.port), worker.hostname);
    const done = (): void => resolve(Buffer.concat(chunks).toString('latin1'));
    socket.on('data', (chunk) => chunks.push(chunk));
    // A server that has heard enough hangs up while the rest is still sent.
    socket.on('error', done);
    socket.on('close', done);
    socket.on('end', () => socket.destroy());
    socket.write(Buffer.from(text, 'latin1'));
  });
}

/** A connection on which something was begun and is not finished. */
export async function halfRequest(worker: URL, text: string): Promise<Socket> {
  const socket = connect(Number(worker.port), worker.hostname);
  socket.on('error', () => {});
  await new Promise<void>((resolve) => socket.write(Buffer.from(text, 'latin1'), () => resolve()));
  return socket;
}

/** A request without a body, which asks for the end of the connection. */
export function rawGet(path: string, headers: readonly string[] = []): string {
  return [`GET ${path} HTTP/1.1`, 'Host: sluice.example', 'Connection: close', ...headers, '', ''].join(
    '\r\n',
  );
}

/** The statuses of all answers in what came back. */
export function statusesOf(answers: string): number[] {
  return [...answers.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
}
