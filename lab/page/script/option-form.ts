/** The options of a suite as fields, made from what the Worker says of them. */

import { byId, make, showText } from './elements.ts';

/** An option as `GET /bench/suites` describes it. */
export interface DescribedOption {
  name: string;
  kind: 'integer' | 'integers' | 'name' | 'choice' | 'choices' | 'switch';
  description: string;
  default: unknown;
  /** What is allowed, as a sentence. */
  allowed: string;
  choices?: string[];
}

export interface DescribedSuites {
  suites: { name: string; title: string; unit: string; options: DescribedOption[] }[];
  /** Options of every run. */
  run: DescribedOption[];
}

interface Field {
  /** Where the focus goes when the value is refused. */
  focus: HTMLElement;
  read(): unknown;
  write(value: unknown): void;
  showError(text: string | undefined): void;
}

type Fields = Map<string, Field>;

export class OptionForm {
  readonly #choice = byId('suite', HTMLSelectElement);
  readonly #title = byId('suite-hint', HTMLElement);
  readonly #place = byId('suite-options', HTMLElement);
  readonly #run: Fields;
  /** A group of fields for each suite, so that what was typed stays when another one is looked at. */
  readonly #suites = new Map<string, { title: string; group: HTMLElement; fields: Fields }>();

  constructor({ suites, run }: DescribedSuites) {
    this.#run = addFields(byId('run-options', HTMLElement), 'run', run);
    this.#place.replaceChildren();
    for (const { name, title, options } of suites) {
      const group = make('div', { class: 'fields', role: 'group', 'aria-label': `Options of ${name}` });
      this.#suites.set(name, { title, group, fields: addFields(group, name, options) });
      this.#place.append(group);
      this.#choice.append(make('option', { value: name }, name));
    }
    this.#choice.addEventListener('change', () => this.#show());
    this.#show();
  }

  /** Everything as it stands in the fields; the server reads texts as numbers and lists. */
  read(): Record<string, unknown> {
    const values: Record<string, unknown> = { suite: this.#choice.value };
    for (const [name, field] of this.#fields()) values[name] = field.read();
    return values;
  }

  /** Fills the fields with what a run was given. */
  write(suite: string, values: Readonly<Record<string, unknown>>): void {
    if (!this.#suites.has(suite)) return;
    this.#choice.value = suite;
    this.#show();
    for (const [name, field] of this.#fields()) if (Object.hasOwn(values, name)) field.write(values[name]);
  }

  clearErrors(): void {
    for (const [, field] of this.#fields()) field.showError(undefined);
  }

  /** Shows an error at its field, and puts the focus there. @returns false where there is no such field */
  showError(option: string, text: string): boolean {
    const field = this.#fields().find(([name]) => name === option)?.[1];
    if (field === undefined) return false;
    field.showError(text);
    field.focus.focus();
    return true;
  }

  focus(): void {
    this.#choice.focus();
  }

  #fields(): [string, Field][] {
    return [...this.#run, ...(this.#suites.get(this.#choice.value)?.fields ?? [])];
  }

  #show(): void {
    for (const [name, { title, group }] of this.#suites) {
      group.hidden = name !== this.#choice.value;
      if (!group.hidden) this.#title.textContent = title;
    }
  }
}

function addFields(place: HTMLElement, prefix: string, options: readonly DescribedOption[]): Fields {
  const fields: Fields = new Map();
  for (const option of options) {
    const id = `${prefix}-${option.name}`;
    const error = make('p', { class: 'error', id: `${id}-error`, hidden: true });
    const made = option.kind === 'choices' ? choicesField : singleField;
    const { element, field } = made(id, option, error);
    place.append(element);
    fields.set(option.name, field);
  }
  return fields;
}

interface Made {
  element: HTMLElement;
  field: Field;
}

/** Checkboxes in a frame. */
function choicesField(id: string, option: DescribedOption, error: HTMLElement): Made {
  const boxes = (option.choices ?? []).map((value) => make('input', { type: 'checkbox', value }));
  const element = make(
    'fieldset',
    { class: 'field wide', 'aria-describedby': `${id}-hint ${id}-error` },
    make('legend', {}, option.name),
    make('p', { class: 'hint', id: `${id}-hint` }, option.description),
    make('div', { class: 'choices' }, ...boxes.map((box) => make('label', {}, box, box.value))),
    error,
  );
  const write = (value: unknown): void => {
    const chosen = Array.isArray(value) ? value.map(String) : [];
    for (const box of boxes) box.checked = chosen.includes(box.value);
  };
  write(option.default);
  return {
    element,
    field: {
      focus: boxes[0] ?? element,
      read: () => boxes.filter(({ checked }) => checked).map(({ value }) => value),
      write,
      showError(text) {
        showText(error, text);
        element.classList.toggle('refused', text !== undefined);
      },
    },
  };
}

function singleField(id: string, option: DescribedOption, error: HTMLElement): Made {
  const { input, read, write } = control(id, option);
  input.id = id;
  input.setAttribute('aria-describedby', `${id}-hint ${id}-error`);
  const hint = make('p', { class: 'hint', id: `${id}-hint` }, hintOf(option));
  const label = make('label', { for: id }, option.name);
  const element =
    option.kind === 'switch'
      ? make('div', { class: 'field switch' }, hint, label, error)
      : make('div', { class: 'field' }, label, hint, input, error);
  if (option.kind === 'switch') label.prepend(input);
  write(option.default);
  return {
    element,
    field: {
      focus: input,
      read,
      write,
      showError(text) {
        showText(error, text);
        if (text === undefined) input.removeAttribute('aria-invalid');
        else input.setAttribute('aria-invalid', 'true');
      },
    },
  };
}

interface Control {
  input: HTMLInputElement | HTMLSelectElement;
  read(): unknown;
  write(value: unknown): void;
}

function control(id: string, { kind, choices = [] }: DescribedOption): Control {
  if (kind === 'choice') {
    const input = make('select', { id }, ...choices.map((value) => make('option', { value }, value)));
    return {
      input,
      read: () => input.value,
      write(value) {
        input.value = String(value);
      },
    };
  }
  if (kind === 'switch') {
    const input = make('input', { type: 'checkbox' });
    return {
      input,
      read: () => input.checked,
      write(value) {
        input.checked = value === true;
      },
    };
  }
  // Not of type "number": what is not a number would then read as nothing, and the run would take the default instead.
  const input = make('input', {
    type: 'text',
    autocomplete: 'off',
    spellcheck: 'false',
    inputmode: kind === 'integer' ? 'numeric' : 'text',
  });
  return {
    input,
    read: () => input.value.trim(),
    write(value) {
      input.value = Array.isArray(value) ? value.join(',') : String(value);
    },
  };
}

/** What the option is and, where the field does not show it, what it takes. */
function hintOf({ kind, description, allowed }: DescribedOption): string {
  if (kind === 'choice' || kind === 'switch') return description;
  return `${description}; ${allowed.replace(/ is allowed(?=,|$)/, '')}`;
}
