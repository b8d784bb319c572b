// The page that a planner leaves open all day: what is wrong on the left, where it is in the middle, when it
// was to be below, and what is chosen on the right.

import { t } from "../base/i18n.js";
import { open } from "../base/shell.js";
import { Day } from "./day.js";
import { Desk } from "./desk.js";
import { Fences } from "./fences.js";
import { Planner } from "./planner.js";
import { Search } from "./search.js";
import { groupOf } from "./urgency.js";
import { Way } from "./way.js";

const QUIET_MS = 950;

open("planner", ({ who, live, main }) => {
  const [day, fences, way] = [new Day(), new Fences(), new Way()];
  const desk = new Desk({ who, live, day, fences, way });
  fences.read();
  const planner = Object.assign(new Planner(), { desk });
  main.append(planner);
  document.getElementById("top-tools").append(Object.assign(new Search(), { desk }));
  let [heardAt, drawnAt] = [-1, -Infinity];
  return () => {
    // Called for news and once a second: where the second falls between two news, the news are enough.
    if (live.heardAt === heardAt && performance.now() - drawnAt < QUIET_MS) return;
    [heardAt, drawnAt] = [live.heardAt, performance.now()];
    if (live.view) day.follow(live.view);
    desk.changed();
    document.title = titled(desk);
  };
});

/** The page's name, with the number of alerts that nobody has looked at: it is open behind others all day. */
function titled(desk) {
  const now = desk.now();
  const unseen = (desk.rows("alerts") ?? []).filter((alert) => groupOf(alert, desk.who.login, now) === "new").length;
  return `${unseen ? `(${unseen}) ` : ""}${t("Planning")} – Cordée`;
}
