// What scans do to the stock on board, as far as the tablet can tell. Pure: no database, no page.
//
// The server's levels are the truth; this is what the tablet adds to them until it is told: the effects
// of scans that it has not sent. An effect says of one item either `add` (a movement) or `set` (a count).
//
// | intent                   | effect on board                                                       |
// | ------------------------ | --------------------------------------------------------------------- |
// | load, receive            | + the units; a box (SSCC): what was in it, once the server knows      |
// | issue, return, transfer, | − the units                                                           |
// | scrap                    |                                                                       |
// | count                    | the units                                                             |
// | count_all                | 0 of all that was not counted since it began                          |
// | missing                  | none: the van had it not                                              |
// | reverse                  | − what the other scan did, unless the item was counted after it       |

const SIGNS = { load: 1, receive: 1, issue: -1, return: -1, transfer: -1, scrap: -1 };

/** What can be taken back; a count is corrected by another count. */
export const canReverse = (scan) => (scan.intent in SIGNS || scan.intent === "missing") && scan.state !== "refused" && !scan.reversed;

/** The effects of a scan of `units` of an item; none while nobody knows what its code stands for. */
export function effectsOf(intent, item, units) {
  if (!item) return [];
  if (intent === "count") return [{ item, set: units }];
  return intent in SIGNS && units ? [{ item, add: SIGNS[intent] * units }] : [];
}

/** The effects of ending a count of the whole van: `levels` are [{ item, qty }]. */
export const effectsOfEnd = (levels, counted) =>
  levels.filter(({ item, qty }) => qty !== 0 && !counted.has(item)).map(({ item }) => ({ item, set: 0 }));

/** The effects of taking `scan` back, having done the `later` ones since. */
export function effectsOfReversal(scan, later) {
  const anchored = new Set(later.flatMap(({ effects }) => effects.filter((effect) => "set" in effect).map(({ item }) => item)));
  return scan.effects.filter(({ item }) => !anchored.has(item)).map(({ item, add }) => ({ item, add: -add }));
}

/** The level after an effect. */
export const after = (qty, effect) => ("set" in effect ? effect.set : qty + effect.add);
