// A list as a file for a spreadsheet: all rows, whatever the page shows.

import { html } from "./lit.js";
import { t } from "./i18n.js";

/** A link that downloads the list at `path`, an address of the API with its query; `said` where there are several. */
export const asCsv = (path, said = t("Download as CSV")) =>
  html`<a href=${`${path}${path.includes("?") ? "&" : "?"}format=csv&bom=true`} download>${said}</a>`;
