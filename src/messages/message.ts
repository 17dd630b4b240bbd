/** What the message store keeps. Positions are `bigint`; JSON is text inside the engines, values outside. */

export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };
export type JsonObject = { [key: string]: JsonValue };

/** A message as it was stored. */
export interface Message<Type extends string = string, Data = JsonValue> {
  /** A UUID. */
  id: string;
  streamName: string;
  type: Type;
  /** Its place in the stream, from 0, without gaps. */
  position: bigint;
  /** Its place among all messages of the namespace, from 1. */
  globalPosition: bigint;
  data: Data;
  metadata: JsonValue;
  /** When it was written, in microseconds since 1970. */
  timeUs: number;
}

/** A message to be written. */
export interface NewMessage<Type extends string = string, Data = JsonValue> {
  /** A UUID; made (version 7) where there is none. */
  id?: string;
  type: Type;
  /** Default: an empty object. */
  data?: Data;
  /** Default: null. */
  metadata?: JsonValue;
}

/** A message with the places that it had elsewhere. */
export interface ImportedMessage extends NewMessage {
  id: string;
  streamName: string;
  position: bigint;
  globalPosition: bigint;
  timeUs: number;
}

/** `'no-stream'`: the stream must not have messages. A number: the position of its last message. */
export type ExpectedVersion = bigint | 'no-stream';

/** Where a write ended up: the places of its last message. */
export interface Written {
  position: bigint;
  globalPosition: bigint;
}
