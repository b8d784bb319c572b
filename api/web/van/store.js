// What the tablet must not lose, in IndexedDB; a database for each van.
//
// | store   | holds                                                                                    |
// | ------- | ---------------------------------------------------------------------------------------- |
// | install | `epoch`, drawn when the database is made; the last `seq`, the last `t`; duty; when the     |
// |         | levels were told last                                                                    |
// | outbox  | events that the server has not said to be committed, in the order in which they happened |
// | refused | events that the server could not use, and why                                            |
// | scan    | the journal: every scan with what it did on board, the newest hundreds                   |
// | level   | what is on board: the server's row (`told`) and the quantity as the tablet sees it        |
//
// A scan, its place in the outbox and its effect on board are one transaction: after a crash all three
// are there or none. `seq` counts what has a key from 1 without a gap, `t` never goes back: what the wire
// contract asks (docs/WIRE.md). An event that was posted once is `tried`: it may be committed, whoever says so.

import { openDB } from "../vendor/idb.js";
import { after, effectsOf, effectsOfEnd, effectsOfReversal } from "./levels.js";
import { now } from "./clock.js";

/** Kinds of events that have a key: epoch and seq. */
export const KEYED = new Set(["scan", "report", "message"]);
const KEPT_SCANS = 400;
const BATCH_BYTES = 1_000_000;

const PREFIX = "cordee-van ";

/** The vans whose technicians have worked on this device. */
export async function vansHere() {
  const all = (await indexedDB.databases?.()) ?? [];
  return all.map(({ name }) => name).filter((name) => name.startsWith(PREFIX)).map((name) => name.slice(PREFIX.length));
}

/** Opens the database of a van, and makes it if there is none. */
export async function openStore(van) {
  const db = await openDB(PREFIX + van, 1, {
    upgrade(fresh) {
      fresh.createObjectStore("install").put(newEpoch(), "epoch");
      fresh.createObjectStore("outbox", { keyPath: "n", autoIncrement: true });
      fresh.createObjectStore("refused", { keyPath: "n" });
      fresh.createObjectStore("scan", { keyPath: "seq" });
      fresh.createObjectStore("level", { keyPath: "item" });
    },
    blocking: () => db.close(), // a newer page wants to change it: reload
  });
  return new Store(db);
}

const newEpoch = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

class Store {
  #db;

  constructor(db) {
    this.#db = db;
  }

  // ---- what happens on board ----

  /**
   * Keeps a scan: `scan` is its payload without key and time, `said` what the tablet makes of it
   * ({ item, name, unit, units }). Returns its row of the journal.
   */
  scanned(scan, said = {}) {
    return this.#keep(scan, said, () => effectsOf(scan.intent, said.item, said.units));
  }

  /** Ends a count of the whole van: what was not `counted` is not there. */
  countedAll(since, counted, user) {
    return this.#keep({ intent: "count_all", since, user }, {}, async (stores) => effectsOfEnd(await stores.level.getAll(), counted));
  }

