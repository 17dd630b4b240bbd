/** What a shard knows of revocations: the list of the directory, and what was said since. */

import { type Revocation, Revocations, type Revoked, type RevokedName } from '../src/access/revocations.ts';

export class ShardRevocations {
  readonly #list: () => Promise<readonly Revocation[]>;
  readonly #revocations = new Revocations();
  /** What was said while the list was on its way, which may be older. */
  #said: (() => void)[] | undefined;
  #loading: Promise<void> | undefined;

  /** @param list asks the directory for all that is revoked */
  constructor(list: () => Promise<readonly Revocation[]>) {
    this.#list = list;
  }

  /**
   * Resolves once the list is known. Asks once in the life of the object, and again after a failure: a shard that does not
   * know who is revoked lets nobody in.
   */
  loaded(): Promise<void> {
    this.#loading ??= this.#load().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  async #load(): Promise<void> {
    this.#said = [];
    const said = this.#said;
    for (const revocation of await this.#list()) this.#revocations.add(revocation);
    this.#said = undefined;
    for (const say of said) say();
  }

  add(revocation: Revocation): void {
    this.#say(() => this.#revocations.add(revocation));
  }

  remove(name: RevokedName): void {
    this.#say(() => this.#revocations.remove(name));
  }

  #say(say: () => void): void {
    say();
    this.#said?.push(say);
  }

  /** @throws SluiceError `forbidden` */
  assertNot(client: Revoked, nowMs: number): void {
    this.#revocations.assertNot(client, nowMs);
  }
}
