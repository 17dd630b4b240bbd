/** Starts the page. */

import { render } from 'preact';
import { App } from './app.tsx';
import { Dashboard } from './dashboard.ts';

const page = document.getElementById('page') as HTMLElement;
page.replaceChildren();

let isDue = false;
// Several changes in one turn are one painting.
const paint = (): void => {
  if (isDue) return;
  isDue = true;
  queueMicrotask(() => {
    isDue = false;
    render(<App dashboard={dashboard} />, page);
  });
};

const dashboard = new Dashboard(paint);
paint();