  /** Takes back what another scan of this tablet did. */
  reversed(seq, user) {
    return this.#keep({ intent: "reverse", user }, {}, async (stores, payload) => {
      const scan = await stores.scan.get(seq);
      const later = await stores.scan.getAll(IDBKeyRange.lowerBound(seq, true));
      payload.reverses = { epoch: payload.epoch, seq };
      await stores.scan.put({ ...scan, reversed: true });
      return effectsOfReversal(scan, later);
    });
  }

  async #keep(scan, said, effectsFrom) {
    const tx = this.#db.transaction(["install", "outbox", "scan", "level"], "readwrite", { durability: "strict" });
    const stores = storesOf(tx);
    const payload = { ...(await nextKey(stores.install)), t: await nextTime(stores.install), ...scan };
    const effects = await effectsFrom(stores, payload);
    const n = await stores.outbox.add({ kind: "scan", payload, tried: false });
    const row = { ...said, seq: payload.seq, t: payload.t, n, intent: scan.intent, code: scan.code ?? "", state: "waiting", effects, of: payload.reverses?.seq, counterpart: scan.counterpart, shipment: scan.shipment };
    stores.scan.add(row);
    for (const effect of effects) await apply(stores.level, effect, said);
    await tx.done;
    return row;
  }

  /** Keeps another event: `made(t)` returns its payload but for its key. Returns that. */
  async happened(kind, made) {
    const tx = this.#db.transaction(["install", "outbox"], "readwrite", { durability: "strict" });
    const stores = storesOf(tx);
    const key = KEYED.has(kind) ? await nextKey(stores.install) : {};
    const payload = { ...key, ...made(await nextTime(stores.install)) };
    stores.outbox.add({ kind, payload, tried: false });
    if (kind === "status") stores.install.put({ duty: payload.duty, t: payload.t }, "duty");
    await tx.done;
    return payload;
  }

  // ---- what goes out ----

  /** The oldest events, as many as one request may carry; from now on they may be committed. */
  async toSend(most) {
    const tx = this.#db.transaction("outbox", "readwrite");
    const rows = [];
    let bytes = 0;
    for (const row of await tx.store.getAll(null, most)) {
      bytes += JSON.stringify(row.payload).length * 2;
      if (rows.length && bytes > BATCH_BYTES) break;
      rows.push(row);
      if (!row.tried) tx.store.put({ ...row, tried: true });
    }
    await tx.done;
    return rows;
  }

  /** Lets go of what is committed, and sets aside what the server could not use: [{ row, reason, detail }]. */
  async settle(gone, refused) {
    const tx = this.#db.transaction(["outbox", "refused", "scan", "level"], "readwrite", { durability: "strict" });
    const stores = storesOf(tx);
    for (const row of gone) {
      stores.outbox.delete(row.n);
      if (row.kind === "scan") await change(stores.scan, row.payload.seq, { state: "sent" });
    }
    for (const { row, reason, detail } of refused) {
      stores.outbox.delete(row.n);
      stores.refused.put({ n: row.n, kind: row.kind, payload: row.payload, reason, detail });
      if (row.kind === "scan") await takeBack(stores, row.payload.seq, { reason, detail });
    }
    const seqs = await stores.scan.getAllKeys();
    for (const seq of seqs.slice(0, Math.max(0, seqs.length - KEPT_SCANS))) {
      if ((await stores.scan.get(seq)).state === "sent") stores.scan.delete(seq);
    }
    await tx.done;
  }

  /** Sends a refused event once more, as it was. */
  async again(n) {
    const tx = this.#db.transaction(["outbox", "refused", "scan", "level"], "readwrite", { durability: "strict" });
    const stores = storesOf(tx);
    const row = await stores.refused.get(n);
    if (row) {
      stores.refused.delete(n);
      stores.outbox.put({ n, kind: row.kind, payload: row.payload, tried: true });
      if (row.kind === "scan") await putBack(stores, row.payload.seq);
    }
    await tx.done;
  }

  /** Forgets a refused event; the server keeps what came, for its operators. */
  dismiss(n) {
    return this.#db.delete("refused", n);
  }

  // ---- what is told ----

  /** Whether the server may know of events that it has not been heard of since. */
  async inDoubt() {
    return (await this.#db.getAll("outbox")).some((row) => row.tried);
  }

  /**
   * Takes the server's levels, read while nothing was on its way: what waits here is not in them, and is
   * applied again.
   */
  async rebase(levels) {
    const tx = this.#db.transaction(["install", "level", "scan"], "readwrite");
    const stores = storesOf(tx);
    stores.install.put(now(), "told");
    await stores.level.clear();
    for (const told of levels) stores.level.put({ item: told.item, qty: told.qty, told });
    for (const scan of await stores.scan.getAll()) {
      if (scan.state !== "waiting") continue;
      for (const effect of scan.effects) await apply(stores.level, effect, scan);
    }
    await tx.done;
  }

  // ---- what is looked at ----

  countWaiting() {
    return this.#db.count("outbox");
  }

  /** All that the page shows of it, as it was at one moment. */
  async seen() {
    const tx = this.#db.transaction(["install", "outbox", "refused", "scan", "level"]);
    const stores = storesOf(tx);
    const [duty, toldMs, waiting, refused, scans, levels] = await Promise.all([
      stores.install.get("duty"), stores.install.get("told"), stores.outbox.getAll(), stores.refused.getAll(), stores.scan.getAll(), stores.level.getAll(),
    ]);
    return { duty, toldMs, waiting, refused, scans: scans.reverse(), levels };
  }
}

const storesOf = (tx) => Object.fromEntries([...tx.objectStoreNames].map((name) => [name, tx.objectStore(name)]));

async function nextKey(install) {
  const seq = (await install.get("seq") ?? 0) + 1;
  install.put(seq, "seq");
  return { epoch: await install.get("epoch"), seq };
}

/** A time that is not before the last one, whatever the clock says. */
async function nextTime(install) {
  const t = Math.max(now(), (await install.get("t") ?? 0) + 1);
  install.put(t, "t");
  return t;
}

async function apply(levels, effect, said) {
  const row = (await levels.get(effect.item)) ?? { item: effect.item, qty: 0, told: null, name: said.name, unit: said.unit };
  await levels.put({ ...row, qty: after(row.qty, effect) });
}

async function change(store, key, changes) {
  const row = await store.get(key);
  if (row) await store.put({ ...row, ...changes });
}

/** A refused scan has done nothing: its movements go back on board; a count's quantity stands until told. */
async function takeBack(stores, seq, why) {
  const scan = await stores.scan.get(seq);
  if (!scan) return;
  for (const { item, add } of scan.effects) if (add) await apply(stores.level, { item, add: -add }, scan);
  await stores.scan.put({ ...scan, ...why, state: "refused" });
}

async function putBack(stores, seq) {
  const scan = await stores.scan.get(seq);
  if (!scan) return;
  for (const effect of scan.effects) await apply(stores.level, effect, scan);
  await stores.scan.put({ ...scan, state: "waiting", reason: undefined, detail: undefined });
}
