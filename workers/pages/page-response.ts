/** A page as an answer: one document with its styles and its script in it, and a policy that lets nothing else in. */

export interface PageTexts {
  /** The document, with an empty `<style>` and an empty `<script type="module">` where the others go. */
  html: string;
  style: string;
  script: string;
}

/** Makes the answer, again and again; what it is made of is put together when it is asked for first. */
export function pageResponder(texts: PageTexts): (headers?: Record<string, string>) => Promise<Response> {
  let made: { html: string; policy: string } | undefined;
  return async (headers = {}) => {
    made ??= await makePage(texts);
    return new Response(made.html, {
      headers: {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': made.policy,
        'cache-control': 'no-store',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        'cross-origin-opener-policy': 'same-origin',
        ...headers,
      },
    });
  };
}

async function makePage({ html, style, script }: PageTexts): Promise<{ html: string; policy: string }> {
  const policy = [
    "default-src 'none'",
    `script-src ${await sourceOf(script)}`,
    `style-src ${await sourceOf(style)}`,
    "connect-src 'self'",
    // The empty icon, which keeps the browser from asking for one.
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  const whole = html
    .replace('<style></style>', () => `<style>${style}</style>`)
    .replace('<script type="module"></script>', () => `<script type="module">${script}</script>`);
  return { html: whole, policy };
}

/** What a policy allows a text in the document by. */
async function sourceOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return `'sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}'`;
}
