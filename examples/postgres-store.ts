import {
  ConnectionPool,
  MessageStore,
  openConnection,
  PostgresMessageEngine,
  resolveTarget,
  schemaOfNamespace,
  systemTimers,
} from 'sluice/messages';

export function openStore(databaseUrl: string, namespace: string): MessageStore {
  const target = resolveTarget({ databaseUrl });
  const connections = new ConnectionPool({ open: () => openConnection(target), timers: systemTimers });
  return new MessageStore(new PostgresMessageEngine({ connections, schema: schemaOfNamespace(namespace) }));
}
