// Who is signed in: asks, signs in and out, and lets go of the page when a session is over.
//
// The cookie is out of reach of scripts, and that is all there is of a session here: what changes
// something carries the token that GET /v1/session tells beside it.

import { element, setText } from "./dom.js";
import { words } from "./strings.js";

const byId = (id) => document.getElementById(id);
const w = words.session;
const UNSAFE = new Set(["POST", "PUT", "DELETE"]);
const FAILED = new URLSearchParams(location.search).get("sign-in");

const OVER = "cordee.session-over";

const session = { who: null };

/** Lets go of everything that was shown, and keeps the address: whoever signs in again is where they were. */
function over() {
  session.who = null;
  sessionStorage.setItem(OVER, "1");
  location.reload();
}

/** Fetches JSON as whoever is signed in; when nobody is any more, shows the sign-in instead. */
export async function ask(url, { method = "GET", body } = {}) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (UNSAFE.has(method) && session.who) headers["x-csrf-token"] = session.who.csrf_token;
  const answer = await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.status === 401 && session.who) over();
  return answer;
}

/** Whether a session still lasts; a network that fails says nothing about it. */
export async function stillSignedIn() {
  try {
    await ask("/v1/session");
  } catch {
    // Offline: the page says so itself.
  }
}

/** Calls `begin(who)` once somebody is signed in: at once, or after the form. */
export async function withSession(begin) {
  let answer = null;
  while (answer === null) {
    try {
      answer = await fetch("/v1/session", { headers: { accept: "application/json" } });
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 3_000));
    }
  }
  if (answer.ok) welcome(await answer.json(), begin);
  else if (answer.status === 401) showForm(begin, noticeOf());
  else setTimeout(() => withSession(begin), 3_000);
}

function noticeOf() {
  const wasOver = sessionStorage.getItem(OVER) !== null;
  sessionStorage.removeItem(OVER);
  return FAILED ? w.elsewhereFailed : wasOver ? w.over : "";
}

function welcome(who, begin) {
  session.who = who;
  byId("sign-in").hidden = true;
  byId("sign-in").replaceChildren();
  showPerson(who);
  if (who.role === "client") showClientRoutes();
  if (FAILED) history.replaceState(null, "", location.pathname + location.hash);
  begin(who);
}

// ---- the form ------------------------------------------------------------------------------------

function field(name, label, type, autocomplete) {
  const input = element("input");
  Object.assign(input, { id: `sign-in-${name}`, name, type, autocomplete, required: true, maxLength: 200 });
  input.autocapitalize = "none";
  input.spellcheck = false;
  const text = element("label", "", label);
  text.htmlFor = input.id;
  return { input, row: element("div", "field", text, input) };
}

function showForm(begin, notice) {
  const login = field("login", w.login, "text", "username");
  const password = field("password", w.password, "password", "current-password");
  const problem = element("p", "problem", notice);
  problem.id = "sign-in-problem";
  problem.setAttribute("role", "alert");
  const button = element("button", "primary", w.signIn);
  const title = element("h2", "", w.title);
  title.id = "sign-in-title";
  const form = element("form", "card", title, problem, login.row, password.row, button);
  form.setAttribute("aria-labelledby", title.id);
  form.lang = w.lang;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    setText(problem, "");
    let said = w.notReached;
    try {
      const body = { login: login.input.value, password: password.input.value };
      const answer = await ask("/v1/session", { method: "POST", body });
      if (answer.ok) {
        welcome(await answer.json(), begin);
        return;
      }
      said = answer.status === 401 ? w.wrong : answer.status === 429 ? w.tooOften : w.notReached;
    } catch {
      // said already says it.
    }
    button.disabled = false;
    setText(problem, said);
    for (const input of [login.input, password.input]) {
      input.setAttribute("aria-invalid", "true");
      input.setAttribute("aria-describedby", problem.id);
    }
    password.input.value = "";
    password.input.focus();
  });

  byId("person").hidden = true;
  byId("sign-in").replaceChildren(form);
  byId("sign-in").hidden = false;
  offerProvider(form);
  login.input.focus();
}

async function offerProvider(form) {
  try {
    const { provider } = await (await ask("/v1/session/ways")).json();
    if (!provider || !form.isConnected) return;
    const link = element("a", "provider", w.with(provider));
    link.href = `/v1/session/oidc?back=${encodeURIComponent(location.hash)}`;
    form.append(element("p", "or", w.or), link);
  } catch {
    // Then only with a password.
  }
}

// ---- who is signed in, and out again ----------------------------------------------------------------

function showClientRoutes() {
  const links = ["/v1/planning", "/v1/visit-reports"].map((path) => {
    const link = element("a", "", path);
    link.href = path;
    return element("li", "", link);
  });
  byId("sign-in").replaceChildren(element("div", "card", element("p", "", w.clientPage), element("ul", "", ...links)));
  byId("sign-in").hidden = false;
}

function showPerson(who) {
  const out = element("button", "quiet-button", w.signOut);
  out.type = "button";
  out.addEventListener("click", async () => {
    out.disabled = true;
    try {
      const answer = await ask("/v1/session", { method: "DELETE" });
      if (answer.ok) location.reload();
    } catch {
      // Offline: nobody can be signed out now.
    }
    out.disabled = false;
  });
  const name = element("span", "who", element("span", "name", who.name), element("span", "role", w.roles[who.role]));
  byId("person").replaceChildren(name, out);
  byId("person").hidden = false;
}
