/** For the fast tests: refuses every connection but one to a server that the test itself has opened. */

import { type ListenOptions, type Socket as NetSocket, Server, Socket } from 'node:net';

/** Marks the functions below as already replaced: files share a process, and this runs before each of them. */
const REPLACED = Symbol.for('sluice: no connections');

if (!(REPLACED in Socket.prototype)) {
  Object.assign(Socket.prototype, { [REPLACED]: true });
  refuseConnections();
}

function refuseConnections(): void {
  /** Ports that a server of this process listens on, or did. */
  const own = new Set<number>();

  const { listen } = Server.prototype;
  Server.prototype.listen = function (this: Server, ...args: [ListenOptions]): Server {
    this.once('listening', () => {
      const address = this.address();
      if (typeof address === 'object' && address !== null) own.add(address.port);
    });
    return listen.apply(this, args);
  } as typeof listen;

  const { connect } = Socket.prototype;
  Socket.prototype.connect = function (this: NetSocket, ...args: unknown[]): NetSocket {
    const options = optionsOf(args);
    if (options.port === undefined || !own.has(Number(options.port))) {
      throw new Error(
        `A fast test connects to ${options.path ?? `${options.host ?? 'localhost'}:${options.port}`}. What needs a ` +
          'service of its own imports what starts it, and so is no fast test (test/support/fast-files.ts)',
      );
    }
    return connect.apply(this, args as Parameters<typeof connect>);
  } as typeof connect;
}

interface Where {
  port?: number | string;
  host?: string | undefined;
  path?: string;
}

/** `connect` takes options, or a port and a host, or the list that `net.connect` made of either. */
function optionsOf(args: unknown[]): Where {
  const [first, second] = Array.isArray(args[0]) ? (args[0] as unknown[]) : args;
  if (typeof first === 'object' && first !== null) return first;
  if (typeof first === 'string' && !/^\d+$/.test(first)) return { path: first };
  return { port: first as number | string, host: typeof second === 'string' ? second : undefined };
}
