// What things are kept for, as `storage/settings.py` says it, by the purposes' names.

import { t } from "./i18n.js";

const WORDS = {
  tracks: () => t("Days that positions, trips and counts of off-duty positions are kept. They tell who is where, who will be late and who is near; two months are enough to answer a client's question or to try other rules on past days."),
  visits: () => t("Days that visits, their reports with signatures, alerts and tours are kept: the proof that a service was rendered, when, and whether in time. Not fewer than tracks."),
  working_times: () => t("Days that duty switches, on and off, are kept: the record of working times, as labour law asks for five years. What is deleted no longer says which old positions were off duty, so not fewer than tracks."),
  messages: () => t("Days that messages between the base and vans are kept, read or not: to know what was agreed. They are no archive."),
  rejected: () => t("Days that messages which could not be used are kept, with their bytes: long enough to find out why, and to send them again."),
  access_log: () => t("Days that it is kept who looked at positions of others: to show whoever was looked at, and to find misuse."),
};

/** What a purpose of GET /v1/retention is, in the reader's language; in English if the page does not know it. */
export const purposeOf = ({ name, purpose }) => WORDS[name]?.() ?? purpose;
