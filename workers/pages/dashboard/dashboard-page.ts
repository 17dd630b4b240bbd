/** The dashboard as an answer. */

import { pageResponder } from '../page-response.ts';
import { PAGE_HTML, PAGE_SCRIPT, PAGE_STYLE } from './built.ts';

const respond = pageResponder({ html: PAGE_HTML, style: PAGE_STYLE, script: PAGE_SCRIPT });

/** The page. It is the same for everybody and shows nothing by itself: all figures come from routes that ask for a token. */
export function dashboardPage(): Promise<Response> {
  return respond();
}
