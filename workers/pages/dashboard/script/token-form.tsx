/** Asks for the token of an operator. It is kept in this tab, and nowhere else. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { ApiError } from '../../parts/api.ts';

export interface TokenFormProps {
  /** Why it is asked for; undefined where somebody wants to change it. */
  error: ApiError | undefined;
  /** A token was sent, and the answer was no. */
  hadToken: boolean;
  onToken(token: string): void;
  onCancel: (() => void) | undefined;
}

export function TokenForm({ error, hadToken, onToken, onCancel }: TokenFormProps): JSX.Element {
  const [token, setToken] = useState('');
  const [isBad, setBad] = useState(false);
  const trouble = isBad
    ? 'A token has no spaces and no letters beyond ASCII. Is it whole?'
    : troubleOf(error, hadToken);
  return (
    <main>
      <section class="card token" aria-labelledby="token-title">
        <h1 id="token-title" tabIndex={-1}>
          {onCancel === undefined ? 'Who are you?' : 'Use another token'}
        </h1>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const given = token.trim();
            const isUsable = /^[\x21-\x7e]+$/.test(given);
            setBad(!isUsable);
            if (isUsable) onToken(given);
          }}
        >
          <div class="field">
            <label for="token">Token of an operator</label>
            <p class="hint" id="token-hint">
              One of the secrets READ_TOKENS (to look) or OPERATE_TOKENS (to look and to act) of this Worker.
              It stays in this tab until the tab is closed.
            </p>
            <input
              id="token"
              type="password"
              autocomplete="off"
              spellcheck={false}
              aria-describedby="token-hint token-error"
              aria-invalid={trouble !== undefined}
              value={token}
              onInput={(event) => setToken(event.currentTarget.value)}
            />
            <p id="token-error" class="text-bad" role="alert">
              {trouble}
            </p>
          </div>
          <div class="row">
            <button type="submit" class="main">
              Open
            </button>
            {onCancel === undefined ? null : (
              <button type="button" onClick={onCancel}>
                Cancel
              </button>
            )}
          </div>
        </form>
      </section>
    </main>
  );
}

function troubleOf(error: ApiError | undefined, hadToken: boolean): string | undefined {
  if (error === undefined) return undefined;
  if (error.code === 'unauthorized') return hadToken ? 'This token is not known here.' : undefined;
  return error.message;
}
