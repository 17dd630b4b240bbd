/** What a method of `/rpc` is, and what it asks of those who serve it. */

import type { Namespaces } from '../../store/namespaces.ts';
import type { JsonObject } from '../message.ts';
import type { MessageStore } from '../message-store.ts';
import type { Arguments } from './rpc-arguments.ts';

export interface RpcPorts {
  /** The store of the caller's namespace. @throws SluiceError `unauthorized` */
  store(): Promise<MessageStore>;
  /**
   * The namespaces, for a caller who may do this.
   *
   * @param namespace the one it is about; undefined: all
   * @throws SluiceError `unauthorized`, `forbidden` or `operators_closed`
   */
  namespaces(namespace?: string): Promise<Namespaces>;
  health(): Promise<JsonObject>;
  /** Told what becomes `BACKEND_ERROR`, whose text the caller does not get unless it is an error of Sluice. */
  onFailure(error: unknown): void;
  randomBytes(length: number): Uint8Array;
}

export type Method = (
  args: Arguments,
  ports: RpcPorts,
  text: string,
) => Promise<string | AsyncIterable<string>>;
