/** A table whose first column names its rows; where it is wider than its place, it scrolls there, also by keys. */

import type { ComponentChildren, JSX } from 'preact';

export interface Column {
  title: string;
  /** Text stands left, figures right. */
  isText?: boolean;
  /** Texts that may have several lines. */
  isLong?: boolean;
}

export interface Row {
  key: string;
  /** As many as there are columns. The first one names the row. */
  cells: ComponentChildren[];
}

export interface TableProps {
  /** What the table is, for those who do not see it. */
  label: string;
  columns: readonly Column[];
  rows: readonly Row[];
}

export function Table({ label, columns, rows }: TableProps): JSX.Element {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a reader without a mouse must be able to scroll it
    <section class="table" tabIndex={0} aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map(({ title, isText, isLong }) => (
              <th key={title} scope="col" class={isText || isLong ? 'text' : undefined}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ key, cells: [name, ...cells] }) => (
            <tr key={key}>
              <th scope="row">{name}</th>
              {cells.map((cell, index) => {
                const { title, isText, isLong } = columns[index + 1] as Column;
                return (
                  <td key={title} class={isLong ? 'text long' : isText ? 'text' : undefined}>
                    {cell}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
