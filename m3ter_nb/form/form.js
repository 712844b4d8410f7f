/**
 * The login form's view. The secret lives in one place only: the `value` property of this view's own input. It
 * leaves it with one message, as a binary buffer, because kernels log the content of messages at level DEBUG; in the
 * content only where the kernel found that the front end drops buffers.
 * No input has a `name`, so that even a native submit could not put anything into a URL.
 */

const GUIDE = "https://docs.m3ter.com/guides/authenticating-with-the-platform/service-authentication";
const WARN_SECONDS = 300;
const KERNEL_SILENT_AFTER = 2500;
const SENTENCE = "m3ter login form: run this cell to log in. No form to see then? %m3ter_login --prompt asks instead.";
const BARE = "This notebook drops what a form sends beside its messages, so key and secret travel in a message itself. A "
  + "kernel that logs at level DEBUG writes them to its log, as it does the answer to a prompt.";

// Where real secrets do not belong, and why.
const PLACES = {
  binder: ["This looks like Binder. ", "Real secrets do not belong on a public machine: log in to the sandbox instead."],
  page: ["This is a browser page. ", "Real secrets do not belong in a page that anybody can host: log in to the sandbox instead."],
};

const LOGGING_IN = "Logging in.";

let views = 0;

/** Make an element; text goes through textContent only, so nothing is ever parsed as HTML. */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function button(text, className = "") {
  return make("button", { type: "button", class: className }, text);
}

/** A duration in seconds, as a person reads it: "4 h 59 min", "12 min 05 s", "40 s". */
export function spell(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, min, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  if (h > 0) return `${h} h ${String(min).padStart(2, "0")} min`;
  return min > 0 ? `${min} min ${String(s).padStart(2, "0")} s` : `${s} s`;
}

/** The countdown's words, and whether they are a warning. `expires` and `now` are unix seconds; unknown, it is null. */
export function timeLeft(expires, renews, now) {
  if (expires == null) return ["unknown", false]; // Pyodide's kernel sends undefined for it
  const left = expires - now;
  if (renews) return left > 0 ? [`${spell(left)}, renews by itself`, false] : ["renews at the next call", false];
  if (left <= 0) return ["The token has ended: log in again.", true];
  return left <= WARN_SECONDS ? [`${spell(left)}: log in again soon.`, true] : [`${spell(left)}, not renewed`, false];
}

/** Whether a key is the notebook's: saving always, running and leaving where no text is typed. */
function passes({ key, ctrlKey, metaKey, shiftKey, target }) {
  const held = ctrlKey || metaKey;
  if (held && key.toLowerCase() === "s") return true;
  return target.localName !== "input" && (key === "Escape" || (key === "Enter" && (held || shiftKey)));
}

function buildForm(id) {
  const keyId = make("input", {
    id: `${id}-key`, type: "text", autocomplete: "username", autocapitalize: "none", autocorrect: "off",
    spellcheck: "false", "aria-describedby": `${id}-status`,
  });
  const secret = make("input", {
    id: `${id}-secret`, type: "password", autocomplete: "current-password", autocapitalize: "none",
    autocorrect: "off", spellcheck: "false", "aria-describedby": `${id}-status`,
  });
  const reveal = button("Show", "m3ter-nb-reveal");
  reveal.setAttribute("aria-label", "Show the secret");
  reveal.setAttribute("aria-pressed", "false");
  const submit = make("button", { type: "submit", class: "m3ter-nb-primary" }, "Log in");
  const demo = button("Use the sandbox's public demo credentials");
  const keep = button("Keep the current login");
  const tick = make("input", { id: `${id}-remember`, type: "checkbox" });
  const remember = make("div", { class: "m3ter-nb-remember" }, tick, make("label", { for: tick.id }, "Remember on this computer"));
  const form = make(
    "form", { novalidate: "" },
    make("div", { class: "m3ter-nb-field" }, make("label", { for: keyId.id }, "Access Key ID"), keyId),
    make(
      "div", { class: "m3ter-nb-field" }, make("label", { for: secret.id }, "API Secret"),
      make("div", { class: "m3ter-nb-secret" }, secret, reveal),
    ),
    remember,
    make("div", { class: "m3ter-nb-actions" }, submit, demo, keep),
  );
  return { form, keyId, secret, reveal, tick, remember, submit, demo, keep };
}

