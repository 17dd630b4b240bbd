/** The lab page: what is where, and what happens when. */

import { announce } from './announce.ts';
import { Api, ApiError } from './api.ts';
import { byId, make, showHtml, showText } from './elements.ts';
import { type DescribedSuites, OptionForm } from './option-form.ts';
import { isUnderWay, type StoredRun } from './run-events.ts';
import { RunList, timeText } from './run-list.ts';
import { RunView } from './run-view.ts';

const api = new Api();
const lab = byId('lab', HTMLElement);
const tokenSection = byId('token', HTMLElement);
const tokenInput = byId('token-input', HTMLInputElement);
const tokenError = byId('token-error', HTMLElement);
const forgetToken = byId('forget-token', HTMLButtonElement);
const trouble = byId('trouble', HTMLElement);
const startError = byId('start-error', HTMLElement);
const comparison = byId('comparison', HTMLElement);
const compareError = byId('compare-error', HTMLElement);
const base = byId('base', HTMLSelectElement);
const head = byId('head', HTMLSelectElement);

const download = (path: string): void => void api.download(path).catch(showTrouble);

const list = new RunList({ download, remove: (run) => void removeRun(run).catch(showTrouble) });
const view = new RunView({
  api,
  download,
  reuse(suite, config) {
    form?.write(suite, config);
    form?.focus();
  },
  onChange: () => void refreshList().catch(showTrouble),
  onError: showTrouble,
});
let form: OptionForm | undefined;

/** Asks for everything that the page begins with; without a token, or with a wrong one, for the token. */
async function begin(): Promise<void> {
  showText(trouble, undefined);
  form ??= new OptionForm(await api.json<DescribedSuites>('/bench/suites'));
  const runs = await refreshList();
  tokenSection.hidden = true;
  lab.hidden = false;
  forgetToken.hidden = !api.hasToken;
  // A page that is opened while a run is under way shows that run.
  const active = runs.find(isUnderWay);
  if (location.hash.length < 2 && active !== undefined) history.replaceState(null, '', `#run=${active.id}`);
  await route(false);
}

async function refreshList(): Promise<StoredRun[]> {
  const { runs } = await api.json<{ runs: StoredRun[] }>('/bench/runs');
  list.show(runs);
  return runs;
}

/** Shows what the address names after its `#`: `run=<id>`, or `base=<id>&head=<id>`. */
async function route(isAsked: boolean): Promise<void> {
  showText(trouble, undefined);
  const named = new URLSearchParams(location.hash.slice(1));
  const [run, first, second] = [named.get('run'), named.get('base'), named.get('head')];
  if (run === null) view.close();
  if (first === null || second === null) comparison.hidden = true;
  if (run !== null) await view.open(run, isAsked);
  else if (first !== null && second !== null) await compare(first, second, isAsked);
}

async function compare(first: string, second: string, isAsked: boolean): Promise<void> {
  showText(compareError, undefined);
  comparison.hidden = true;
  const query = new URLSearchParams({ base: first, head: second });
  try {
    const html = await api.text(`/bench/compare/fragment?${query}`);
    showHtml(byId('comparison-report', HTMLElement), html);
  } catch (error) {
    if (!(error instanceof ApiError) || error.refusal.code === 'unauthorized') throw error;
    showText(compareError, error.message);
    return;
  }
  comparison.hidden = false;
  if (isAsked) byId('comparison-title', HTMLElement).focus();
}

function go(fragment: string): void {
  if (location.hash === `#${fragment}`) void route(true).catch(showTrouble);
  else location.hash = fragment;
}

async function startRun(): Promise<void> {
  if (form === undefined) return;
  form.clearErrors();
  showText(startError, undefined);
  try {
    const { id } = await api.post<StoredRun>('/bench/runs', form.read());
    announce('The run has started.');
    await refreshList();
    go(`run=${id}`);
  } catch (error) {
    if (!(error instanceof ApiError) || error.refusal.code === 'unauthorized') throw error;
    const { option, detail, run } = error.refusal;
    if (option !== undefined && form.showError(option, detail)) return;
    showText(startError, detail);
    if (run !== undefined) startError.append(' ', make('a', { href: `#run=${run}` }, 'Show it'));
  }
}

async function removeRun(run: StoredRun): Promise<void> {
  const dialog = byId('delete-dialog', HTMLDialogElement);
  byId('delete-text', HTMLElement).textContent =
    `Delete the run of ${run.suite}, ${timeText(run.createdAtMs)}? Its figures are gone then.`;
  // Escape leaves this as it is.
  dialog.returnValue = 'keep';
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
  if (dialog.returnValue !== 'delete') return;
  await api.request(`/bench/runs/${encodeURIComponent(run.id)}`, { method: 'DELETE' });
  await refreshList();
  announce('The run is deleted.');
  // The button that had the focus is gone.
  byId('history-title', HTMLElement).focus();
  if (location.hash.includes(run.id)) go('');
}

/** Any error that nobody else shows. One that asks for the token opens the form for it. */
function showTrouble(error: unknown): void {
  if (error instanceof DOMException && error.name === 'AbortError') return;
  if (error instanceof ApiError && error.refusal.code === 'unauthorized') {
    askForToken(api.hasToken ? 'This is not the token, or it is no longer.' : undefined);
    return;
  }
  const isUnanswered = error instanceof TypeError;
  showText(
    trouble,
    isUnanswered ? 'The server does not answer.' : error instanceof Error ? error.message : String(error),
  );
}

function askForToken(reason: string | undefined): void {
  api.setToken(null);
  view.close();
  lab.hidden = true;
  forgetToken.hidden = true;
  tokenSection.hidden = false;
  showText(tokenError, reason);
  if (reason === undefined) tokenInput.removeAttribute('aria-invalid');
  else tokenInput.setAttribute('aria-invalid', 'true');
  tokenInput.focus();
}

byId('token-form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  const token = tokenInput.value.trim();
  tokenInput.value = '';
  // A header takes no others, and the browser would not even ask.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    askForToken('A token consists of letters, digits and other characters of ASCII, without spaces.');
    return;
  }
  api.setToken(token);
  // The field that had the focus is gone then.
  void begin().then(() => form?.focus(), showTrouble);
});
forgetToken.addEventListener('click', () => askForToken(undefined));
byId('start-form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  void startRun().catch(showTrouble);
});
byId('compare-form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  go(`base=${base.value}&head=${head.value}`);
});
addEventListener('hashchange', () => void route(true).catch(showTrouble));
// A link to what is shown already changes no address, and still leads there.
document.addEventListener('click', ({ target }) => {
  const link = target instanceof Element ? target.closest('a') : null;
  if (link !== null && link.hash === location.hash) void route(true).catch(showTrouble);
});
// Somebody else may have started or removed runs meanwhile.
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible' && !lab.hidden) void refreshList().catch(showTrouble);
});

void begin().catch(showTrouble);
