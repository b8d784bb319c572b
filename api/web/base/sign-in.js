// The form in front of every page: login and password, or the company's identity provider.

import { Part, createRef, define, html, nothing, ref } from "./lit.js";
import { t } from "./i18n.js";
import { read, signIn, wasOver } from "./session.js";

const failedElsewhere = new URLSearchParams(location.search).get("sign-in") !== null;

/** Sends `signed-in` with who it is. */
export class SignIn extends Part {
  static properties = { problem: { state: true }, busy: { state: true }, provider: { state: true } };
  login = createRef();
  password = createRef();

  constructor() {
    super();
    this.problem = failedElsewhere
      ? t("The sign-in elsewhere did not succeed.")
      : wasOver() ? t("Your session is over. Sign in again to go on where you were.") : "";
  }

  firstUpdated() {
    this.login.value.focus();
    read("/v1/session/ways").then((ways) => (this.provider = ways.provider), () => {});
  }

  render() {
    const wrong = this.problem && this.wrong ? "true" : nothing;
    return html`
      <form class="sign-in card" aria-labelledby="sign-in-title" @submit=${this.submit}>
        <h1 id="sign-in-title">${t("Sign in")}</h1>
        <p class="problem" id="sign-in-problem" role="alert">${this.problem}</p>
        <label class="field">${t("Login")}
          <input name="login" autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="200"
            aria-invalid=${wrong} aria-describedby="sign-in-problem" ${ref(this.login)}></label>
        <label class="field">${t("Password")}
          <input name="password" type="password" autocomplete="current-password" required maxlength="200"
            aria-invalid=${wrong} aria-describedby="sign-in-problem" ${ref(this.password)}></label>
        <button class="button primary" ?disabled=${this.busy}>${t("Sign in")}</button>
        ${this.provider ? html`<p class="quiet">${t("or")}</p>
          <a class="button" href="/v1/session/oidc?back=${encodeURIComponent(location.hash)}">${t("Sign in with {provider}", { provider: this.provider })}</a>` : nothing}
      </form>`;
  }

  async submit(event) {
    event.preventDefault();
    this.busy = true;
    this.problem = "";
    try {
      const who = await signIn(this.login.value.value, this.password.value.value);
      if (failedElsewhere) history.replaceState(null, "", location.pathname + location.hash);
      this.dispatchEvent(new CustomEvent("signed-in", { detail: who }));
    } catch (problem) {
      this.wrong = problem.status === 401;
      this.problem = problem.message;
      this.password.value.value = "";
      this.busy = false;
      await this.updateComplete;
      this.password.value.focus();
    }
  }
}
define("cordee-sign-in", SignIn);
