/** The page of the bench as an answer: one document with its styles and its script in it, and a policy that lets nothing else in. */

import { REPORT_STYLE } from '../report/html.ts';
import { PAGE_HTML, PAGE_SCRIPT, PAGE_STYLE } from './built.ts';

interface Page {
  html: string;
  policy: string;
}

let made: Page | undefined;

/** Whether a request is a browser's for a page to show. `curl` and scripts accept anything, and get the text. */
export function asksForPage(request: Request): boolean {
  return (
    request.method === 'GET' && /(^|,)\s*text\/html\s*(;|,|$)/i.test(request.headers.get('accept') ?? '')
  );
}

/** The page. It is the same for everybody and shows nothing by itself: all figures come from routes that ask for the token. */
export async function labPage(): Promise<Response> {
  made ??= await makePage();
  return new Response(made.html, {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': made.policy,
      'cache-control': 'no-store',
      vary: 'accept',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'cross-origin-opener-policy': 'same-origin',
    },
  });
}

async function makePage(): Promise<Page> {
  const style = REPORT_STYLE + PAGE_STYLE;
  const policy = [
    "default-src 'none'",
    `script-src ${await sourceOf(PAGE_SCRIPT)}`,
    `style-src ${await sourceOf(style)}`,
    "connect-src 'self'",
    // The empty icon, which keeps the browser from asking for one.
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  const html = PAGE_HTML.replace('<style></style>', () => `<style>${style}</style>`).replace(
    '<script type="module"></script>',
    () => `<script type="module">${PAGE_SCRIPT}</script>`,
  );
  return { html, policy };
}

/** What a policy allows a text in the document by. */
async function sourceOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return `'sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}'`;
}
