/**
 * A transaction pooler that does not know the names of statements, as PgBouncer before 1.21: each client's transaction
 * goes to another connection of the server. Clients log in at the server itself, each by a connection that belongs to all
 * of them from then on.
 */

import { connect, createServer, type Server, type Socket } from 'node:net';

const READY = 'Z'.charCodeAt(0);
const IDLE = 'I'.charCodeAt(0);

/** Messages that the server answers with `ReadyForQuery`: Query, Sync and FunctionCall. */
const ANSWERED = new Set([...'QSF'].map((type) => type.charCodeAt(0)));
const TERMINATE = 'X'.charCodeAt(0);

/** Cuts a stream of the protocol into its messages. */
class Messages {
  #rest: Buffer = Buffer.alloc(0);

  /** @param hasType false for the first message of a client, which has a length and no type */
  *take(chunk: Buffer, hasType = true): Generator<Buffer> {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const head = hasType ? 1 : 0;
    while (this.#rest.byteLength >= head + 4) {
      const length = head + this.#rest.readInt32BE(head);
      if (this.#rest.byteLength < length) return;
      yield this.#rest.subarray(0, length);
      this.#rest = this.#rest.subarray(length);
    }
  }
}

class ServerConnection {
  readonly socket: Socket;
  readonly #messages = new Messages();
  /** Who is answered. */
  client: Client | undefined;
  #unanswered = 1;
  readonly #onIdle: (freed: ServerConnection) => void;

  constructor(socket: Socket, first: Client, onIdle: (freed: ServerConnection) => void) {
    this.socket = socket;
    this.client = first;
    this.#onIdle = onIdle;
    socket.on('data', (chunk: Buffer) => {
      for (const message of this.#messages.take(chunk)) {
        this.client?.socket.write(message);
        if (message[0] !== READY) continue;
        this.#unanswered -= 1;
        if (this.#unanswered > 0 || message[5] !== IDLE) continue;
        if (this.client !== undefined) this.client.server = undefined;
        this.client = undefined;
        this.#onIdle(this);
      }
    });
    socket.on('error', () => {});
  }

  send(message: Buffer): void {
    if (ANSWERED.has(message[0] as number)) this.#unanswered += 1;
    this.socket.write(message);
  }
}

interface Client {
  socket: Socket;
  server: ServerConnection | undefined;
  waiting: Buffer[];
}

export interface TransactionPooler {
  readonly port: number;
  close(): Promise<void>;
}

export async function startTransactionPooler(target: {
  host: string;
  port: number;
}): Promise<TransactionPooler> {
  const sockets = new Set<Socket>();
  const idle: ServerConnection[] = [];
  const clients = new Set<Client>();

  function serve(): void {
    for (const client of clients) {
      if (client.waiting.length === 0) continue;
      // The one that has waited longest: so a client hardly ever gets the one that it had.
      client.server ??= idle.shift();
      if (client.server === undefined) continue;
      client.server.client = client;
      for (const message of client.waiting.splice(0)) client.server.send(message);
    }
  }

  const server: Server = createServer((socket) => {
    sockets.add(socket);
    const client: Client = { socket, server: undefined, waiting: [] };
    clients.add(client);
    const messages = new Messages();
    let isStarted = false;
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      clients.delete(client);
    });
    socket.on('data', (chunk: Buffer) => {
      for (const message of messages.take(chunk, isStarted)) {
        if (!isStarted) {
          isStarted = true;
          const upstream = connect(target);
          sockets.add(upstream);
          client.server = new ServerConnection(upstream, client, (freed) => {
            idle.push(freed);
            serve();
          });
          upstream.write(message);
          continue;
        }
        if (message[0] === TERMINATE) {
          socket.end();
          return;
        }
        if (client.server !== undefined && client.waiting.length === 0) client.server.send(message);
        else client.waiting.push(Buffer.from(message));
      }
      serve();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
