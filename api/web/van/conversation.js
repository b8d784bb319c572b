// Messages with the base, as the tablet can know them: what the server told, and what was written or read
// here and has perhaps not been told back yet. Pure.

/**
 * All messages, newest first. `told` are the server's; `waiting` are events of the outbox, `gone` those that
 * have left it: a message is the same if it is this van's own and of the same moment.
 */
export function conversation(told, waiting, gone) {
  const known = told.map(({ from_base, sent_ms, ...message }) => ({ ...message, mine: !from_base, t: sent_ms, state: "saved" }));
  const moments = new Set(known.filter(({ mine }) => mine).map(({ t }) => t));
  const written = (rows, state) =>
    messagesOf(rows)
      .filter(({ payload }) => payload.text && !moments.has(payload.t))
      .map(({ n, payload: { t, text } }) => ({ id: `here ${n}`, mine: true, kind: "message", t, text, items: [], read_ms: null, state }));
  return [...known, ...written(waiting, "waiting"), ...written(gone, "saved")].sort((a, b) => b.t - a.t);
}

/** The base's messages that nothing says to be `what`: "delivered" or "read"; `rows` are events as above. */
export function unsaid(what, messages, rows) {
  const said = new Set(messagesOf(rows).flatMap(({ payload }) => payload[what] ?? []));
  return messages.filter((message) => !message.mine && !message[`${what}_ms`] && !said.has(message.id)).map(({ id }) => id);
}

const messagesOf = (rows) => rows.filter(({ kind }) => kind === "message");
