// The address that people know: asks for the sign-in, and leads to the first page of one's role.

import { open, pagesOf } from "./base/shell.js";

open("start", ({ who }) => location.replace(`/${pagesOf(who.role)[0].name}/${location.hash}`), { live: false });
