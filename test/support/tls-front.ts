/** TLS before a server of this machine that has none, as a deployed Worker has it. */

import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';

export interface TlsFront {
  /** Host and port. */
  readonly place: string;
  close(): Promise<void>;
}

/** @param port of the server. The certificate is one of the tests', for another name */
export async function startTlsFront(port: number): Promise<TlsFront> {
  const file = (name: string): Promise<Buffer> =>
    readFile(join(import.meta.dirname, 'certificates', `${name}.pem`));
  const [key, cert] = await Promise.all([file('server-key'), file('server')]);
  const server = createServer({ key, cert }, (outside) => {
    const inside = connect(port, '127.0.0.1');
    outside.pipe(inside).pipe(outside);
    outside.on('error', () => inside.destroy());
    inside.on('error', () => outside.destroy());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    place: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise((closed) => server.close(() => closed())),
  };
}
