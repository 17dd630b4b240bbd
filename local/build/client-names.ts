/**
 * Names of members that only the client's own files use: the bundle has shorter ones. A name that is missing here costs a
 * few bytes. A name that does not belong here, because a user, the server, a storage or the platform reads it, is found by
 * test/local/build/client-bundle.test.ts.
 */
export const INTERNAL_NAMES: readonly string[] = `
  admitBlocked aside askedForAck askedMs awaitProgress batchFrom blocked byeMs calls connect counts cursor cut cutBatch
  disconnect doubtUpTo doubts drainUntilMs dropAbove dropFirst dropOldest dropOversized emit endError endIfDone ending enqueue
  erroredMs finishRefused fits flushUpTo forgetTrouble giveUp goOn hasFlushes hasRoom heardMs hurry intake isAllSent
  isClosing isDone isDue isEmpty isFlushDue isForgotten isIdle isKept isKnown isLate isOpen isOwn isPaused isRecovered
  isSet isWelcomed leftBlocked markSent maxBytes maxMessages onFailure onProgress openedMs outBytes outMessages
  outSinceMs overError own progressMs protocolError pump reach receiver recovery refuse refuseCall refuseSequence
  refuseTooLarge refusedCount rejectAll restart resumeSending rewind rewoundTo rollback saved saving sayBye schedule
  sender sentHere setAsideRun settle sizeAt skip socket takeJoined textAt ticket ticketOf transmit trimDroppedEnd trimmed truncate
  unsavedSession unsettledCount waiting
`
  .trim()
  .split(/\s+/);
