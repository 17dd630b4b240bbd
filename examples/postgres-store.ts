import {
  ConnectionPool,
  MessageStore,
  openConnection,
  PostgresNamespaces,
  resolveTarget,
  systemTimers,
} from 'sluice';

export function openStore(databaseUrl: string, namespace: string): MessageStore {
  const target = resolveTarget({ databaseUrl });
  const connections = new ConnectionPool({ open: () => openConnection(target), timers: systemTimers });
  return new MessageStore(new PostgresNamespaces({ connections }).engine(namespace));
}
