/** All tables, for drizzle-kit and for the migrations. */
export { messages } from './messages.ts';
