/** Variables that let everybody in, which `sluice dev` sets and `sluice doctor` warns of. */

/** What each means. One is open where its value is `open`. */
const OPEN_VARIABLES = {
  AUTHORIZE: 'everybody may send messages to this Worker',
  OPERATORS: 'everybody may look at this Worker and operate it',
  BENCH: 'everybody may start runs of the bench, if the Worker has it',
} as const;

/** What variables open to everybody who reaches the Worker, a sentence each: `OPERATORS=open: everybody may …`. */
export function openTexts(variables: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(OPEN_VARIABLES)
    .filter(([name]) => variables[name] === 'open')
    .map(([name, meaning]) => `${name}=open: ${meaning}`);
}
