import { type Alarm, createAlarm } from './alarm.ts';
import { Connection } from './connection.ts';
import { type ClientContext, pauseMs } from './context.ts';
import { askFor, tokenProtocol } from './credentials.ts';
import { type ClientErrorCode, SluiceError } from './errors.ts';
import type { WebSocketLike } from './options.ts';
import type { SendWindow } from './send-window.ts';
import type { Sender } from './sender.ts';

const PROTOCOL = 'sluice.v1';

/** A `hello` that was not welcomed by then, of a server that answers within moments. A goodbye waits as long. */
const HANDSHAKE_LIMIT_MS = 10_000;

/** Proxies and NATs give up connections that are silent for 30 to 60 s. */
const HEARTBEAT_AFTER_MS = 25_000;
const DEAD_AFTER_MS = 10_000;

/** An ack that is late by so much may be lost: the server is asked once. */
const ACK_PING_AFTER_MS = 5_000;

/** Nothing stored for so long, though the server answers: batches were lost on their way. A new connection finds out. */
const STALLED_AFTER_MS = 30_000;

const WATCH_INTERVAL_MS = 1_000;

/** PROTOCOL.md, "Going on after a lost connection". */
const RETRY_BASE_MS = 250;
const RETRY_MAX_MS = 30_000;

/** PROTOCOL.md, "Close codes", 4429. */
const OVER_CREDIT_RETRY_MS = 30_000;

/** Longest wait that a `drain` may ask for. */
const DRAIN_RETRY_MAX_MS = 60_000;

/** After so many failures without one welcome the client says that something may be wrong with the address. */
const NEVER_CONNECTED_FAILURES = 5;

/** Frames that one side could not read, within the time below, before the client gives up. */
const MAX_PROTOCOL_ERRORS = 3;
const PROTOCOL_ERRORS_FORGIVEN_MS = 300_000;

/** So many in a row, each with a fresh token, say that no token will do. */
const MAX_REFUSALS = 10;

/** The pause before the user's function is asked once more for the token that the server has asked for. */
const TOKEN_RETRY_MS = 5_000;

/** Close codes after which connecting again changes nothing (PROTOCOL.md, "Close codes"). The reason may name another code. */
const TERMINAL_CODES: Readonly<Record<number, ClientErrorCode>> = {
  4400: 'invalid_frame',
  4401: 'unauthorized',
  4403: 'forbidden',
  4404: 'unknown_sink',
  4409: 'replaced',
  4410: 'fenced',
};

export interface LinkParts extends ClientContext {
  readonly sender: Sender;
  /** `next`: whose messages go first. */
  readonly recovery: { readonly next: SendWindow | undefined };
  readonly receiver: { receive(connection: Connection, data: unknown): void };
  readonly ending: {
    /** Ends a client that was closed and has nothing left to do; true where it has ended. */
    endIfDone(): boolean;
    end(error: SluiceError): void;
  };
}

