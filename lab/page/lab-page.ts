/** The page of the bench as an answer. */

import { pageResponder } from '../../workers/pages/page-response.ts';
import { REPORT_STYLE } from '../report/html.ts';
import { PAGE_HTML, PAGE_SCRIPT, PAGE_STYLE } from './built.ts';

const respond = pageResponder({ html: PAGE_HTML, style: REPORT_STYLE + PAGE_STYLE, script: PAGE_SCRIPT });

/** Whether a request is a browser's for a page to show. `curl` and scripts accept anything, and get the text. */
export function asksForPage(request: Request): boolean {
  return (
    request.method === 'GET' && /(^|,)\s*text\/html\s*(;|,|$)/i.test(request.headers.get('accept') ?? '')
  );
}

/** The page. It is the same for everybody and shows nothing by itself: all figures come from routes that ask for the token. */
export function labPage(): Promise<Response> {
  return respond({ vary: 'accept' });
}
