/** What an action came to: said once, and gone after a while; an error stays until somebody closes it. */

import type { JSX } from 'preact';

export interface Toast {
  id: number;
  text: string;
  isError: boolean;
}

const SHOWN_MS = 8_000;

export class Toasts {
  readonly #onChange: () => void;
  #last = 0;
  list: readonly Toast[] = [];

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  show(text: string, isError = false): void {
    this.#last += 1;
    const id = this.#last;
    this.list = [...this.list.slice(-3), { id, text, isError }];
    this.#onChange();
    if (!isError) setTimeout(() => this.close(id), SHOWN_MS);
  }

  close(closed: number): void {
    this.list = this.list.filter(({ id }) => id !== closed);
    this.#onChange();
  }
}

export function ToastList({ toasts }: { toasts: Toasts }): JSX.Element {
  return (
    <div class="toasts" role="status">
      {toasts.list.map(({ id, text, isError }) => (
        <div key={id} class={isError ? 'toast bad' : 'toast'}>
          <p>
            {isError ? <b class="text-bad">Failed: </b> : null}
            {text}
          </p>
          <button type="button" class="plain" onClick={() => toasts.close(id)}>
            Close
          </button>
        </div>
      ))}
    </div>
  );
}