/** Keeps a connection to the server: makes it, watches it, and makes another one when it is lost. */
export function createLink(parts: LinkParts) {
  const { clock, counts, emit, own, sender, settings } = parts;
  const { openSocket, random, ticket, token, url } = settings;
  const watch = createAlarm(clock);
  const reconnect = createAlarm(clock);
  let asking: Alarm | undefined;
  /** Closes with 4401 in a row, none of them after a welcome. */
  let refusals = 0;
  let protocolErrors = 0;
  let protocolErrorMs = 0;

  const self = {
    /** In a row, with nothing acknowledged in between. */
    failuresInARow: 0,
    connect(): void {
      const source = ticket ?? token;
      if (!source) open(url);
      else
        asking = askFor(source, clock, (text) => {
          if (!text) lost(undefined, 1006, 'No token');
          else if (ticket) open(`${url}&ticket=${encodeURIComponent(text)}`);
          else open(url, text);
        });
    },

    /** The server asks for a fresh token. */
    renew(connection: Connection): void {
      asking?.stop();
      if (token)
        asking = askFor(token, clock, (text) => {
          if (text) sender.transmit(connection, JSON.stringify({ t: 'auth', token: text }));
          else asking?.set(TOKEN_RETRY_MS, () => self.renew(connection));
        });
      // A ticket is good for an upgrade only.
      else if (ticket) self.drain(connection, 0);
    },

    /** Gives up a connection that is of no use any more, and makes a new one. */
    giveUp(connection: Connection, reason: string): void {
      if (sender.connection !== connection) return;
      connection.close();
      lost(connection, 1006, reason);
    },

    /** One side could not read a frame: another connection may do better, but not for ever. */
    protocolError(connection: Connection, code: ClientErrorCode, message: string): void {
      const nowMs = clock.now();
      if (nowMs - protocolErrorMs > PROTOCOL_ERRORS_FORGIVEN_MS) protocolErrors = 0;
      protocolErrorMs = nowMs;
      protocolErrors += 1;
      emit({ type: 'protocol-error', message });
      if (protocolErrors > MAX_PROTOCOL_ERRORS) parts.ending.end(new SluiceError(code, message));
      else self.giveUp(connection, message);
    },

    /** The server is about to go, and asks to come back after a while. */
    drain(connection: Connection, retryMs = 1_000): void {
      const atMostMs = Math.min(retryMs, DRAIN_RETRY_MAX_MS);
      emit({ type: 'drain', retryMs: atMostMs });
      if (connection.drainUntilMs !== undefined) return;
      const delayMs = Math.round(atMostMs * random());
      connection.drainUntilMs = clock.now() + delayMs;
      sender.pump();
      if (sender.connection !== connection) return;
      watch.set(delayMs, () => {
        connection.close();
        lost(connection, 1001, 'The server said drain');
      });
    },

    /** An instance is recovered: the next one, or this client's own. */
    goOn(): void {
      leave();
      if (!parts.ending.endIfDone()) self.connect();
    },

    /** Nothing is connected any more. */
    stop(): void {
      const { connection } = sender;
      leave();
      reconnect.stop();
      connection?.close();
    },
  };

  /** @param given the token to offer */
  function open(address: string, given?: string): void {
    const window = parts.recovery.next ?? own;
    let socket: WebSocketLike;
    try {
      socket = openSocket(address, given ? [PROTOCOL, tokenProtocol(given)] : PROTOCOL);
    } catch (error) {
      // The platform's sentence names the address, or the subprotocols: there may be a ticket or token in them.
      const why = (ticket ?? token) ? '' : `: ${(error as Error | undefined)?.message}`;
      lost(undefined, 1006, `No socket${why}`);
      return;
    }
    const connection = new Connection(socket, window, window === own, clock.now());
    sender.connection = connection;
    const isCurrent = () => sender.connection === connection;
    socket.addEventListener('open', () => {
      if (isCurrent()) hello(connection);
    });
    socket.addEventListener('message', ({ data }) => {
      if (isCurrent()) parts.receiver.receive(connection, data);
    });
    socket.addEventListener('close', ({ code = 1006, reason = '' }) => {
      if (isCurrent()) closedByPeer(connection, code, reason);
    });
    // A close follows nearly everywhere, with a code that says more; the watch sees to the rest.
    socket.addEventListener('error', () => {
      connection.erroredMs ??= clock.now();
    });
    watchLater();
  }

  function leave(): void {
    asking?.stop();
    sender.disconnect();
    watch.stop();
  }

  function hello(connection: Connection): void {
    const { socket, window, isOwn } = connection;
    if (socket.protocol !== undefined && socket.protocol !== PROTOCOL) {
      // In raw mode the server would store the hello as a message.
      self.giveUp(connection, `The server does not speak ${PROTOCOL}`);
      return;
    }
    const { instance, session, epoch } = window;
    const next = window.ackedUpTo + 1;
    const position = isOwn
      ? epoch && { resume: true, epoch, session, next }
      : { recover: true, session, next };
    const ack = isOwn ? settings.ack : 'stored';
    sender.transmit(connection, JSON.stringify({ t: 'hello', ack, instance, ...(position || {}) }));
  }

  function closedByPeer(connection: Connection, closeCode: number, reason: string): void {
    const terminal = TERMINAL_CODES[closeCode];
    const mayRenew = closeCode === 4401 && (token ?? ticket);
    refusals = mayRenew && !connection.isWelcomed ? refusals + 1 : 0;
    if (!terminal || (mayRenew && refusals < MAX_REFUSALS)) {
      lost(connection, closeCode, reason);
      return;
    }
    // The reason begins with its own code. Before the welcome it was the hello that could not be read.
    const named = /^(invalid_(options|hello|frame)|hello_required):/.exec(reason)?.[1];
    const other = closeCode === 4400 && !connection.isWelcomed ? 'invalid_hello' : terminal;
    const text = reason || terminal;
    parts.ending.end(
      new SluiceError((named as ClientErrorCode | undefined) ?? other, text, {
        details: { closeCode, reason },
      }),
    );
  }

  function lost(connection: Connection | undefined, code: number, reason: string): void {
    if (connection?.isOwn === false && parts.recovery.next !== connection.window) {
      self.goOn();
      return;
    }
    leave();
    if (parts.ending.endIfDone()) return;
    counts.reconnects += 1;
    const nowMs = clock.now();
    let retryMs: number;
    if (connection?.drainUntilMs !== undefined) {
      // The server asked for it: no failure.
      retryMs = Math.max(0, connection.drainUntilMs - nowMs);
    } else {
      // One that lived for a while was no failure, though nothing may have been sent on it.
      if (connection?.isWelcomed && nowMs - connection.openedMs > HANDSHAKE_LIMIT_MS) self.failuresInARow = 0;
      const ceiling = pauseMs(RETRY_BASE_MS, RETRY_MAX_MS, self.failuresInARow);
      self.failuresInARow += 1;
      retryMs = Math.round((code === 4429 ? OVER_CREDIT_RETRY_MS : 0) + ceiling * random());
    }
    emit({ type: 'disconnected', code, reason, retryMs });
    if (counts.connections === 0 && counts.reconnects === NEVER_CONNECTED_FAILURES)
      tellNeverConnected(code, reason);
    reconnect.set(retryMs, () => self.connect());
  }

  function tellNeverConnected(code: number, reason: string): void {
    // Parameters may hold a token, and the part before the host a password.
    const { origin, pathname } = new URL(url);
    const shown = origin + pathname;
    const failures = NEVER_CONNECTED_FAILURES;
    const message = `${failures} tries to connect to ${shown} have failed (${code} ${reason}): is the path /ws/ and the name of a sink?`;
    emit({ type: 'never-connected', url: shown, failures, message });
  }

  function watchLater(): void {
    watch.set(WATCH_INTERVAL_MS, () => {
      const { connection } = sender;
      if (!connection) return;
      look(connection);
      // Another one is watched by itself.
      if (sender.connection === connection) watchLater();
    });
  }

  /** Is it open, alive, and does it get anywhere? */
  function look(connection: Connection): void {
    const { window } = connection;
    const nowMs = clock.now();
    const isOver = (sinceMs: number | undefined, limitMs: number) =>
      sinceMs !== undefined && nowMs - sinceMs >= limitMs;
    const giveUp = (reason: string) => self.giveUp(connection, reason);
    const ask = (frame: string) => {
      connection.askedMs = nowMs;
      sender.transmit(connection, frame);
    };
    if (!connection.isOwn && isOver(connection.byeMs, HANDSHAKE_LIMIT_MS)) giveUp('No bye');
    else if (isOver(connection.erroredMs, WATCH_INTERVAL_MS)) giveUp('No connection');
    else if (!connection.isWelcomed) {
      if (isOver(connection.openedMs, HANDSHAKE_LIMIT_MS)) giveUp('No welcome');
    } else if (connection.drainUntilMs !== undefined) return;
    else if (connection.askedMs !== undefined) {
      if (isOver(connection.askedMs, DEAD_AFTER_MS)) giveUp('No answer');
    } else if (window.outMessages > 0 && isOver(connection.outSinceMs, STALLED_AFTER_MS)) giveUp('No ack');
    else if (
      window.cursor > 0 &&
      !connection.askedForAck &&
      isOver(connection.progressMs, ACK_PING_AFTER_MS)
    ) {
      connection.askedForAck = true;
      ask('{"t":"ping"}');
    } else if (isOver(connection.heardMs, HEARTBEAT_AFTER_MS)) ask('ping');
  }

  return self;
}

export type Link = ReturnType<typeof createLink>;
