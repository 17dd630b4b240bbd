/** Asks once before something is done: it says what will happen, does it, and stays open with the reason where that fails. */

import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

export interface Question {
  title: string;
  /** What will happen, and to how many. */
  text: ComponentChildren;
  /** What the button says that does it. */
  verb: string;
  isDangerous?: boolean;
  /** Ways to do it, of which the first is chosen unless somebody chooses another. */
  choices?: readonly { value: string; label: string }[];
  /** A text that is asked for. */
  field?: { label: string; value: string };
  /** Does it, and resolves with what it came to, in a sentence; or with what has to be asked next. */
  run(choice: string | undefined, text: string): Promise<string | Question>;
}

export interface ConfirmDialogProps {
  question: Question;
  onDone(result: string | Question): void;
  onClose(): void;
}

export function ConfirmDialog({ question, onDone, onClose }: ConfirmDialogProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [isRunning, setRunning] = useState(false);
  const [trouble, setTrouble] = useState<string>();
  const [text, setText] = useState(question.field?.value ?? '');
  const [choice, setChoice] = useState(question.choices?.[0]?.value);
  useEffect(() => {
    // The browser gives the focus back when it closes, and keeps it within meanwhile.
    const element = dialog.current as HTMLDialogElement;
    element.showModal();
    return () => element.close();
  }, []);

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    setRunning(true);
    setTrouble(undefined);
    try {
      onDone(await question.run(choice, text.trim()));
    } catch (error) {
      setTrouble(error instanceof Error ? error.message : String(error));
      setRunning(false);
    }
  }

  return (
    <dialog ref={dialog} aria-labelledby="question" onClose={onClose}>
      <form onSubmit={submit}>
        <h2 id="question">{question.title}</h2>
        <div>{question.text}</div>
        {question.choices === undefined ? null : (
          <fieldset>
            <legend class="unseen">How</legend>
            {question.choices.map(({ value, label }) => (
              <label key={value} class="check">
                <input
                  type="radio"
                  name="choice"
                  checked={choice === value}
                  onChange={() => setChoice(value)}
                />
                <span>{label}</span>
              </label>
            ))}
          </fieldset>
        )}
        {question.field === undefined ? null : (
          <div class="field">
            <label for="question-text">{question.field.label}</label>
            <input
              id="question-text"
              maxLength={100}
              value={text}
              onInput={(event) => setText(event.currentTarget.value)}
            />
          </div>
        )}
        {trouble === undefined ? null : (
          <p class="text-bad" role="alert">
            {trouble}
          </p>
        )}
        <div class="row">
          <button type="submit" class={question.isDangerous ? 'danger' : 'main'} disabled={isRunning}>
            {isRunning ? 'Working…' : question.verb}
          </button>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
        </div>
      </form>
    </dialog>
  );
}
