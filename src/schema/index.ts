/** All tables, for drizzle-kit and for the migrations. */
export { checkpoints } from './checkpoints.ts';
export { messages } from './messages.ts';
