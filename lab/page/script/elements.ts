/** Elements: those of the page by their ids, and new ones. */

/** An element of page.html. */
export function byId<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`page.html has no ${kind.name} #${id}`);
  return found;
}

/** A new element; an attribute that is `false` is left out, and one that is `true` is there without a value. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string | boolean>> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children);
  return element;
}

/** Shows a text in an element that is hidden while it has none. */
export function showText(element: HTMLElement, text: string | undefined): void {
  element.textContent = text ?? '';
  element.hidden = text === undefined;
}

/** HTML that the server made, in place of what an element holds. The page's policy lets no script of it run. */
export function showHtml(element: HTMLElement, html: string): void {
  const template = document.createElement('template');
  template.innerHTML = html;
  element.replaceChildren(template.content);
}
