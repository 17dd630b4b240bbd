/**
 * The messages of the suite `rates`: packets as BedrockRelay writes them (AndrewSamaha/BedrockRelay, `packets`),
 * with integers beyond what a number holds and NUL characters within texts. Their bytes depend on nothing but the
 * seed, the producer and the number.
 */

import { derivedSeed, seededRandom } from '../../run/random.ts';
import { benchDevice } from '../ingest/payload.ts';

/** A packet as the relay gets it, before it is text. */
export interface Packet {
  name: string;
  params: Record<string, unknown>;
}

const NAMES = ['move_player', 'level_event', 'text', 'inventory_transaction', 'update_attributes'];

/** Packet `n` (from 0) of a client. */
export function benchPacket(seed: number, client: number, n: number): Packet {
  const random = seededRandom(derivedSeed(seed, client, n));
  const coordinate = (): number => Math.round(random() * 1e6) / 1e3;
  return {
    name: NAMES[Math.floor(random() * NAMES.length)] as string,
    params: {
      // Entities of this game have identifiers of 64 bits, some of them the largest there is.
      runtime_id: 9_223_372_036_854_775_807n - BigInt(Math.floor(random() * 1e9)),
      position: { x: coordinate(), y: coordinate(), z: coordinate() },
      rotation: [coordinate(), coordinate()],
      // A text as the game pads it; PostgreSQL's jsonb holds no such character.
      source: `player-${client}\u0000`,
      on_ground: random() < 0.5,
      tick: BigInt(n),
    },
  };
}

/**
 * The message of a packet: JSON with the device and the number, by which its row is audited, and the columns that
 * the relay writes beside the packet.
 */
export function packetMessage(producer: string, n: number, packet: Packet): string {
  return JSON.stringify({
    device: benchDevice(producer),
    n,
    session_time_ms: n,
    server_version: '1.21.2',
    direction: n % 3 === 0 ? 'serverbound' : 'clientbound',
    packet: serializable(packet),
  });
}

/**
 * A copy that JSON and jsonb can hold: BigInt as its digits in a string, texts without NUL. BedrockRelay walks its packets
 * in the same way; the characters have to go before `JSON.stringify`, which writes them as an escape.
 */
export function serializable(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'string') return value.replaceAll('\u0000', '');
  if (Array.isArray(value)) return value.map(serializable);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, serializable(inner)]));
}
