/** The sockets of a shard: what is kept of each through hibernation, and the session that speaks over it. */

import { tenantOf } from '../src/access/producer-name.ts';
import { closeCode, closeReason, type ErrorCode, rawCloseCode } from '../src/core/errors.ts';
import { MAX_LISTED_SESSIONS } from '../src/core/limits.ts';
import type { Intake, Peer, Session, SessionMemory } from '../src/ingest/intake.ts';
import type { SLUICE_V1 } from '../src/protocol/sluice-v1.ts';
import type { ListedSession } from './objects.ts';
import { grantOf, type KeptAccess, type ShardAccess } from './shard-access.ts';

/** What a socket keeps through hibernation. */
export interface Attachment {
  producer: string;
  protocol: 'raw' | typeof SLUICE_V1;
  memory: SessionMemory | undefined;
  kept: KeptAccess;
  /** The client's address, as limits know it. */
  address: string | undefined;
  openedAtMs: number;
}

export interface ShardSocketsOptions {
  state: Pick<DurableObjectState, 'acceptWebSocket' | 'getWebSockets'>;
  intake: Pick<Intake, 'openSession'>;
  /** Undefined where everybody who reaches the shard may send. */
  access: ShardAccess | undefined;
  /** True where sockets do not hibernate. */
  areResident: boolean;
  /** A resident socket has got a frame. Those of others come to the object itself. */
  onFrame: (socket: WebSocket, frame: string | ArrayBuffer) => void;
  /** A socket has ended, with this code. */
  onEnd: (code: number) => void;
}

/** The code of a connection that was lost (RFC 6455). */
export const LOST = 1006;

export class ShardSockets {
  readonly #options: ShardSocketsOptions;
  readonly #resident = new Set<WebSocket>();
  readonly #sessions = new WeakMap<WebSocket, Session>();
  readonly #attachments = new WeakMap<WebSocket, Attachment>();
  readonly #ended = new WeakSet<WebSocket>();
  /** Open sockets by protocol, and of each producer. */
  readonly #byProtocol = { raw: 0, 'sluice.v1': 0 };
  readonly #byProducer = new Map<string, number>();
  #open: number;

  constructor(options: ShardSocketsOptions) {
    this.#options = options;
    this.#open = options.state.getWebSockets().length;
  }

  /** Open sockets. Counted here, since asking the platform for each frame would cost too much. */
  get open(): number {
    return this.#open;
  }

  /** Sockets that the platform still has. */
  get size(): number {
    return this.#options.state.getWebSockets().length + this.#resident.size;
  }