function buildHelp() {
  const link = make("a", { href: GUIDE, target: "_blank", rel: "noopener noreferrer" }, "m3ter's guide");
  return make(
    "details", {}, make("summary", {}, "Where do I find these?"),
    make(
      "ol", {},
      make("li", {}, "In the m3ter console open Settings, then Access, then Service Users."),
      make("li", {}, "Choose a service user, or create one and give it permissions."),
      make("li", {}, "Choose Generate Access Key. Copy the Access Key ID and the API Secret: ",
        make("strong", {}, "the secret is shown only once"), "."),
    ),
    make("p", {}, "More in ", link, " (opens a new tab)."),
  );
}

function buildCard() {
  const list = make("dl");
  const notes = make("div");
  const logout = button("Log out");
  const other = button("Use other credentials");
  const card = make(
    "div", { class: "m3ter-nb-card-body" }, list, notes, make("div", { class: "m3ter-nb-actions" }, other, logout),
  );
  return { card, list, notes, logout, other };
}

function render({ model, el }) {
  views += 1;
  const id = `m3ter-nb-${views}-${Math.random().toString(36).slice(2, 8)}`;
  const { form, keyId, secret, reveal, tick, remember, submit, demo, keep } = buildForm(id);
  const { card, list, notes, logout, other } = buildCard();
  const title = make("div", { id: `${id}-title`, class: "m3ter-nb-title" });
  const host = make("span", { class: "m3ter-nb-host" });
  const type = make("strong", { class: "m3ter-nb-type" });
  const notice = make("p", { class: "m3ter-nb-notice" });
  const sandbox = button("Start the sandbox");
  const [what, why] = PLACES[model.get("place")] ?? ["", ""];
  const place = make("div", { class: "m3ter-nb-place" }, make("p", {}, make("strong", {}, what), why));
  const start = make("div", { class: "m3ter-nb-start" }, make("span", {}, "No m3ter account? "), sandbox);
  const bare = make("p", { class: "m3ter-nb-notice" }, BARE);
  // One live region for both panels: a region that is created together with its text is not announced.
  const status = make("p", { id: `${id}-status`, class: "m3ter-nb-status", role: "status", "aria-live": "polite" });
  const help = buildHelp();
  const panel = make(
    "div",
    {
      class: "m3ter-nb-form", role: "group", tabindex: "-1",
      "aria-labelledby": title.id,
    },
    make("div", { class: "m3ter-nb-head" }, title, type, host), notice, place, bare, form, card, status, start, help,
  );

  let phase = "";
  let sentTurn = null; // the turn of this view's own message, until the kernel takes it up
  let silence = 0;
  let warned = false;
  let sure = false; // whether a second click has sent the secret to a doubtful host
  let counting = null; // where the card shows the time left

  function say(text, tone = "") {
    if (status.textContent !== text) status.textContent = text;
    status.dataset.tone = tone;
  }

  function setReveal(shown) {
    secret.type = shown ? "text" : "password";
    reveal.textContent = shown ? "Hide" : "Show";
    reveal.setAttribute("aria-label", shown ? "Hide the secret" : "Show the secret");
    reveal.setAttribute("aria-pressed", String(shown));
  }

  function mark(wrong) {
    for (const input of [keyId, secret]) input.setAttribute("aria-invalid", String(input === wrong));
  }

  function clearInputs() {
    mark(null);
    secret.value = "";
    keyId.value = "";
    tick.checked = model.get("remember");
    setReveal(false);
  }

  function send(type, fields, underWay = "") {
    if (model.get("phase") === "busy") return;
    const turn = model.get("turn");
    const inContent = fields && model.get("bare");
    const buffers = fields && !inContent ? [new DataView(new TextEncoder().encode(JSON.stringify(fields)).buffer)] : [];
    try {
      const asked = fields && tick.checked && !remember.hidden ? { remember: true } : {};
      model.send({ type, turn, ...asked, ...(inContent ? fields : {}) }, undefined, buffers);
    } catch {
      // The error is not shown or logged: only that there is no kernel to talk to any more.
      retire();
      return;
    }
    if (!underWay) return;
    sentTurn = turn;
    // At once and in every view of this page, not only when the kernel takes it up.
    model.set({ phase: "busy", message: underWay });
    clearTimeout(silence);
    silence = setTimeout(() => {
      if (model.get("phase") === "busy" && model.get("turn") === sentTurn) {
        say("Waiting for the kernel: another cell is running. If the kernel was restarted, run this cell again.");
      }
    }, KERNEL_SILENT_AFTER);
  }

  function drawTime() {
    const { expires_at: expires, renews } = model.get("card");
    if (phase !== "in" || !counting) return;
    const [text, warning] = timeLeft(expires, renews, Date.now() / 1000);
    counting.textContent = text;
    counting.classList.toggle("m3ter-nb-warning", warning);
    if (warning && !warned) say(`Logged in to m3ter: ${text}`);
    warned = warning;
  }

  function drawCard() {
    const shown = model.get("card");
    counting = null;
    list.replaceChildren(...shown.rows.map(([label, value]) => {
      const cell = make("dd", {}, value);
      if (label === shown.counting) {
        cell.dataset.row = "left";
        counting = cell;
      }
      return make("div", { class: "m3ter-nb-row" }, make("dt", {}, label), cell);
    }));
    notes.replaceChildren(...(shown.notes || []).map((note) => make("p", {}, note)));
    drawTime();
  }

  function draw() {
    const before = phase;
    phase = model.get("phase");
    const inCard = phase === "in";
    const busy = phase === "busy";
    const active = focused();
    const hadFocus = panel.contains(active);
    panel.dataset.phase = phase;
    // A focused button that is about to be disabled or hidden would drop the focus out of the form.
    if (busy && hadFocus && active.localName === "button") panel.focus({ preventScroll: true });
    title.textContent = inCard ? model.get("card").title : "Log in to m3ter";
    host.textContent = model.get("host");
    host.hidden = inCard;
    type.textContent = inCard ? model.get("card").badge : "";
    type.hidden = !type.textContent;
    panel.dataset.organization = type.textContent;
    notice.textContent = model.get("notice");
    notice.hidden = inCard || !notice.textContent;
    place.hidden = inCard || !model.get("place");
    bare.hidden = inCard || !model.get("bare");
    if (model.get("place") && start.parentElement !== place) place.append(start);
    start.hidden = inCard || !model.get("sandbox_offered");
    demo.hidden = !model.get("demo_offered");
    demo.classList.toggle("m3ter-nb-primary", !demo.hidden);
    submit.classList.toggle("m3ter-nb-primary", demo.hidden);
    submit.textContent = sure && model.get("doubt") ? `Send to ${model.get("host")}` : "Log in";
    remember.hidden = !model.get("remember_offered");
    keep.hidden = !model.get("card").title;
    logout.hidden = !model.get("logout_offered");
    form.hidden = help.hidden = inCard;
    card.hidden = !inCard;
    form.setAttribute("aria-busy", String(busy));
    for (const control of [submit, demo, keep, sandbox, tick]) control.disabled = busy;
    for (const input of [keyId, secret]) input.readOnly = busy;

    if (inCard) {
      clearInputs();
      drawCard();
    }
    if (phase !== before) {
      if (inCard) say([title.textContent, type.textContent, warned ? counting.textContent : ""].filter(Boolean).join(". "));
      else if (busy) say(model.get("message"));
      if (inCard && hadFocus) leave();
    }
    if (!inCard && !busy) {
      const failed = phase === "refused" || phase === "unreachable";
      say(model.get("message"), failed ? "error" : "");
      if (before === "busy" && phase === "refused") {
        const mine = sentTurn !== null;
        if (mine) {
          mark(secret);
          secret.value = "";
          setReveal(false);
          secret.focus({ preventScroll: true });
        }
      } else if (before === "busy" && phase === "unreachable" && sentTurn !== null) {
        submit.focus({ preventScroll: true }); // the inputs are as they were typed: Enter tries again
      } else if (before === "busy" && hadFocus && sentTurn !== null && !demo.hidden) {
        demo.focus({ preventScroll: true }); // the sandbox was started from here
      } else if (before === "in" && hadFocus) {
        keyId.focus({ preventScroll: true });
      }
      if (before === "busy") sentTurn = null;
    }
  }

  /** Tell the kernel that somebody can see the form, with a byte that shows whether buffers arrive. */
  function announce() {
    try {
      model.send({ type: "shown" }, undefined, [new DataView(new ArrayBuffer(1))]);
    } catch {
      // Without a kernel nobody needs to know.
    }
  }

  /** What has the focus, also where the page shows the form within a shadow tree. */
  function focused() {
    return (panel.getRootNode().activeElement !== undefined ? panel.getRootNode() : document).activeElement;
  }

  /** Give the focus back to the notebook, so that its own keys work; a plain page keeps it on the card. */
  function leave() {
    const cell = panel.closest(".jp-Cell");
    (cell ?? panel).focus({ preventScroll: true });
    if (cell && focused() !== cell) panel.focus({ preventScroll: true });
  }

  /** The kernel of this form is gone: forget what was typed, and say the sentence that a saved notebook says. */
  function retire() {
    clearInputs();
    clearInterval(clock);
    clearTimeout(silence);
    panel.replaceChildren(make("p", { class: "m3ter-nb-retired" }, SENTENCE));
    panel.dataset.phase = "retired";
    panel.dataset.organization = "";
    el.classList.remove("jupyter-widgets-disconnected"); // it draws a broken link above the sentence
    model.off("change", draw);
  }

  function onLiveness() {
    // anywidget calls listeners with the view as `this`; the event comes when the kernel restarts.
    if (!this?.model?.comm_live) retire();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (model.get("phase") === "busy") return;
    const empty = [keyId, secret].find((input) => !input.value.trim());
    mark(empty);
    if (empty) {
      say(empty === keyId ? "Type the Access Key ID." : "Type the API Secret.", "error");
      empty.focus();
      return;
    }
    if (model.get("doubt") && !sure) {
      sure = true;
      draw();
      say(`${model.get("doubt")} Press once more to send the secret there.`, "error");
      return;
    }
    setReveal(false);
    send("submit", { key_id: keyId.value, secret: secret.value }, LOGGING_IN);
  });
  reveal.addEventListener("click", () => setReveal(secret.type === "password"));
  demo.addEventListener("click", () => send("demo", null, LOGGING_IN));
  sandbox.addEventListener("click", () => send("sandbox", null, "Starting the sandbox."));
  logout.addEventListener("click", () => send("logout"));
  other.addEventListener("click", () => send("other"));
  keep.addEventListener("click", () => send("keep"));
  for (const input of [keyId, secret]) input.addEventListener("input", () => input.setAttribute("aria-invalid", "false"));
  // JupyterLab looks for its shortcuts before a key arrives here, and leaves them alone below this attribute.
  const guard = (event) => {
    if (panel.contains(event.target)) panel.toggleAttribute("data-lm-suppress-shortcuts", !passes(event));
  };
  window.addEventListener("keydown", guard, true);
  for (const type of ["keydown", "keypress", "keyup"]) {
    panel.addEventListener(type, (event) => {
      if (!passes(event)) event.stopPropagation();
      else if (event.key === "Enter") event.preventDefault(); // the notebook's: no button is to be clicked by it
    });
  }
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.shiftKey || event.target.localName !== "input") return;
    event.preventDefault();
    form.requestSubmit();
  });

  tick.checked = model.get("remember");
  const clock = setInterval(drawTime, 1000);
  model.on("change", draw);
  model.on("comm_live_update", onLiveness);
  el.append(panel);
  draw();
  // ipywidgets marks a view with this class when it was restored from a saved notebook, without a kernel.
  if (el.classList.contains("jupyter-widgets-disconnected")) retire();
  else announce();

  return () => {
    clearInterval(clock);
    clearTimeout(silence);
    clearInputs();
    window.removeEventListener("keydown", guard, true);
    model.off("change", draw);
    model.off("comm_live_update", onLiveness);
  };
}

export default { render };