  /** Open sockets for those who watch. */
  get figures(): { raw: number; v1: number; producers: number } {
    const { raw, 'sluice.v1': v1 } = this.#byProtocol;
    return { raw, v1, producers: this.#byProducer.size };
  }

  get #all(): WebSocket[] {
    return [...this.#options.state.getWebSockets(), ...this.#resident];
  }

  /** Takes a socket that has just been let in. */
  accept(socket: WebSocket, attachment: Attachment): void {
    this.#open += 1;
    if (this.#options.areResident) this.#acceptResident(socket);
    else {
      this.#options.state.acceptWebSocket(socket);
      socket.serializeAttachment(attachment);
    }
    this.#openSession(socket, attachment);
  }

  #acceptResident(socket: WebSocket): void {
    // A Blob, as the platform would give otherwise, can only be read later: what comes after it would overtake it.
    socket.binaryType = 'arraybuffer';
    socket.accept();
    this.#resident.add(socket);
    socket.addEventListener('message', (event) =>
      this.#options.onFrame(socket, event.data as string | ArrayBuffer),
    );
    const forget = (code: number): void => {
      this.#resident.delete(socket);
      this.end(socket, code);
    };
    socket.addEventListener('close', ({ code }) => forget(code));
    socket.addEventListener('error', () => forget(LOST));
  }

  /** The sessions of sockets that were there before the object fell asleep go on. */
  wake(): void {
    for (const socket of this.#options.state.getWebSockets()) {
      const attachment = socket.deserializeAttachment() as Attachment;
      // Of a version that asked nobody who they are.
      if (attachment.kept === undefined || attachment.openedAtMs === undefined)
        peerOf(socket).close(1001, closeReason('shard_unavailable', 'the shard was updated: connect again'));
      else this.#openSession(socket, attachment);
    }
  }

  #openSession(socket: WebSocket, attachment: Attachment): void {
    const { producer, protocol, memory, kept, address } = attachment;
    const save = (): void => {
      if (!this.#resident.has(socket)) socket.serializeAttachment(attachment);
    };
    const session = this.#options.intake.openSession(peerOf(socket), {
      producer,
      access: this.#options.access?.sessionAccess(kept, producer, save),
      address,
      protocol,
      nowMs: Date.now(),
      memory,
      onRemember: (remembered) => {
        attachment.memory = remembered;
        save();
      },
    });
    this.#sessions.set(socket, session);
    this.#attachments.set(socket, attachment);
    this.#byProtocol[protocol] += 1;
    this.#byProducer.set(producer, (this.#byProducer.get(producer) ?? 0) + 1);
  }

  /** A frame for the session of a socket. Where the client closed, its last frames count, though it is no longer open. */
  receive(socket: WebSocket, frame: string | ArrayBuffer, nowMs: number): void {
    this.#sessions.get(socket)?.receive(frame, nowMs);
  }

  /** A socket has ended: by an error, a close, or both. @param code of the close; `LOST` where none came */
  end(socket: WebSocket, code: number): void {
    if (this.#ended.has(socket)) return;
    this.#ended.add(socket);
    this.#open = Math.max(0, this.#open - 1);
    this.#sessions.get(socket)?.end();
    const attachment = this.#attachments.get(socket);
    this.#options.onEnd(code);
    if (attachment === undefined) return;
    this.#options.access?.leave(attachment.kept);
    this.#countOut(attachment);
  }

  #countOut({ protocol, producer }: Attachment): void {
    this.#byProtocol[protocol] -= 1;
    const left = (this.#byProducer.get(producer) ?? 0) - 1;
    if (left > 0) this.#byProducer.set(producer, left);
    else this.#byProducer.delete(producer);
  }

  /**
   * Closes some, and takes nothing more that is still on its way. What came before is stored and stays so.
   *
   * @returns how many
   */
  close(isMeant: (attachment: Attachment) => boolean, code: ErrorCode, sentence: string): number {
    let closed = 0;
    const reason = closeReason(code, sentence);
    for (const socket of this.#all) {
      const attachment = this.#attachments.get(socket);
      if (attachment === undefined || this.#ended.has(socket) || !isMeant(attachment)) continue;
      this.#sessions.get(socket)?.end();
      const isRaw = attachment.protocol === 'raw';
      peerOf(socket).close(isRaw ? rawCloseCode(code) : closeCode(code), reason);
      closed += 1;
    }
    return closed;
  }

  /** Tells raw sockets to come again, as the platform does in a deployment. */
  closeRaw(sentence: string): void {
    for (const socket of this.#all) {
      const session = this.#sessions.get(socket);
      if (session?.protocol !== 'raw') continue;
      session.end();
      peerOf(socket).close(1001, closeReason('shard_unavailable', sentence));
    }
  }

  /** All of them by number, and as many as an answer lists. */
  list(): { count: number; sessions: ListedSession[] } {
    const all = this.#all;
    const sessions = all.slice(0, MAX_LISTED_SESSIONS).flatMap((socket): ListedSession[] => {
      const attachment = this.#attachments.get(socket);
      if (attachment === undefined) return [];
      const { producer, protocol, kept, openedAtMs } = attachment;
      const grant = grantOf(kept);
      const tenant = grant?.tenant ?? tenantOf(producer) ?? null;
      const [token, expiresAtMs] = [grant?.tokenId ?? null, grant?.expiresAtMs ?? null];
      return [{ producer, tenant, token, protocol, openedAtMs, expiresAtMs }];
    });
    return { count: all.length, sessions };
  }
}

// A socket that the client has just lost cannot be written to any more; its close event follows.
function peerOf(socket: WebSocket): Peer {
  return {
    send(frame) {
      try {
        socket.send(frame);
      } catch {}
    },
    close(code, reason) {
      try {
        socket.close(code, reason);
      } catch {}
    },
  };
}

/** Answers a client's close. Without it the client waits for its own time limit; codes that only describe are not sent. */
export function answerClose(socket: WebSocket, code: number): void {
  const isSendable = code === 1000 || code === 1001 || (code >= 3000 && code <= 4999);
  socket.close(isSendable ? code : 1000);
}
